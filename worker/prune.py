"""Selects expired cache entries and bundles, and removes cache entries."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from previewops.settings import Settings
from previewops.stores.folder.trees import remove
from previewops.stores.port import BundleStore, StoredBundle
from previewops.worker.cache.eviction import select_evictions
from previewops.worker.cache.store import CacheStore, SizedFolder

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
    store: BundleStore, *, project: str | None, now_s: float, older_than_s: float
) -> list[StoredBundle]:
    """Published bundles of ``project`` (None: all) rendered more than ``older_than_s`` ago.

    Raises:
        StoreUnavailable: the store cannot be read now.
    """
    listed = store.list_bundles(project, before_s=now_s - older_than_s)
    return select_evictions(listed, now_s=now_s, max_age_s=older_than_s)
