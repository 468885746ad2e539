"""Uploaded and imported assets in the bucket of the store, by the hash of their content."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from previewops.bucket_addresses import BucketAddress
from previewops.errors import StoreUnavailable
from previewops.file_kinds import EXTENSIONS
from previewops.stores.assets import StoredAsset, asset_name, parse_asset_name
from previewops.stores.objects.client import (
    Headers,
    ListedObject,
    ObjectMissing,
    ObjectStoreFailure,
    ObstoreClient,
    connect,
)

_HEADERS = Headers("application/octet-stream", "private, max-age=31536000, immutable")

REFRESH_AGE_S = 86_400.0
"""Age in seconds from which an object is written again when it is used: a bucket keeps no other time of use."""


class BucketAssets:
    """Assets below ``address``; see ``AssetStore``. ``drafts`` is a local folder. Thread-safe."""

    def __init__(
        self,
        address: BucketAddress,
        drafts: Path,
        *,
        make_client: Callable[[BucketAddress], ObstoreClient] = connect,
    ) -> None:
        self._address = address
        self._drafts = drafts
        self._client = make_client(address)

    @property
    def location(self) -> str:
        """Address of the bucket and the prefix."""
        return str(self._address)

    @property
    def drafts(self) -> Path:
        """See ``AssetStore.drafts``."""
        return self._drafts

    def uri(self, name: str) -> str:
        """The address of the object."""
        return f"{self._address}/{name}"

    def contains(self, path: PurePosixPath) -> bool:
        """False: its uris are addresses."""
        return False

    def find(self, sha256: str) -> StoredAsset | None:
        """See ``AssetStore.find``. An older object counts as missing, so that it is uploaded again."""
        for extension in EXTENSIONS:
            try:
                listed = self._client.head(asset_name(sha256, extension))
            except ObjectMissing:
                continue
            except ObjectStoreFailure as failure:
                raise StoreUnavailable(self.location, str(failure)) from failure
            if time.time() - listed.modified_s < REFRESH_AGE_S:
                return self._stored(listed)
        return None

    def add(self, draft: Path, sha256: str, extension: str) -> StoredAsset:
        """See ``AssetStore.add``."""
        size = draft.stat().st_size
        try:
            existing = self.find(sha256)
            if existing is not None:
                return existing
            # Without a condition: every writer of this name writes the same content.
            self._client.upload(asset_name(sha256, extension), draft, _HEADERS)
        except ObjectStoreFailure as failure:
            raise StoreUnavailable(self.location, str(failure)) from failure
        finally:
            draft.unlink(missing_ok=True)
        return StoredAsset(sha256, extension, self.uri(asset_name(sha256, extension)), size, time.time())

    def list_assets(self) -> Iterator[StoredAsset]:
        """See ``AssetStore.list_assets``."""
        try:
            for listed in self._client.list_all(""):
                if parse_asset_name(listed.path) is not None:
                    yield self._stored(listed)
        except ObjectStoreFailure as failure:
            raise StoreUnavailable(self.location, str(failure)) from failure

    def remove(self, asset: StoredAsset) -> bool:
        """See ``AssetStore.remove``."""
        name = asset_name(asset.sha256, asset.extension)
        try:
            with suppress(ObjectMissing):
                if self._client.head(name).modified_s > asset.used_s:
                    return False
            self._client.delete([name])
        except ObjectStoreFailure as failure:
            raise StoreUnavailable(self.location, str(failure)) from failure
        return True

    def _stored(self, listed: ListedObject) -> StoredAsset:
        sha256, extension = parse_asset_name(listed.path) or ("", "")
        return StoredAsset(sha256, extension, self.uri(listed.path), listed.size, listed.modified_s)
