"""Removes expired cache entries and bundles under DATA_DIR."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from previewops.settings import Settings
from previewops.worker.cache.eviction import select_evictions
from previewops.worker.cache.store import CacheStore, SizedFolder, remove, size_of
from previewops.worker.publish.publish import fence_path

MIB = 1024 * 1024


def cache_dir(data_dir: Path) -> Path:
    """The folder of the render cache."""
    return data_dir / "cache"


def cache_to_evict(settings: Settings, now_s: float) -> list[SizedFolder]:
    """Cache entries beyond PREVIEW_CACHE_MAX_MB and PREVIEW_CACHE_MAX_AGE_S; all if the cache is disabled."""
    return select_evictions(
        CacheStore(cache_dir(settings.data_dir)).list_entries(),
        now_s=now_s,
        max_age_s=settings.cache_max_age_s,
        max_bytes=settings.cache_max_mb * MIB,
    )


def prune_cache(settings: Settings, now_s: float) -> list[SizedFolder]:
    """Removes the entries of ``cache_to_evict`` and returns those removed."""
    removed = []
    for entry in cache_to_evict(settings, now_s):
        with suppress(OSError):
            remove(entry.folder)
            removed.append(entry)
    return removed


def expired_bundles(
    data_dir: Path, *, project: str | None, now_s: float, older_than_s: float
) -> list[SizedFolder]:
    """Published bundles of ``project`` (None: all) rendered more than ``older_than_s`` ago."""
    bundles = []
    for folder in (data_dir / "previews").glob("*/*"):
        if project is not None and folder.parent.name != project:
            continue
        with suppress(OSError):  # a folder without this file is not a bundle
            bundles.append(SizedFolder(folder, size_of(folder), _rendered_at_s(folder)))
    return select_evictions(bundles, now_s=now_s, max_age_s=older_than_s)


def remove_bundle(data_dir: Path, bundle: SizedFolder) -> bool:
    """Removes a bundle atomically, unless it was or is being published again. Returns whether it was removed.

    Its fence stays, so that no late attempt publishes it again.

    Raises:
        OSError: it cannot be removed.
    """
    with _locked_fence(fence_path(data_dir, bundle.folder.parent.name, bundle.folder.name)) as unlocked:
        if not unlocked or _rendered_at_s(bundle.folder) != bundle.last_used_s:
            return False
        remove(bundle.folder, trash_dir=data_dir / ".staging")
        return True


def _rendered_at_s(bundle: Path) -> float:
    """When the bundle was rendered: preview.json is the file that every job writes, reused or not."""
    return (bundle / "preview.json").stat().st_mtime


@contextmanager
def _locked_fence(fence: Path) -> Iterator[bool]:
    """Locks ``fence``. Yields False if another process publishes."""
    try:
        handle = os.open(fence, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
