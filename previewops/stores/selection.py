"""Opens the store that the settings name."""

from __future__ import annotations

from previewops.settings import Settings
from previewops.stores.folder.store import FolderStore
from previewops.stores.port import BundleStore


def open_store(settings: Settings) -> BundleStore:
    """Returns the store of bundles: the bucket of PREVIEW_STORE, or DATA_DIR. Connects to nothing yet."""
    if settings.store is not None:
        from previewops.stores.objects.store import GRACE_S, ObjectStore  # noqa: PLC0415 - start-up time

        return ObjectStore(settings.store, grace_s=max(GRACE_S, settings.artifact_links))
    return FolderStore(settings.data_dir)
