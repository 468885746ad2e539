"""Assets and output of a confined render process, which requests each file from its worker."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, cast

from previewops.worker.assets.opener import MAX_OPEN_BATCH, AssetRef, OpenedAsset
from previewops.worker.publish.output import MAX_CREATE_BATCH
from previewops.worker.sandbox.child import TaskContext

_KEPT_ASSETS = 64  # descriptors; a process may have 256 open


class RemoteAssets:
    """Opens assets by their ids. The worker holds their addresses, and checks their size.

    ``expected`` are the ids of all assets in the order of use: several are requested at once. An asset that was
    opened is kept for the next use, unless its file has changed since.
    """

    def __init__(self, context: TaskContext, expected: Iterable[str] = ()) -> None:
        self._context = context
        self._expected = dict.fromkeys(expected)
        self._kept: dict[str, _KeptAsset] = {}

    def open(self, asset: AssetRef, *, max_bytes: int) -> OpenedAsset:
        """See ``previewops.worker.assets.opener.AssetOpener``."""
        kept = self._kept.get(asset.id)
        if kept is None or kept.stamp != _stamp(kept.fd):
            kept = self._request(asset.id)
        return OpenedAsset(kept.open_file(), kept.size, kept.identity)

    def close(self) -> None:
        """Closes the assets that are kept."""
        while self._kept:
            os.close(self._kept.popitem()[1].fd)

    def _request(self, name: str) -> _KeptAsset:
        self._expected.pop(name, None)
        names = [name, *islice(self._expected, MAX_OPEN_BATCH - 1)]
        reply, fds = self._context.request(open=names)
        for opened, info, fd in zip(names, reply["opened"], fds, strict=False):
            self._expected.pop(opened, None)
            self._keep(opened, _KeptAsset(fd, info["size"], tuple(info["identity"]), _stamp(fd)))
        return self._kept[name]

    def _keep(self, name: str, asset: _KeptAsset) -> None:
        outdated = self._kept.pop(name, None)
        if outdated is None and len(self._kept) == _KEPT_ASSETS:
            outdated = self._kept.pop(next(iter(self._kept)))
        if outdated is not None:
            os.close(outdated.fd)
        self._kept[name] = asset


@dataclass(frozen=True, slots=True)
class _KeptAsset:
    """An open asset. Its file is unchanged while the ``stamp`` of ``fd`` stays the same."""

    fd: int
    size: int
    identity: tuple[int | str, ...]
    stamp: tuple[int, ...]

    def open_file(self) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(_PositionedReader(os.dup(self.fd))))


class _PositionedReader(io.RawIOBase):
    """Reads a file from a position of its own: descriptors of one open file share theirs. Closes ``fd``."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = os.pread(self._fd, len(buffer), self._position)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: os.fstat(self._fd).st_size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = base + offset
        return self._position

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._fd)


def _stamp(fd: int) -> tuple[int, ...]:
    status = os.fstat(fd)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


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
