"""Which font files there are beside the package's own. No Pillow here: a worker can pass them on unopened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class FontFile(NamedTuple):
    """A font file, and the number of the face in it, which is 0 but in collections.

    ``stamp`` is its length in bytes, time of change in ns, and inode when it was looked at (``FontSources.stamped``):
    whatever is remembered of a font by its ``FontFile`` is so of this content. A file that is not there has its own.
    """

    path: str
    face: int = 0
    stamp: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class FontSources:
    """Fonts beside the package's own: ``preferred`` stand before Inter, ``system`` behind it, each in order."""

    preferred: tuple[FontFile, ...] = ()
    system: tuple[FontFile, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Sequence[Sequence[Any]]] | None) -> FontSources:
        """Sources from ``as_json``; None is the package's own fonts alone."""
        lists = value or {}
        return cls(
            *(
                tuple(
                    FontFile(str(path), int(face), tuple(stamp)) for path, face, stamp in lists.get(name, ())
                )
                for name in ("preferred", "system")
            )
        )

    def with_stamps(self) -> FontSources:
        """The same files as they are now. Looks at each: off the event loop."""
        return FontSources(*(tuple(map(_stamped, files)) for files in (self.preferred, self.system)))

    def as_json(self) -> dict[str, list[list[Any]]]:
        """Sources in JSON values."""
        return {
            "preferred": [list(file) for file in self.preferred],
            "system": [list(file) for file in self.system],
        }

    def fingerprint(self) -> str:
        """A digest of stamped files that changes when one is added, replaced or removed, or their order changes.

        Inodes do not count, as they differ between hosts that have the same fonts.
        """
        digest = hashlib.sha256()
        for file in (*self.preferred, None, *self.system):
            digest.update(repr(file and (file.path, file.face, *file.stamp[:2])).encode())
        return digest.hexdigest()


def _stamped(file: FontFile) -> FontFile:
    try:
        status = Path(file.path).stat()
    except OSError:
        return file._replace(stamp=(-1, -1, -1))
    return file._replace(stamp=(status.st_size, status.st_mtime_ns, status.st_ino))
