"""Which font files there are beside the package's own. No Pillow here: a worker can pass them on unopened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class FontFile(NamedTuple):
    """A font file, and the number of the face in it, which is 0 but in collections."""

    path: str
    face: int = 0


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
                tuple(FontFile(str(path), int(index)) for path, index in lists.get(name, ()))
                for name in ("preferred", "system")
            )
        )

    def as_json(self) -> dict[str, list[list[str | int]]]:
        """Sources in JSON values."""
        return {
            "preferred": [list(file) for file in self.preferred],
            "system": [list(file) for file in self.system],
        }

    def fingerprint(self) -> str:
        """A digest that changes when a font is added, replaced or removed, or their order changes."""
        digest = hashlib.sha256()
        for file in (*self.preferred, None, *self.system):
            digest.update(repr(file and (*file, *_stamp(file.path))).encode())
        return digest.hexdigest()


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
