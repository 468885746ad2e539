"""Assets and output of a confined render process, which requests each file from its worker."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO, NamedTuple

from previewops.worker.assets.opener import AssetRef, OpenedAsset
from previewops.worker.publish.output import MAX_CREATE_BATCH
from previewops.worker.sandbox.child import TaskContext


class RemoteAssets:
    """Opens assets by their ids. The worker holds their addresses, and checks their size."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context

    def open(self, asset: AssetRef, *, max_bytes: int) -> OpenedAsset:
        """See ``previewops.worker.assets.opener.AssetOpener``."""
        info, (fd,) = self._context.request(open=asset.id)
        return OpenedAsset(os.fdopen(fd, "rb"), info["size"], tuple(info["identity"]))


class RemoteOutput:
    """Creates the files of the bundle. Requests expected files together, since each request waits."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._expected: dict[str, None] = {}
        self._ready: dict[str, int] = {}

    def expect(self, paths: Iterable[str]) -> None:
        """See ``previewops.worker.publish.output.Output``."""
        self._expected.update(dict.fromkeys(paths))

    def create(self, path: str) -> BinaryIO:
        """See ``previewops.worker.publish.output.Output``."""
        if path not in self._ready:
            self._expected.pop(path, None)
            count = max(0, MAX_CREATE_BATCH - 1 - len(self._ready))
            paths = [path, *islice(self._expected, count)]
            _, fds = self._context.request(create=paths)
            self._ready.update(zip(paths, fds, strict=True))
            for ahead in paths[1:]:
                del self._expected[ahead]
        return os.fdopen(self._ready.pop(path), "w+b")

    def close(self) -> None:
        """Closes files that were expected and not written, because the job has failed."""
        while self._ready:
            os.close(self._ready.popitem()[1])


class CachedThumbnail(NamedTuple):
    """A thumbnail's encoded file and its placeholder."""

    content: bytes
    thumbhash: str
    colour: str


class RemoteThumbnails:
    """Cached thumbnails of the same content."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context

    def find(self, asset_id: str, decoded: tuple[int, int]) -> CachedThumbnail | None:
        """The cached thumbnail of an asset decoded at ``decoded`` pixels, or None."""
        info, fds = self._context.request(thumbnail=asset_id, size=list(decoded))
        if not fds:
            return None
        with os.fdopen(fds[0], "rb") as file:
            return CachedThumbnail(file.read(), info["thumbhash"], info["dominantColour"])
