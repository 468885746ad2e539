"""Opens the store that the settings name."""

from __future__ import annotations

from previewops.settings import Settings
from previewops.stores.folder.store import FolderStore
from previewops.stores.port import BundleStore


def open_store(settings: Settings) -> BundleStore:
    """Returns the store of bundles: DATA_DIR."""
    return FolderStore(settings.data_dir)
