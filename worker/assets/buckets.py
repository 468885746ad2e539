"""Fetches assets from buckets: S3 and compatible services, Google Cloud Storage, Azure Blob Storage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from previewops.bucket_addresses import BucketAddress
from previewops.contract import BucketUri
from previewops.stores.objects.client import (
    FailureReason,
    ObjectMissing,
    ObjectStoreFailure,
    ObstoreClient,
    connect,
)
from previewops.worker.assets.opener import (
    AssetRef,
    check_size,
    permanent_asset_error,
    storage_errors,
    transient_asset_error,
)


@dataclass(frozen=True, slots=True)
class FetchedObject:
    """What was fetched: size in bytes, the object's identity, and when it was last changed (s since the epoch)."""

    size: int
    identity: tuple[int | str, ...]
    modified_s: float


class BucketFetcher:
    """Fetches objects below ``buckets``, with the credentials of the provider's own chain. Thread-safe."""

    def __init__(
        self,
        buckets: tuple[BucketAddress, ...],
        make_client: Callable[[BucketAddress], ObstoreClient] = connect,
    ) -> None:
        self._buckets = buckets
        self._make_client = make_client
        self._clients: dict[BucketAddress, ObstoreClient] = {}
        self._lock = threading.Lock()

    def fetch(self, asset: AssetRef, uri: BucketUri, into: BinaryIO, *, max_bytes: int) -> FetchedObject:
        """Writes the object to ``into``.

        Raises:
            PermanentJobError: asset-host-refused, asset-missing, asset-too-large.
            TransientJobError: asset-unreachable, asset-incomplete, disk-full, io-error.
        """
        bucket = next((one for one in self._buckets if one.contains(uri.scheme, uri.bucket, uri.key)), None)
        if bucket is None:
            raise permanent_asset_error(
                "asset-host-refused",
                asset,
                "its bucket is not allowed",
                found=f"{uri.scheme}://{uri.bucket}",
                allowed=", ".join(map(str, self._buckets)) or "no bucket",
                hint="add the bucket to PREVIEW_ASSET_BUCKETS, or copy the file under an asset root",
            )
        try:
            return self._copy(asset, bucket, uri, into, max_bytes)
        except ObjectMissing:
            raise self._missing(asset, "no such object") from None
        except ObjectStoreFailure as failure:
            if failure.reason is FailureReason.MISSING:
                raise self._missing(asset, str(failure)) from failure
            raise transient_asset_error(
                "asset-unreachable",
                asset,
                f"the bucket cannot be read: {failure}",
                found=str(failure),
                allowed="a bucket that the worker's credentials can read",
                hint="check the service and the worker's credentials",
            ) from failure

    def _copy(
        self, asset: AssetRef, bucket: BucketAddress, uri: BucketUri, into: BinaryIO, max_bytes: int
    ) -> FetchedObject:
        listed, parts = self._client(bucket).open_object(uri.key)
        check_size(asset, listed.size, max_bytes)
        written = 0
        for part in parts:
            written += len(part)
            check_size(asset, written, max_bytes)
            with storage_errors():
                into.write(part)
        if written != listed.size:
            raise transient_asset_error(
                "asset-incomplete",
                asset,
                f"size: found {written} bytes, expected {listed.size}",
                found=f"{written} bytes",
                allowed=f"{listed.size} bytes",
                hint="the object was cut off or replaced during the download",
            )
        identity = (uri.scheme, uri.bucket, uri.key, listed.version.etag or "", listed.size)
        return FetchedObject(written, identity, listed.modified_s)

    def _client(self, bucket: BucketAddress) -> ObstoreClient:
        whole = bucket.whole()
        with self._lock:
            if whole not in self._clients:
                self._clients[whole] = self._make_client(whole)
            return self._clients[whole]

    @staticmethod
    def _missing(asset: AssetRef, found: str) -> Exception:
        return permanent_asset_error(
            "asset-missing",
            asset,
            "the object does not exist",
            found=found,
            allowed="an object that the worker's credentials can read",
            hint="upload the object, or correct its uri",
        )
