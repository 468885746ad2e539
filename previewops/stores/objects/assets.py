"""Imported assets in the bucket of the store, by the hash of their content."""

from __future__ import annotations

from previewops.bucket_addresses import BucketAddress
from previewops.errors import StoreUnavailable
from previewops.stores.objects.client import ConditionFailed, Headers, ObjectStoreFailure, connect

_HEADERS = Headers("application/octet-stream", "private, max-age=31536000, immutable")


class AssetUploader:
    """Writes assets below ``address``."""

    def __init__(self, address: BucketAddress) -> None:
        self._address = address
        self._client = connect(address)

    def upload(self, name: str, content: bytes) -> None:
        """Writes ``content``, unless the object exists: its name is that of its content.

        Raises:
            StoreUnavailable: the bucket cannot be written to now.
        """
        try:
            self._client.put(name, content, _HEADERS, expected=None)
        except ConditionFailed:
            return
        except ObjectStoreFailure as failure:
            raise StoreUnavailable(str(self._address), str(failure)) from failure
