"""Font files besides the fonts of the package. Does not import Pillow: a worker passes them to children unopened."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

MAX_FONT_BYTES = 256 * 1024 * 1024
"""Maximum size of a font file. Collections of East Asian scripts have up to 150 MB."""


class FontFile(NamedTuple):
    """A font file and the index of a face in it (0 except in collections).

    ``stamp`` is size in bytes, modification time in ns and inode, set by ``FontSources.with_stamps``. Caches use the
    ``FontFile`` as their key, so that they notice a replaced file. A file that must not be opened (missing, not a
    regular file, larger than ``MAX_FONT_BYTES``) has the stamp (-1, -1, -1).
    """

    path: str
    face: int = 0
    stamp: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class FontSources:
    """Font files in fallback order: ``preferred`` come before Inter, ``system`` after it."""

    preferred: tuple[FontFile, ...] = ()
    system: tuple[FontFile, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Sequence[Sequence[Any]]] | None) -> FontSources:
        """Decodes ``as_json``; None means only the fonts of the package."""
        lists = value or {}
        preferred, system = (
            tuple(FontFile(str(path), int(face), tuple(stamp)) for path, face, stamp in lists.get(name, ()))
            for name in ("preferred", "system")
        )
        return cls(preferred, system)

    def with_stamps(self) -> FontSources:
        """Returns the files with current stamps, or itself if all are. Calls stat(2) on each: use a thread."""
        stamped = FontSources(*(tuple(map(_stamped, files)) for files in (self.preferred, self.system)))
        return self if stamped == self else stamped

    def as_json(self) -> dict[str, list[list[Any]]]:
        """Encodes the sources as JSON values."""
        return {
            "preferred": [list(file) for file in self.preferred],
            "system": [list(file) for file in self.system],
        }

    def fingerprint(self) -> str:
        """Returns a digest of stamped files; it changes with every added, replaced, removed or reordered file.

        Inodes are not part of it, as they differ between hosts with the same fonts.
        """
        return _fingerprint(self)


@lru_cache(maxsize=2)
def _fingerprint(sources: FontSources) -> str:
    digest = hashlib.sha256()
    for file in (*sources.preferred, None, *sources.system):
        digest.update(repr(file and (file.path, file.face, *file.stamp[:2])).encode())
    return digest.hexdigest()


def _stamped(file: FontFile) -> FontFile:
    stamp = _read_stamp(file.path)
    return file if stamp == file.stamp else file._replace(stamp=stamp)


def _read_stamp(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - each job calls it for hundreds of files
    except OSError:
        return -1, -1, -1
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FONT_BYTES:
        return -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_ino
