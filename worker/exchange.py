"""Every call that can bring claims: taking work, and finishing work while taking the next.

Finishes that come while a call is under way are sent together with the next one. A call whose reply is lost may
have claimed jobs that this worker never hears of; before the next call it gives such claims back, so they are
neither stuck until their lease ends nor counted as crashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import structlog

from previewops.clock import Random
from previewops.lease import Claim, Claims, Finished, Leases
from previewops.states import Code
from previewops.worker.persistence import persist

T = TypeVar("T")
log = structlog.get_logger()


class Exchange:
    """Claims for one worker.

    ``held`` tells which claims the worker holds at a moment; ``adopt`` is handed new claims the moment they
    arrive, so that ``held`` never misses one; ``taking`` tells whether new work is wanted at all.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        calls: int,
        batch: int,
        held: Callable[[], Iterable[Claim]],
        taking: Callable[[], bool],
        dice: Random,
    ) -> None:
        self._leases = leases
        self._held = held
        self._taking = taking
        self._dice = dice
        self._batch = batch
        self._calls = calls
        self._queued: list[tuple[Finished, asyncio.Future[tuple[Code, Claim | None]]]] = []
        self._senders: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._in_doubt = False
        self._settling_doubt = asyncio.Lock()

    async def claim(self, want: int, adopt: Callable[[Claim], None]) -> Claims:
        """Claims up to ``want`` jobs; each is handed to ``adopt`` before anything else happens."""

        async def call() -> Claims:
            claims = await self._leases.claim(want)
            for claim in claims.jobs:
                adopt(claim)
            return claims

        return await self._through(call)

    async def finish(self, finished: Finished) -> tuple[Code, Claim | None]:
        """Completes a job. Returns how that went, and the slot's next job if there is one."""
        future: asyncio.Future[tuple[Code, Claim | None]] = asyncio.get_running_loop().create_future()
        self._queued.append((finished, future))
        if len(self._senders) < self._calls:
            sender = asyncio.create_task(self._send())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await future

    async def _send(self) -> None:
        """Sends what has queued up, until nothing has."""
        while self._queued:
            batch, self._queued = self._queued[: self._batch], self._queued[self._batch :]
            try:
                await self._send_batch(batch)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            # The slots that were answered run first: what they finish at once goes with the next batch.
            await asyncio.sleep(0)

    async def _send_batch(
        self, batch: Sequence[tuple[Finished, asyncio.Future[tuple[Code, Claim | None]]]]
    ) -> None:
        async def call() -> None:
            want = len(batch) if self._taking() else 0
            codes, claims = await self._leases.finish([finished for finished, _ in batch], want)
            following: list[Claim | None] = [*claims, *[None] * (len(batch) - len(claims))]
            for (_, future), code, claim in zip(batch, codes, following, strict=True):
                if not future.cancelled():
                    future.set_result((code, claim))
                elif claim is not None:
                    self._in_doubt = True

        await self._through(call)

    async def _through(self, call: Callable[[], Awaitable[T]]) -> T:
        async def counted() -> T:
            if self._in_doubt:
                await self._settle_doubt()
            self._under_way += 1
            self._quiet.clear()
            try:
                return await call()
            except BaseException:
                self._in_doubt = True
                raise
            finally:
                self._under_way -= 1
                if self._under_way == 0:
                    self._quiet.set()

        return await persist(counted, self._dice)

    async def _settle_doubt(self) -> None:
        async with self._settling_doubt:
            if not self._in_doubt:
                return
            await self._quiet.wait()
            given_back = await self._leases.reclaim(list(self._held()))
            self._in_doubt = False
            if given_back:
                log.warning("claims whose reply was lost were given back", jobs=given_back)
