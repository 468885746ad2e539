"""Assets and output of a render process that may open nothing itself: it asks its worker for each."""

from __future__ import annotations

import os
from typing import BinaryIO, NamedTuple

from previewops.worker.assets import AssetRef, OpenedAsset
from previewops.worker.child import Host


class BrokeredAssets:
    """Opens the assets of the job by their ids. The worker knows their addresses, and has its own bound."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def open(self, asset: AssetRef, *, max_bytes: int) -> OpenedAsset:
        """See ``previewops.worker.assets.AssetOpener``."""
        about, handle = self._host.ask(open=asset.id)
        assert handle is not None, "an asset without its file"
        return OpenedAsset(os.fdopen(handle, "rb"), about["size"], tuple(about["identity"]))


class BrokeredOutput:
    """Writes the files of the job."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def create(self, path: str) -> BinaryIO:
        """See ``previewops.worker.output.Output``."""
        _, handle = self._host.ask(create=path)
        assert handle is not None, "an output without its file"
        return os.fdopen(handle, "w+b")


class KnownThumbnail(NamedTuple):
    """A thumbnail's file as it was encoded before, and the placeholder that goes with it."""

    content: bytes
    thumbhash: str
    colour: str


class BrokeredThumbnails:
    """Thumbnails that were made before of the same content."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def find(self, asset_id: str, decoded: tuple[int, int]) -> KnownThumbnail | None:
        """The thumbnail of an asset that would be decoded at ``decoded`` (pixels), if it is known."""
        about, handle = self._host.ask(thumbnail=asset_id, size=list(decoded))
        if handle is None:
            return None
        with os.fdopen(handle, "rb") as file:
            return KnownThumbnail(file.read(), about["thumbhash"], about["dominantColour"])
