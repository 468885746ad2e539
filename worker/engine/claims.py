"""All calls that can return claims: claim jobs, and finish jobs while claiming the next ones.

Finishes that arrive during a call are sent together with the next call. When a reply is lost, this worker may hold
claims that it does not know. It releases them before its next call, so that they neither wait for the end of
their lease nor count as crashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, cast

import structlog
from redis.exceptions import ResponseError

from previewops.clock import Rng
from previewops.queue.leases import Claim, ClaimReply, CompletedJob, Leases
from previewops.states import ScriptResult
from previewops.tasks import cancel_and_wait
from previewops.worker.engine.redis_retry import WaitForAnotherPrimary, retry_until_connected

T = TypeVar("T")
log = structlog.get_logger()


OnClaim: TypeAlias = Callable[[Claim], None]


class ClaimHolder(Protocol):
    """The worker, as its claims see it: what it holds, and what it wants."""

    def held_claims(self) -> Iterable[Claim]:
        """The claims that it holds, whether their jobs run or not."""

    def accepts_jobs(self) -> bool:
        """Whether it wants new jobs. Asked before each attempt."""

    def wanted_ahead(self) -> int:
        """How many claims it wants to hold besides those that it holds."""

    def receive(self, claim: Claim) -> None:
        """Takes a claim that no finished job waits for, as soon as it arrives."""

    def on_pause(self) -> None:
        """Learns that the queue is paused."""


@dataclass(slots=True)
class _PendingFinish:
    finished: CompletedJob
    on_claim: OnClaim | None
    future: asyncio.Future[ScriptResult]

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class ClaimChannel:
    """Claims jobs for one worker, and finishes them, in batches of ``batch_size`` at most.

    ``holder`` or an ``on_claim`` receives each new claim as soon as it arrives, so that ``held_claims`` never misses
    one. ``wait`` is that of ``retry_until_connected``.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        max_calls: int,
        batch_size: int,
        holder: ClaimHolder,
        rng: Rng,
        wait: WaitForAnotherPrimary,
    ) -> None:
        self._leases = leases
        # A batch holds several jobs: its log lines must not have the context of the first one.
        self._context = copy_context()
        self._holder = holder
        self._rng = rng
        self._wait = wait
        self._batch_size = batch_size
        self._max_calls = max_calls
        self._queued: list[_PendingFinish] = []
        self._requested_ahead = 0
        # Claims ahead whose jobs have started, which Redis does not know yet, by token.
        self._started: dict[str, Claim] = {}
        self._senders: set[asyncio.Task[None]] = set()
        self._calls_in_flight = 0
        self._no_calls = asyncio.Event()
        self._no_calls.set()
        self._may_hold_unknown_claims = False
        self._closed = False
        self._release_lock = asyncio.Lock()

    async def claim(self, count: int) -> ClaimReply:
        """Claims up to ``count`` jobs, and those that the holder wants ahead; passes each to the holder."""

        async def call() -> ClaimReply:
            with self._request_ahead() as ahead:
                reply = await self._leases.claim(count if self._holder.accepts_jobs() else 0, ahead)
            for claim in reply.claims:
                self._holder.receive(claim)
            return reply

        return await self._call(call)

    def finish(self, finished: CompletedJob, on_claim: OnClaim | None) -> asyncio.Future[ScriptResult]:
        """Completes a job. The future has the script's result; the slot's next job, if any, goes to ``on_claim``.

        With None it claims no job for the slot. The future's exception is an error that a retry cannot fix; then the
        job may be completed or not.
        """
        future: asyncio.Future[ScriptResult] = asyncio.get_running_loop().create_future()
        if self._closed:
            # The worker has deregistered, which released the job.
            future.cancel()
            return future
        self._queued.append(_PendingFinish(finished, on_claim, future))
        if len(self._senders) < self._max_calls:
            self._senders.add(asyncio.create_task(self._send(), context=self._context))
        return future

    def report_started(self, claim: Claim) -> None:
        """Sends with the next finish that the job of a claim ahead has started."""
        self._started[claim.token] = claim

    @property
    def is_ready_to_send(self) -> bool:
        """Whether a caller that queues one finish after the other should let the next call begin."""
        return self._calls_in_flight == 0 or len(self._queued) >= self._batch_size

    async def close(self) -> None:
        """Cancels the calls in flight. ``Leases.release_unknown_claims`` recovers what they claimed."""
        self._closed = True
        await cancel_and_wait(self._senders)
        for pending in self._queued:
            pending.future.cancel()
        self._queued.clear()

    async def _send(self) -> None:
        try:
            while self._queued:
                batch, self._queued = self._queued[: self._batch_size], self._queued[self._batch_size :]
                await self._finish_batch(batch)
                # The answered slots run first: what they finish immediately joins the next batch.
                await asyncio.sleep(0)
        finally:
            # Not in a done callback, which runs later: a finish queued in between would wait for a sender that
            # has ended.
            self._senders.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _finish_batch(self, batch: Sequence[_PendingFinish]) -> None:
        try:
            await self._send_batch(batch)
        except ResponseError as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            # One of them breaks the script. Sent one by one, the others succeed; those done already return
            # ALREADY because of their tokens.
            for pending in batch:
                if not pending.future.done():
                    await self._finish_batch([pending])
        except Exception as error:
            for pending in batch:
                pending.fail(error)
        except asyncio.CancelledError:
            for pending in batch:
                pending.future.cancel()
            raise

    async def _send_batch(self, batch: Sequence[_PendingFinish]) -> None:
        async def call() -> None:
            for pending in batch:
                self._started.pop(pending.finished.claim.token, None)
            started = list(self._started.values())
            wanted = sum(pending.on_claim is not None for pending in batch)
            with self._request_ahead() as ahead:
                reply = await self._leases.finish(
                    [pending.finished for pending in batch],
                    wanted if self._holder.accepts_jobs() else 0,
                    max_ahead=ahead,
                    started=started,
                )
            for reported in started:
                self._started.pop(reported.token, None)
            next_claims = iter(reply.claims)
            for pending, code in zip(batch, reply.codes, strict=True):
                claim = None if pending.on_claim is None else next(next_claims, None)
                if pending.future.cancelled():
                    self._may_hold_unknown_claims = self._may_hold_unknown_claims or claim is not None
                    continue
                if claim is not None and pending.on_claim is not None:
                    pending.on_claim(claim)
                pending.future.set_result(code)
            for surplus in next_claims:
                self._holder.receive(surplus)
            if reply.paused:
                self._holder.on_pause()

        await self._call(call)

    @contextmanager
    def _request_ahead(self) -> Iterator[int]:
        """Yields how many claims ahead a call requests: what the holder wants and no other call has requested."""
        wanted = self._holder.wanted_ahead() if self._holder.accepts_jobs() else 0
        ahead = max(0, wanted - self._requested_ahead)
        self._requested_ahead += ahead
        try:
            yield ahead
        finally:
            self._requested_ahead -= ahead

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        async def attempt() -> T:
            if self._may_hold_unknown_claims:
                await self._release_unknown_claims()
            self._calls_in_flight += 1
            self._no_calls.clear()
            try:
                return await call()
            except BaseException:
                self._may_hold_unknown_claims = True
                raise
            finally:
                self._calls_in_flight -= 1
                if self._calls_in_flight == 0:
                    self._no_calls.set()

        return await retry_until_connected(attempt, self._rng, wait=self._wait)

    async def _release_unknown_claims(self) -> None:
        async with self._release_lock:
            if not self._may_hold_unknown_claims:
                return
            await self._no_calls.wait()
            released = await self._leases.release_unknown_claims(list(self._holder.held_claims()))
            self._may_hold_unknown_claims = False
            if released:
                log.warning("claims.released", jobs=released)
