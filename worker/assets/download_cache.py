"""Downloads of one job: each asset once, into a file that stays until the job has ended.

A render opens an asset several times, and a server need not return the same content twice. The files have names, so
that no job holds a descriptor for each of hundreds of assets.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import BinaryIO, Protocol

from previewops.contract import BucketUri, HttpUri
from previewops.job_errors import PermanentJobError
from previewops.worker.assets.buckets import BucketFetcher, FetchedObject
from previewops.worker.assets.opener import (
    AssetRef,
    OpenedAsset,
    check_size,
    permanent_asset_error,
    storage_errors,
)

DEFAULT_TOTAL_BYTES = 500 * 1024 * 1024


class Fetcher(Protocol):
    """Downloads assets. Raises only the typed errors of jobs."""

    def fetch(self, asset: AssetRef, address: HttpUri, into: BinaryIO, *, max_bytes: int) -> int:
        """Writes the content of ``address`` to ``into``, and returns its length in bytes."""


class DownloadCache:
    """Downloads of one job by asset id: at most ``total_bytes``, in a new folder below ``spool`` (None: system's).

    ``close`` removes the folder, otherwise the end of the process does.
    """

    def __init__(
        self,
        fetcher: Fetcher | None,
        *,
        buckets: BucketFetcher | None = None,
        total_bytes: int = DEFAULT_TOTAL_BYTES,
        spool: Path | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._buckets = buckets
        self._objects: dict[str, FetchedObject] = {}
        self._remaining_bytes = self._total_bytes = total_bytes
        self._spool = spool
        self._folder: Path | None = None
        self._files: dict[str, Path] = {}
        self._closed = False

    def open(self, asset: AssetRef, address: HttpUri | BucketUri, *, max_bytes: int) -> OpenedAsset:
        """Opens the content of ``address``, downloaded the first time; the caller closes the file.

        Raises:
            PermanentJobError: fetched-too-large, asset-too-large, and those of the fetcher.
            TransientJobError: disk-full, io-error, and those of the fetcher.
        """
        path = self._files.get(asset.id) or self._fetch(asset, address, max_bytes)
        with storage_errors():
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            file = os.fdopen(handle, "rb")
        status = os.fstat(handle)
        try:
            check_size(asset, status.st_size, max_bytes)
        except PermanentJobError:
            file.close()
            raise
        if (fetched := self._objects.get(asset.id)) is not None:
            return OpenedAsset(file, status.st_size, fetched.identity, mtime_s=fetched.modified_s)
        identity = ("web", status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return OpenedAsset(file, status.st_size, identity)

    def close(self) -> None:
        """Removes the downloads. One that is in progress removes its own file at its end."""
        self._closed = True
        self._remove()

    def _fetch(self, asset: AssetRef, address: HttpUri | BucketUri, max_bytes: int) -> Path:
        try:
            with storage_errors():
                path = self._make_folder() / str(len(self._files))
                file = path.open("wb")
            with storage_errors(), file:
                self._remaining_bytes -= self._fetch_into(file, asset, address, max_bytes)
        finally:
            if self._closed:  # the job was cancelled while this thread downloaded
                self._remove()
        self._files[asset.id] = path
        return path

    def _fetch_into(
        self, file: BinaryIO, asset: AssetRef, address: HttpUri | BucketUri, max_bytes: int
    ) -> int:
        limit_bytes = min(max_bytes, self._remaining_bytes)
        try:
            if isinstance(address, BucketUri) and self._buckets is not None:
                fetched = self._buckets.fetch(asset, address, file, max_bytes=limit_bytes)
                self._objects[asset.id] = fetched
                return fetched.size
            if isinstance(address, HttpUri) and self._fetcher is not None:
                return self._fetcher.fetch(asset, address, file, max_bytes=limit_bytes)
        except PermanentJobError as error:
            if error.code != "asset-too-large" or limit_bytes == max_bytes:
                raise
            raise permanent_asset_error(
                "fetched-too-large",
                asset,
                f"the job's downloads would exceed {self._total_bytes} bytes",
                found=f"more than {self._total_bytes} bytes",
                allowed=f"at most {self._total_bytes} bytes in total",
                hint="use fewer or smaller files, or raise PREVIEW_FETCH_MAX_MB",
            ) from error
        raise permanent_asset_error(
            "asset-uri-unsupported",
            asset,
            "downloads from there are not enabled",
            found="a web address" if isinstance(address, HttpUri) else f"the bucket {address.bucket}",
            allowed="hosts of PREVIEW_ASSET_HOSTS and buckets of PREVIEW_ASSET_BUCKETS",
            hint="copy the file under an asset root",
        )

    def _make_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="fetched.", dir=self._spool))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def _remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
