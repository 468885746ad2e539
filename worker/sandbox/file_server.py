"""Answers what one job's render process asks for: an asset to read, a file to write. Nothing else is handed out.

The process names an asset by its id, and the address behind the id is the payload's, whatever has become of the
process meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from previewops.worker.assets.opener import AssetOpener, AssetRef, OpenedAsset, storage_errors
from previewops.worker.cache.render_cache import THUMBNAILS, DigestCache, MissedThumbnail
from previewops.worker.cache.store import CacheStore
from previewops.worker.publish.output import MAX_CREATE_BATCH, Output
from previewops.worker.sandbox.framing import ProtocolError

ReplyWithFds = tuple[dict[str, Any], tuple[int, ...]]


class FileServer:
    """The desk of one job.

    ``max_bytes`` bounds each asset; ``output`` None is a dry run's, which writes nothing. ``thumbnail_key`` gives
    the key of an asset's thumbnail, from its id and the size at which it is decoded, where ``store`` keeps some.

    ``missed`` has the thumbnails that were asked for and are not entry; ``created`` the paths that were handed out
    to be written; ``changed`` tells whether an asset was handed out that is not as it was when it was hashed.
    """

    def __init__(
        self,
        assets: Mapping[str, AssetRef],
        opener: AssetOpener,
        *,
        max_bytes: int,
        output: Output | None,
        store: CacheStore | None = None,
        thumbnail_key: Callable[[str, tuple[int, int]], str] | None = None,
    ) -> None:
        self._assets = assets
        self._opener = opener
        self._max_bytes = max_bytes
        self._output = output
        self._store = store
        self._thumbnail_key = thumbnail_key
        self._hashed_identities: dict[str, tuple[int | str, ...]] = {}  # identities by asset id
        self.missed_thumbnails: list[MissedThumbnail] = []
        self.created_paths: set[str] = set()
        self.asset_changed = False

    async def handle(self, question: dict[str, Any]) -> ReplyWithFds:
        """Raises BadFrame for a question that no renderer asks; and what opening and writing raise."""
        match question:
            case {"open": str(name)} if name in self._assets:
                return await _run_in_thread(lambda: self._open(self._assets[name]))
            case {"create": [*paths]} if self._output is not None and _are_paths(paths):
                output = self._output
                created = await _run_in_thread(lambda: ({}, _create_files(output, paths)))
                self.created_paths.update(paths)
                return created
            case {"thumbnail": str(name), "size": [int(width), int(height)]} if name in self._assets:
                return await _run_in_thread(lambda: self._thumbnail(name, (width, height)))
        raise ProtocolError("a question that no renderer asks")

    async def hash_assets(self, digests: DigestCache) -> dict[str, str]:
        """Hex SHA-256 of every asset's content, by id. Raises what opening raises."""
        return {name: await self._digest(ref, digests) for name, ref in self._assets.items()}

    async def _digest(self, ref: AssetRef, digests: DigestCache) -> str:
        def hashed() -> str:
            opened = self._opener.open(ref, max_bytes=self._max_bytes)
            self._hashed_identities[ref.id] = opened.identity
            with storage_errors(), opened.file:
                return digests.digest(opened, time.time())

        return await asyncio.to_thread(hashed)

    def _thumbnail(self, name: str, size: tuple[int, int]) -> ReplyWithFds:
        if self._store is None or self._thumbnail_key is None:
            return {}, ()
        key = self._thumbnail_key(name, size)
        entry = self._store.find(THUMBNAILS, key)
        if entry is not None:
            with suppress(
                OSError, IndexError
            ):  # another worker has pruned it, or its entry is of another make
                flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
                return entry.metadata, (os.open(entry.folder / entry.file_names[0], flags),)
        self.missed_thumbnails.append(MissedThumbnail(name, key))
        return {}, ()

    def _open(self, asset: AssetRef) -> ReplyWithFds:
        opened = self._opener.open(asset, max_bytes=self._max_bytes)
        if self._hashed_identities.get(asset.id, opened.identity) != opened.identity:
            self.asset_changed = True
        info = {"size": opened.size, "identity": list(opened.identity)}
        with storage_errors():
            return info, (_read_only_fd(opened),)


def _are_paths(paths: list[Any]) -> bool:
    return 0 < len(paths) <= MAX_CREATE_BATCH and all(isinstance(path, str) for path in paths)


def _create_files(output: Output, paths: list[str]) -> tuple[int, ...]:
    """Descriptors of new files, all of them or none."""
    fds: list[int] = []
    try:
        for path in paths:
            fds.append(_detach_fd(output.create(path)))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return tuple(fds)


def _read_only_fd(opened: OpenedAsset) -> int:
    """A descriptor for reading from the beginning; ``opened.file`` is closed."""
    try:
        opened.file.fileno()
    except OSError:  # content of the payload itself
        fd = os.memfd_create("asset", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(fd), "wb") as copy:
            copy.write(opened.file.read())
        return _reopen_read_only(fd)
    return _detach_fd(opened.file)


def _reopen_read_only(fd: int) -> int:
    """``fd`` for reading only, with a place of its own in the file."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)


def _detach_fd(file: BinaryIO) -> int:
    """The descriptor of ``file`` without the file around it."""
    with file:
        return os.dup(file.fileno())


async def _run_in_thread(function: Callable[[], ReplyWithFds]) -> ReplyWithFds:
    """What ``function`` gives; if nobody waits for it any more, its descriptors are closed."""
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
