"""Folders that are removed as a whole, and their sizes."""

from __future__ import annotations

import shutil
from pathlib import Path
from secrets import token_hex

TEMPORARY_PREFIX = ".draft-"
"""Begins the name of a folder that is being written or removed."""


def remove(folder: Path, *, trash_dir: Path | None = None) -> None:
    """Removes an entry or a bundle: atomically from its path by a rename, then from the disk.

    ``trash_dir`` is the folder on the same file system that it is moved to; by default its parent. Raises OSError.
    """
    trash = (trash_dir or folder.parent) / f"{TEMPORARY_PREFIX}{token_hex(8)}"
    folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Total size in bytes of the files below ``folder``."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
