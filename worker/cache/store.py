"""Store of cache entries: small folders under one root, named by their key.

    <root>/<kind>/<first two digits>/<key>/    the files, and entry.json: their metadata and lengths

An entry appears by a rename, complete or not at all. Its files are hard links to a bundle's where the file system
allows, otherwise copies. Length and modification time of each file must match entry.json before reuse, so that a file
changed in place, or emptied by a power failure, is not reused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from previewops.stores.folder.trees import TEMPORARY_PREFIX, remove, size_of

ENTRY_FILE = "entry.json"
_KEY = re.compile(r"[0-9a-f]{64}")
_TEMPORARY_MAX_AGE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A valid entry: its folder, file names and metadata."""

    folder: Path
    file_names: tuple[str, ...]
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SizedFolder:
    """A cache entry with its size in bytes and time of last use (s since the epoch)."""

    folder: Path
    size_bytes: int
    last_used_s: float


class CacheStore:
    """The store below ``root``. Disk errors cause cache misses, and never fail a job."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, kind: str, key: str) -> CacheEntry | None:
        """The entry of ``key`` if its files are unchanged, else None. Marks it as used now."""
        folder = self._folder(kind, key)
        try:
            entry = json.loads((folder / ENTRY_FILE).read_bytes())
            for name, size, changed_ns in entry["files"]:
                status = (folder / name).lstat()
                if (status.st_size, status.st_mtime_ns) != (size, changed_ns):
                    return None
            os.utime(folder / ENTRY_FILE)
            return CacheEntry(folder, tuple(name for name, _, _ in entry["files"]), entry["about"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, kind: str, key: str, files: Mapping[str, Path], metadata: Mapping[str, Any]) -> None:
        """Stores ``files`` by their names. Replaces an entry of the same key."""
        folder = self._folder(kind, key)
        temporary = folder.parent / f"{TEMPORARY_PREFIX}{token_hex(8)}"
        try:
            for name, source in files.items():
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(source, target)
            stats = {name: (temporary / name).lstat() for name in files}
            listed_files = [(name, status.st_size, status.st_mtime_ns) for name, status in stats.items()]
            content = json.dumps({"files": listed_files, "about": metadata})
            (temporary / ENTRY_FILE).write_text(content, "utf-8")
            if folder.exists():
                remove(folder)
            temporary.rename(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)  # another worker was first, or the disk is full

    def list_entries(self) -> Iterator[SizedFolder]:
        """All entries; old temporary folders count as never used."""
        for folder in self.root.glob("*/*/*"):
            with suppress(OSError):
                if folder.name.startswith(TEMPORARY_PREFIX):
                    if time.time() - folder.stat().st_mtime > _TEMPORARY_MAX_AGE_S:
                        yield SizedFolder(folder, size_of(folder), 0.0)
                elif _KEY.fullmatch(folder.name):
                    listing = folder / ENTRY_FILE
                    used_s = listing.stat().st_mtime if listing.exists() else 0.0
                    yield SizedFolder(folder, size_of(folder), used_s)

    def _folder(self, kind: str, key: str) -> Path:
        assert _KEY.fullmatch(key), "a key has 64 hexadecimal digits"
        return self.root / kind / key[:2] / key


class WriteOnlyStore(CacheStore):
    """A store whose entries are replaced and never found."""

    def find(self, kind: str, key: str) -> CacheEntry | None:
        return None


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-links ``source`` to ``target``, or copies it where that fails. Raises OSError if both fail."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, one without links, or too many links
        shutil.copy2(source, target, follow_symlinks=False)
