"""Answers what one job's render process asks for: an asset to read, a file to write. Nothing else is handed out.

The process names an asset by its id, and the address behind the id is the payload's, whatever has become of the
process meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO

from previewops.worker.assets import AssetOpener, AssetRef, OpenedAsset, storage_errors
from previewops.worker.framing import BadFrame
from previewops.worker.output import Output

Handed = tuple[dict[str, Any], int | None]


class JobDesk:
    """The desk of one job. ``close`` it when the job has ended.

    ``max_bytes`` bounds each asset; ``output`` None is a dry run's, which writes nothing.
    """

    def __init__(
        self,
        assets: Mapping[str, AssetRef],
        opener: AssetOpener,
        *,
        max_bytes: int,
        output: Output | None,
    ) -> None:
        self._assets = assets
        self._opener = opener
        self._max_bytes = max_bytes
        self._output = output
        self._fetched: dict[str, OpenedAsset] = {}
        self._files = ExitStack()

    async def answer(self, question: dict[str, Any]) -> Handed:
        """Raises BadFrame for a question that no renderer asks; and what opening and writing raise."""
        match question:
            case {"open": str(name)} if name in self._assets:
                return await _in_a_thread(lambda: self._open(self._assets[name]))
            case {"create": str(path)} if self._output is not None:
                output = self._output
                return await _in_a_thread(lambda: ({}, _detached(output.create(path))))
        raise BadFrame("a question that no renderer asks")

    def close(self) -> None:
        """Closes what was kept; what was handed over is the receiver's."""
        self._files.close()

    def _open(self, asset: AssetRef) -> Handed:
        opened = self._fetched.get(asset.id) or self._opener.open(asset, max_bytes=self._max_bytes)
        if opened.refetched and asset.id not in self._fetched:
            # It would be fetched again for every opening, and might differ.
            self._fetched[asset.id] = opened
            self._files.enter_context(opened.file)
        about = {"size": opened.size, "identity": list(opened.identity)}
        with storage_errors():
            return about, _readable(opened)


def _readable(opened: OpenedAsset) -> int:
    """A descriptor for reading from the beginning, apart from ``opened.file``, which is closed if not kept."""
    try:
        number = opened.file.fileno()
    except OSError:  # content of the payload itself
        handle = os.memfd_create("asset", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(handle), "wb") as copy:
            copy.write(opened.file.read())
        return _opened_anew(handle)
    if opened.refetched:
        return os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
    return _detached(opened.file)


def _opened_anew(handle: int) -> int:
    """``handle`` for reading only, with a place of its own in the file."""
    try:
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(handle)


def _detached(file: BinaryIO) -> int:
    """The descriptor of ``file`` without the file around it."""
    with file:
        return os.dup(file.fileno())


async def _in_a_thread(work: Callable[[], Handed]) -> Handed:
    """What ``work`` gives; if nobody waits for it any more, its descriptor is closed."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        working.add_done_callback(_close_unclaimed)
        raise


def _close_unclaimed(working: asyncio.Future[Handed]) -> None:
    if not working.cancelled() and working.exception() is None:
        handle = working.result()[1]
        if handle is not None:
            os.close(handle)
