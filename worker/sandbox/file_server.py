"""Serves the file requests of one job's render process: assets to read, files to write, nothing else.

The process names an asset by its id. Its address always comes from the payload, even if the process is compromised.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from previewops.contract import BucketUri, HttpUri, UriNotAllowed, parse_uri
from previewops.job_errors import JobError
from previewops.worker.assets.opener import MAX_OPEN_BATCH, AssetOpener, AssetRef, OpenedAsset, storage_errors
from previewops.worker.cache.render_cache import THUMBNAILS, DigestCache, MissedThumbnail
from previewops.worker.cache.store import CacheStore
from previewops.worker.publish.output import MAX_CREATE_BATCH, FolderOutput
from previewops.worker.sandbox.framing import ProtocolError

_THUMBNAIL_REQUESTS = 2  # of each asset: before and after it is decoded

ReplyWithFds = tuple[dict[str, Any], tuple[int, ...]]


@dataclass(slots=True)
class FileServer:
    """Serves the files of one job.

    ``max_bytes`` limits each asset; ``output`` is None for a dry run. ``thumbnail_key`` returns the cache key of a
    thumbnail by asset id and decoded size, if ``store`` caches thumbnails.

    ``missed_thumbnails`` were requested and are not in the cache. ``created_paths`` were handed out for writing.
    ``asset_changed``: an asset was handed out that has changed since it was hashed.
    """

    assets: Mapping[str, AssetRef]
    opener: AssetOpener
    max_bytes: int
    output: FolderOutput | None
    store: CacheStore | None = None
    thumbnail_key: Callable[[str, tuple[int, int]], str] | None = None
    missed_thumbnails: list[MissedThumbnail] = field(default_factory=list)
    created_paths: set[str] = field(default_factory=set)
    asset_changed: bool = False
    _hashed_identities: dict[str, tuple[int | str, ...]] = field(default_factory=dict)  # by asset id

    async def handle(self, request: dict[str, Any]) -> ReplyWithFds:
        """Raises ProtocolError for an unknown request, and the errors of opening and writing."""
        match request:
            case {"open": [*names]} if _are_texts(names, MAX_OPEN_BATCH) and self.assets.keys() >= set(names):
                return await _run_in_thread(lambda: self._open_all([self.assets[name] for name in names]))
            case {"create": [*paths]} if self.output is not None and _are_texts(paths, MAX_CREATE_BATCH):
                output = self.output
                created = await _run_in_thread(lambda: ({}, _create_files(output, paths)))
                self.created_paths.update(paths)
                return created
            case {"thumbnail": str(name), "size": [int(width), int(height)]} if name in self.assets:
                return await _run_in_thread(lambda: self._thumbnail(name, (width, height)))
        raise ProtocolError("an unknown request")

    async def hash_assets(self, digests: DigestCache) -> dict[str, str]:
        """Hex SHA-256 of each asset's content, by id. Raises the errors of opening."""
        return {name: await self._digest(ref, digests) for name, ref in self.assets.items()}

    async def _digest(self, ref: AssetRef, digests: DigestCache) -> str:
        def hashed() -> str:
            opened = self.opener.open(ref, max_bytes=self.max_bytes)
            self._hashed_identities[ref.id] = opened.identity
            with storage_errors(), opened.file:
                return digests.digest(opened, time.time())

        return await asyncio.to_thread(hashed)

    def _thumbnail(self, name: str, size: tuple[int, int]) -> ReplyWithFds:
        if self.store is None or self.thumbnail_key is None:
            return {}, ()
        key = self.thumbnail_key(name, size)
        entry = self.store.find(THUMBNAILS, key)
        if entry is not None:
            with suppress(OSError, IndexError):  # another worker evicted it, or another version wrote it
                flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
                return entry.metadata, (os.open(entry.folder / entry.file_names[0], flags),)
        if len(self.missed_thumbnails) >= _THUMBNAIL_REQUESTS * len(self.assets):
            raise ProtocolError("too many requests for thumbnails")
        self.missed_thumbnails.append(MissedThumbnail(name, key))
        return {}, ()

    def _open_all(self, assets: list[AssetRef]) -> ReplyWithFds:
        """Opens the first, and those that follow it as long as they are local and none fails."""
        infos: list[dict[str, Any]] = []
        fds: list[int] = []
        try:
            for asset in assets:
                if infos and not _is_local(asset):
                    break
                info, fd = self._open(asset)
                infos.append(info)
                fds.append(fd)
        except BaseException as error:
            if not (infos and isinstance(error, JobError)):  # its own request will raise it
                for fd in fds:
                    os.close(fd)
                raise
        return {"opened": infos}, tuple(fds)

    def _open(self, asset: AssetRef) -> tuple[dict[str, Any], int]:
        opened = self.opener.open(asset, max_bytes=self.max_bytes)
        if self._hashed_identities.get(asset.id, opened.identity) != opened.identity:
            self.asset_changed = True
        info = {"size": opened.size, "identity": list(opened.identity)}
        with storage_errors():
            return info, _read_only_fd(opened)


def _are_texts(values: list[Any], allowed: int) -> bool:
    return 0 < len(values) <= allowed and all(isinstance(value, str) for value in values)


def _is_local(asset: AssetRef) -> bool:
    try:
        return not isinstance(parse_uri(asset.uri), HttpUri | BucketUri)
    except UriNotAllowed:
        return False


def _create_files(output: FolderOutput, paths: list[str]) -> tuple[int, ...]:
    """Descriptors of new files: all or none."""
    fds: list[int] = []
    try:
        for path in paths:
            fds.append(output.create_descriptor(path))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return tuple(fds)


def _read_only_fd(opened: OpenedAsset) -> int:
    """A descriptor for reading from the beginning. Closes ``opened.file``."""
    try:
        opened.file.fileno()
    except OSError:  # content of the payload itself
        with os.fdopen(os.memfd_create("asset", os.MFD_CLOEXEC), "wb") as copy:
            copy.write(opened.file.read())
            copy.flush()
            return os.open(f"/proc/self/fd/{copy.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    return _detach_fd(opened.file)


def _detach_fd(file: BinaryIO) -> int:
    """The descriptor of ``file``. Closes the file object."""
    with file:
        return os.dup(file.fileno())


async def _run_in_thread(function: Callable[[], ReplyWithFds]) -> ReplyWithFds:
    """The result of ``function``. Closes its descriptors if the caller is cancelled."""
    task = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_close_fds)
        raise


def _close_fds(task: asyncio.Future[ReplyWithFds]) -> None:
    if not task.cancelled() and task.exception() is None:
        for fd in task.result()[1]:
            os.close(fd)
