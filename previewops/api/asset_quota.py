"""Bounds of uploads: how much all assets may take, how many uploads run at once, and how many of one client."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from previewops.api.errors import AssetsFull, Overloaded
from previewops.stores.assets import StoredAsset

MAX_UPLOADS = 16
"""Concurrent uploads of one process."""

RECOUNT_S = 60.0
"""Time in seconds after which the stored assets are counted again: other processes add and remove some."""

_RECOUNT_SHARE = 20
"""A slow count, as of a large bucket, is repeated only after so many times its own duration."""


@dataclass(slots=True)
class _Usage:
    """Stored assets and, for uploads under way, their largest possible size."""

    files: int = 0
    bytes: int = 0


class AssetQuota:
    """Counts the stored assets and admits uploads. Other processes may exceed the quota by what they add meanwhile.

    Args:
        list_assets: lists all stored assets; blocks.
        max_bytes, max_files: maximum of all stored assets.
        per_client: maximum of concurrent uploads of one client.
    """

    def __init__(
        self,
        list_assets: Callable[[], Iterable[StoredAsset]],
        *,
        max_bytes: int,
        max_files: int,
        per_client: int,
    ) -> None:
        self._list_assets = list_assets
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._per_client = per_client
        self._running: Counter[str] = Counter()
        self._stored = _Usage()
        self._reserved = _Usage()
        self._recount_at = 0.0
        self._counting = asyncio.Lock()

    @asynccontextmanager
    async def admit(self, client: str, size_bytes: int) -> AsyncIterator[None]:
        """Holds room for an upload of at most ``size_bytes``. ``client`` is "" where several share an address.

        Raises:
            Overloaded: too many uploads are under way, of this client or of all.
            AssetsFull: the assets take what they may.
            StoreUnavailable: the store cannot be read now.
        """
        self._check_running(client)
        self._running[client] += 1
        try:
            await self._recount()
            self._reserve(size_bytes)
            try:
                yield
            finally:
                self._reserved.files -= 1
                self._reserved.bytes -= size_bytes
        finally:
            self._running[client] -= 1
            self._running += Counter()  # drops clients without uploads

    def count_stored(self, size_bytes: int) -> None:
        """Counts an asset that was stored."""
        self._stored.files += 1
        self._stored.bytes += size_bytes

    def _check_running(self, client: str) -> None:
        if self._running.total() >= MAX_UPLOADS:
            raise Overloaded(f"uploads under way: found {MAX_UPLOADS}, allowed as many", retry_after_s=2)
        if client and self._running[client] >= self._per_client:
            raise Overloaded(
                f"uploads of one client: found {self._per_client} under way, allowed as many",
                hint="raise PREVIEW_API_CLIENT_SHARE, or list a reverse proxy in PREVIEW_API_PROXIES",
                retry_after_s=2,
            )

    def _reserve(self, size_bytes: int) -> None:
        files = self._stored.files + self._reserved.files + 1
        total = self._stored.bytes + self._reserved.bytes + size_bytes
        if files > self._max_files:
            raise AssetsFull(f"stored assets: found {files - 1}, allowed {self._max_files}")
        if total > self._max_bytes:
            found = f"{self._stored.bytes + self._reserved.bytes} bytes and {size_bytes} more"
            raise AssetsFull(f"stored assets: found {found}, allowed {self._max_bytes} bytes")
        self._reserved.files += 1
        self._reserved.bytes += size_bytes

    async def _recount(self) -> None:
        async with self._counting:
            if time.monotonic() < self._recount_at:
                return
            began = time.monotonic()
            self._stored = await asyncio.to_thread(self._count)
            ended = time.monotonic()
            self._recount_at = ended + max(RECOUNT_S, _RECOUNT_SHARE * (ended - began))

    def _count(self) -> _Usage:
        usage = _Usage()
        for asset in self._list_assets():
            usage.files += 1
            usage.bytes += asset.bytes
        return usage
