"""Opens the store that the settings name."""

from __future__ import annotations

from previewops.asset_roots import ASSETS_FOLDER
from previewops.settings import Settings
from previewops.stores.assets import AssetStore
from previewops.stores.folder.assets import DRAFTS_FOLDER, FolderAssets
from previewops.stores.folder.store import FolderStore
from previewops.stores.port import BundleStore


def open_store(settings: Settings) -> BundleStore:
    """Returns the store of bundles: the bucket of PREVIEW_STORE, or DATA_DIR. Connects to nothing yet."""
    if settings.store is not None:
        from previewops.stores.objects.store import GRACE_S, ObjectStore  # noqa: PLC0415 - start-up time

        return ObjectStore(settings.store, grace_s=max(GRACE_S, settings.artifact_links))
    return FolderStore(settings.data_dir)


def open_assets(settings: Settings) -> AssetStore:
    """Returns the store of uploaded and imported assets: beside the bundles, in the bucket or in DATA_DIR.

    Raises:
        StoreRejected: the bucket cannot be used by this program.
    """
    if settings.store_assets is not None:
        from previewops.stores.objects.assets import BucketAssets  # noqa: PLC0415 - start-up time

        return BucketAssets(settings.store_assets, settings.data_dir / DRAFTS_FOLDER)
    return FolderAssets(settings.data_dir / ASSETS_FOLDER)
