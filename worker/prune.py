"""Removing what is no longer wanted under DATA_DIR: what is kept for reuse, and bundles of long ago."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from previewops.settings import Settings
from previewops.worker.cache.eviction import select_evictions
from previewops.worker.cache.store import CacheStore, SizedFolder, remove
from previewops.worker.publish.publish import fence_path

MIB = 1024 * 1024


def cache_dir(data_dir: Path) -> Path:
    """Where results are kept for reuse."""
    return data_dir / "cache"


def cache_to_evict(settings: Settings, now_s: float) -> list[SizedFolder]:
    """Entries beyond PREVIEW_CACHE_MAX_MB and PREVIEW_CACHE_MAX_AGE_S; all of them, if nothing is to be reused."""
    return select_evictions(
        CacheStore(cache_dir(settings.data_dir)).list_entries(),
        now_s=now_s,
        max_age_s=settings.cache_max_age_s,
        max_bytes=settings.cache_max_mb * MIB,
    )


def prune_cache(settings: Settings, now_s: float) -> list[SizedFolder]:
    """Removes ``surplus_cache`` and returns what has removed."""
    removed = []
    for entry in cache_to_evict(settings, now_s):
        with suppress(OSError):
            remove(entry.folder)
            removed.append(entry)
    return removed


def expired_bundles(
    data_dir: Path, *, project: str | None, now_s: float, older_than_s: float
) -> list[SizedFolder]:
    """Published bundles of ``project`` (None: of all) that were made longer than ``older_than_s`` ago."""
    bundles = []
    for folder in (data_dir / "previews").glob("*/*"):
        if project is not None and folder.parent.name != project:
            continue
        with suppress(OSError):  # a folder that has no such file is no bundle
            size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
            bundles.append(SizedFolder(folder, size, _rendered_at_s(folder)))
    return select_evictions(bundles, now_s=now_s, max_age_s=older_than_s)


def remove_bundle(data_dir: Path, bundle: SizedFolder) -> bool:
    """Removes a bundle, unless it has been published anew since or is being so. Readers see it whole or not at all.

    Its fence stays, so that no late attempt brings it back.

    Raises:
        OSError: it cannot be removed.
    """
    with _locked_fence(fence_path(data_dir, bundle.folder.parent.name, bundle.folder.name)) as unlocked:
        if not unlocked or _rendered_at_s(bundle.folder) != bundle.last_used_s:
            return False
        remove(bundle.folder, trash_dir=data_dir / ".staging")
        return True


def _rendered_at_s(bundle: Path) -> float:
    """When the bundle was made: of its files this is the one that is written for every job, reused or not."""
    return (bundle / "preview.json").stat().st_mtime


@contextmanager
def _locked_fence(fence: Path) -> Iterator[bool]:
    """Whether nobody publishes behind ``fence``, which is held meanwhile."""
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
