"""Every call that can bring claims: taking work, and finishing work while taking the next.

Finishes that come while a call is under way are sent together with the next one. A call whose reply is lost may
have claimed jobs that this worker never hears of; before the next call it gives such claims back, so they are
neither stuck until their lease ends nor counted as crashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

import structlog
from redis.exceptions import ResponseError

from previewops.clock import Rng
from previewops.queue.leases import Claim, ClaimReply, CompletedJob, Leases
from previewops.states import ScriptResult
from previewops.tasks import cancel_and_wait
from previewops.worker.engine.redis_retry import retry_until_connected

T = TypeVar("T")
log = structlog.get_logger()


OnClaim: TypeAlias = Callable[[Claim], None]


@dataclass(slots=True)
class _PendingFinish:
    """A job that waits to be completed, and who waits for that."""

    finished: CompletedJob
    on_claim: OnClaim
    future: asyncio.Future[ScriptResult]

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class ClaimChannel:
    """Claims for one worker.

    ``held`` tells which claims the worker holds at a moment; ``adopt`` is handed new claims the moment they
    arrive, so that ``held`` never misses one; ``taking`` tells whether new work is wanted at all, and is asked
    anew each time a call is made again.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        max_calls: int,
        batch_size: int,
        held_claims: Callable[[], Iterable[Claim]],
        accepts_jobs: Callable[[], bool],
        rng: Rng,
    ) -> None:
        self._leases = leases
        # Sending is for several jobs: its log lines are not about the one that happened to have it begin.
        self._context = copy_context()
        self._held = held_claims
        self._taking = accepts_jobs
        self._rng = rng
        self._batch = batch_size
        self._calls = max_calls
        self._queued: list[_PendingFinish] = []
        self._senders: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._in_doubt = False
        self._closed = False
        self._settling_doubt = asyncio.Lock()

    async def claim(self, want: int, on_claim: OnClaim) -> ClaimReply:
        """Claims up to ``want`` jobs; each is handed to ``adopt`` before anything else happens."""

        async def call() -> ClaimReply:
            claims = await self._leases.claim(want if self._taking() else 0)
            for claim in claims.claims:
                on_claim(claim)
            return claims

        return await self._through(call)

    async def finish(self, finished: CompletedJob, on_claim: OnClaim) -> ScriptResult:
        """Completes a job and returns how that went; ``adopt`` is handed the slot's next job if there is one.

        Raises:
            Exception: an error that trying again cannot heal; the job may be completed or not.
        """
        future: asyncio.Future[ScriptResult] = asyncio.get_running_loop().create_future()
        if self._closed:
            # The worker has said good-bye, and with it gave the job back.
            future.cancel()
            return await future
        self._queued.append(_PendingFinish(finished, on_claim, future))
        if len(self._senders) < self._calls:
            self._senders.add(asyncio.create_task(self._send(), context=self._context))
        return await future

    async def close(self) -> None:
        """Stops what is under way. What it would have brought is for ``Leases.reclaim``."""
        self._closed = True
        await cancel_and_wait(self._senders)
        for ending in self._queued:
            ending.future.cancel()
        self._queued.clear()

    async def _send(self) -> None:
        """Sends what has queued up, until nothing has."""
        try:
            while self._queued:
                batch, self._queued = self._queued[: self._batch], self._queued[self._batch :]
                await self._deliver(batch)
                # The slots that were answered run first: what they finish at once goes with the next batch.
                await asyncio.sleep(0)
        finally:
            # Not in a done callback, which comes later: a finish that came in between would wait for a sender
            # that is no more.
            self._senders.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _deliver(self, batch: Sequence[_PendingFinish]) -> None:
        try:
            await self._send_batch(batch)
        except ResponseError as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            # One of them breaks the script: the others shall not suffer with it. The tokens make what was
            # done already answer ALREADY.
            for ending in batch:
                if not ending.future.done():
                    await self._deliver([ending])
        except Exception as error:
            for ending in batch:
                ending.fail(error)
        except asyncio.CancelledError:
            for ending in batch:
                ending.future.cancel()
            raise

    async def _send_batch(self, batch: Sequence[_PendingFinish]) -> None:
        async def call() -> None:
            want = len(batch) if self._taking() else 0
            codes, claims = await self._leases.finish([ending.finished for ending in batch], want)
            following: list[Claim | None] = [*claims, *[None] * (len(batch) - len(claims))]
            for ending, code, claim in zip(batch, codes, following, strict=True):
                if ending.future.cancelled():
                    self._in_doubt = self._in_doubt or claim is not None
                    continue
                if claim is not None:
                    ending.on_claim(claim)
                ending.future.set_result(code)

        await self._through(call)

    async def _through(self, call: Callable[[], Awaitable[T]]) -> T:
        async def counted() -> T:
            if self._in_doubt:
                await self._release_unknown_claims()
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

        return await retry_until_connected(counted, self._rng)

    async def _release_unknown_claims(self) -> None:
        async with self._settling_doubt:
            if not self._in_doubt:
                return
            await self._quiet.wait()
            given_back = await self._leases.release_unknown_claims(list(self._held()))
            self._in_doubt = False
            if given_back:
                log.warning("claims.returned", jobs=given_back)
