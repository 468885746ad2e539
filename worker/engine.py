"""The worker: ``arq.Worker`` with claims, settlements and health of its own.

What is kept of arq: the functions and their options, the hooks, ``ctx``, burst, and the representation in Redis.
What is replaced, and why, is in docs/architecture.md: stock arq polls, forgets, and lets two workers finish one job.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from signal import Signals
from typing import Any

import structlog
from arq.connections import ArqRedis
from arq.typing import StartupShutdown, WorkerCoroutine
from arq.worker import Function, Worker
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from previewops import __version__
from previewops.cancellation import end_tasks
from previewops.clock import Clock, Random, SystemClock, system_random
from previewops.lease import Claim, Leases
from previewops.logs import JobLines, lines_of
from previewops.retry import RetryPolicy
from previewops.settings import Settings
from previewops.worker.exchange import Exchange
from previewops.worker.execution import Hooks, Interruption, Run, failure_of
from previewops.worker.hotline import Hotline
from previewops.worker.persistence import is_temporary, persist
from previewops.worker.pulse import Pulse
from previewops.worker.settlement import Settlement
from previewops.worker.usage import UsageMeter
from previewops.worker.workbench import End, Workbench

log = structlog.get_logger()

IDLE_WAIT_S = 0.25
"""How long an idle worker blocks for a wake-up. Jobs of stock arq clients come without one."""

CANCELLATIONS = 30
"""How often, every ``AGAIN_AFTER_S``, a job that still runs when the worker closes is cancelled."""

ABANDONED_KEPT = 1_000
"""Claims whose outcome could not be recorded, kept until their leases have long ended."""

CALLS_UNDER_WAY = 2
"""Finish-and-claim calls of one worker at a time: while Redis works on one, the worker prepares the other."""


def json_bytes(record: dict[str, Any]) -> bytes:
    """The serializer that stock arq clients of this queue have to be given."""
    return json.dumps(record).encode()


_SERIALIZERS: dict[str, Any] = {"job_serializer": json_bytes, "job_deserializer": json.loads}


class PreviewWorker(Worker):
    """One worker process: ``settings.worker_concurrency`` slots, one lease and one task per running job.

    ``helpers`` tells the ids of the other processes whose memory and processor time are reported as its own;
    ``confined_by`` what its renders are held by.
    """

    def __init__(
        self,
        functions: Sequence[Function | WorkerCoroutine],
        *,
        settings: Settings,
        pool: ConnectionPool,
        worker_id: str,
        burst: bool = False,
        on_startup: StartupShutdown | None = None,
        on_shutdown: StartupShutdown | None = None,
        on_job_start: StartupShutdown | None = None,
        on_job_end: StartupShutdown | None = None,
        after_job_end: StartupShutdown | None = None,
        ctx: dict[Any, Any] | None = None,
        clock: Clock | None = None,
        dice: Random | None = None,
        helpers: Callable[[], Iterable[int]] = tuple,
        confined_by: Sequence[str] = (),
    ) -> None:
        redis = ArqRedis(pool_or_conn=pool, default_queue_name=settings.queue_name, **_SERIALIZERS)
        super().__init__(
            functions,
            queue_name=settings.queue_name,
            redis_pool=redis,
            burst=burst,
            on_startup=on_startup,
            on_shutdown=on_shutdown,
            on_job_start=on_job_start,
            on_job_end=on_job_end,
            after_job_end=after_job_end,
            handle_signals=False,
            max_jobs=settings.worker_concurrency,
            # Not enforced here: a render's deadline is the sandbox's, which kills. arq wants a number to compare.
            job_timeout=settings.job_timeout_s,
            max_tries=settings.max_attempts,
            ctx=ctx,
            **_SERIALIZERS,
        )
        self.settings = settings
        self.worker_id = worker_id
        self._clock = clock or SystemClock()
        self._dice = dice or system_random()
        self._started_ms = self._clock.now_ms()
        self._usage = UsageMeter(helpers, self._clock.monotonic)
        self._host = socket.gethostname()
        self._confined_by = list(confined_by)
        self._set_up_slots()
        self._connect(redis, pool, Hooks(on_job_start, on_job_end, after_job_end))
        self._loops: list[asyncio.Task[None]] = []
        self._drain_asked = asyncio.Event()
        self._hurry = asyncio.Event()
        self._greeted = False
        self._closed = False

    def _set_up_slots(self) -> None:
        # By token: one job can be here twice, once under a lease that it does not know to be lost.
        self.runs: dict[str, Run] = {}
        self._free = self.settings.worker_concurrency
        self._slot_freed = asyncio.Event()
        self._idle = asyncio.Event()
        self._next_due_ms: int | None = None
        self._abandoned: deque[Claim] = deque(maxlen=ABANDONED_KEPT)

    def _connect(self, redis: ArqRedis, pool: ConnectionPool, hooks: Hooks) -> None:
        """Makes what speaks to Redis."""
        settings = self.settings
        self.leases = Leases(redis, settings, self.worker_id)
        self._hotline = Hotline(pool, self.leases.scripts)
        self.leases.hot = self._hotline
        self._exchange = Exchange(
            self.leases,
            calls=CALLS_UNDER_WAY,
            batch=max(2, settings.worker_concurrency // CALLS_UNDER_WAY),
            held=self._held,
            taking=lambda: self.allow_pick_jobs,
            dice=self._dice,
        )
        policy = RetryPolicy(
            settings.max_attempts, settings.max_crashes, settings.backoff_base_ms, settings.backoff_max_ms
        )
        self._workbench = Workbench(
            self.functions,
            self.ctx,
            hooks,
            leases=self.leases,
            exchange=self._exchange,
            settlement=Settlement(self.leases, policy, self._dice, self.worker_id),
            dice=self._dice,
        )
        self.pulse = Pulse(self.leases, settings, self.runs, self._about, self._dice)

    # ---------------------------------------------------------------- life

    async def main(self) -> None:
        """Works until drained, or, in burst mode, until nothing is pending. Survives Redis going away.

        Raises:
            Exception: an error that trying again cannot heal; the supervisor decides.
        """
        living = asyncio.create_task(self._live(), name="life")
        asked = asyncio.create_task(self._drain_asked.wait(), name="drain")
        try:
            await asyncio.wait({living, asked}, return_when=asyncio.FIRST_COMPLETED)
            if living.done():
                living.result()
            await self._drain()
        finally:
            await end_tasks([living, asked, *self._loops])
            await self._give_back_all()

    async def _live(self) -> None:
        """Boots, then claims and beats until the burst is over or an error ends it."""
        await persist(self._greet, self._dice)
        self.ctx["redis"] = self.pool
        self.ctx["leases"] = self.leases
        if self.on_startup is not None:
            await self.on_startup(self.ctx)
        self._loops = [
            asyncio.create_task(self.pulse.beat(), name="heartbeat"),
            asyncio.create_task(self._claim_loop(), name="claims"),
        ]
        done, _ = await asyncio.wait(self._loops, return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            ended.result()

    async def _greet(self) -> None:
        self._greeted = True
        await self.pulse.say()
        log.info(
            "worker.started",
            queue=self.queue_name,
            slots=self.max_jobs,
            functions=sorted(self.functions),
        )

    def drain(self, signum: int = signal.SIGTERM) -> None:
        """Takes no more jobs, lets running ones end within PREVIEW_DRAIN_TIMEOUT_S, gives the rest back.

        A second call gives them back at once. Only sets flags: safe to call from a signal handler of the loop.
        """
        if self._drain_asked.is_set():
            self._hurry.set()
        else:
            log.info("worker.draining", signal=Signals(signum).name, running=len(self.runs))
        self.allow_pick_jobs = False
        self._drain_asked.set()

    handle_sig_wait_for_completion = drain
    handle_sig = drain

    async def _drain(self) -> None:
        self.allow_pick_jobs = False
        if not self.tasks:
            return
        idle = asyncio.create_task(self._idle.wait())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait(
            {idle, hurry}, timeout=self.settings.drain_timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        idle.cancel()
        hurry.cancel()

    async def _give_back_all(self) -> None:
        self.allow_pick_jobs = False
        for run in self.runs.values():
            run.interrupt(Interruption.DRAIN)
        if self.tasks:
            # What cannot be given back because Redis is away is recovered when its lease ends.
            await asyncio.wait(set(self.tasks.values()), timeout=self.settings.lease_ms / 1000)

    async def close(self) -> None:
        """Says good-bye, runs ``on_shutdown`` and closes the connections. Only the first call does anything."""
        if self._closed:
            return
        self._closed = True
        self.allow_pick_jobs = False
        # Bounded: a job may ignore its cancellation for ever.
        for task in await end_tasks(self.tasks.values(), rounds=CANCELLATIONS):
            log.error("job.unending", slot=task.get_name())
        await self._exchange.close()
        if self._greeted:
            await self._take_leave()
        try:
            if self.on_shutdown is not None:
                await self.on_shutdown(self.ctx)
        finally:
            await self._hotline.close()
            await self.pool.aclose(close_connection_pool=True)

    async def _take_leave(self) -> None:
        try:
            await self.leases.reclaim(self._abandoned)
            await self.leases.end_worker(self.worker_id, "the worker stopped", lost=False)
        except (RedisError, OSError) as error:
            # Whatever Redis has against us, it shall not hide why the worker ended, nor keep it from cleaning up.
            log.warning("worker.left-silently", error=str(error))
        log.info("worker.stopped", completed=self.jobs_complete, failed=self.jobs_failed)

    # ---------------------------------------------------------------- claims and slots

    async def _claim_loop(self) -> None:
        """Keeps the slots busy. Returns when a burst is over; after a drain has begun it does nothing more."""
        while True:
            while self._free == 0:
                self._slot_freed.clear()
                await self._slot_freed.wait()
            if not self.allow_pick_jobs:
                await asyncio.get_running_loop().create_future()
            claims = await self._exchange.claim(self._free, self._start)
            self._next_due_ms = claims.next_due_ms
            if self._free == 0:
                continue
            if self.burst and not claims.jobs and not self.tasks and await self._nothing_pending():
                return
            await self._await_work()

    async def _nothing_pending(self) -> bool:
        # As stock arq has it: what waits, backs off or runs elsewhere (and may come back) is in there.
        pending: int = await persist(lambda: self.pool.zcard(self.leases.keys.schedule), self._dice)
        return pending == 0

    async def _await_work(self) -> None:
        timeout_s = IDLE_WAIT_S
        if self._next_due_ms is not None:
            timeout_s = min(timeout_s, self._next_due_ms / 1000)
        try:
            await self.leases.wait_for_work(timeout_s)
        except Exception as error:
            if not is_temporary(error):
                raise
            # The claim that follows keeps at it, with pauses.

    def _start(self, claim: Claim) -> None:
        run = self._hold(claim)
        self._free -= 1
        self._idle.clear()
        run.task = asyncio.create_task(self._slot(run), name=f"slot {claim.job_id}")
        self.tasks[claim.token] = run.task
        run.task.add_done_callback(lambda task: self._stop(claim.token, task))

    def _hold(self, claim: Claim) -> Run:
        """Holds a claim from the moment it arrives: it is renewed, and not given back as one that got lost."""
        run = Run(claim)
        self.runs[claim.token] = run
        if not self.allow_pick_jobs:
            # It was under way when the drain began.
            run.interrupt(Interruption.DRAIN)
        return run

    def _stop(self, key: str, task: asyncio.Task[None]) -> None:
        del self.tasks[key]
        self._free += 1
        self._slot_freed.set()
        if not self.tasks:
            self._idle.set()
        if not task.cancelled() and task.exception() is None:
            return
        unsettled = [token for token, run in self.runs.items() if run.task is task]
        for token in unsettled:
            claim = self.runs.pop(token).claim
            if not task.cancelled():
                self._abandon(claim, task.exception())

    def _abandon(self, claim: Claim, error: BaseException | None) -> None:
        """Leaves a job's lease to end, as what became of the job could not be recorded.

        That costs a crash, so a job that does it every time is a dead letter after PREVIEW_MAX_CRASHES.
        """
        self._abandoned.append(claim)
        log.error(
            "job.unrecorded",
            jobId=claim.job_id,
            exception="" if error is None else failure_of(error).traceback,
        )

    async def _slot(self, first: Run) -> None:
        """Works off one job after the other, as long as each finish brings the next."""
        run: Run | None = first
        while run is not None:
            claim = run.claim
            attempt = claim.attempts + claim.crashes + 1
            with lines_of(JobLines(claim.job_id, attempt, self.worker_id)):
                run = await self._work(run)

    async def _work(self, run: Run) -> Run | None:
        end, following = await self._workbench.carry(run, self._hold)
        if end is End.COMPLETED:
            self.jobs_complete += 1
        elif end is End.RETRIED:
            self.jobs_retried += 1
        elif end is End.FAILED:
            self.jobs_failed += 1
        del self.runs[run.claim.token]
        await self._workbench.after(run)
        return following

    def _held(self) -> Iterable[Claim]:
        return [*(run.claim for run in self.runs.values()), *self._abandoned]

    def _about(self) -> dict[str, Any]:
        """What the worker says of itself with each heartbeat."""
        usage = self._usage.read()
        return {
            "host": self._host,
            "pid": os.getpid(),
            "state": "draining" if self._drain_asked.is_set() else "working",
            "slots": self.max_jobs,
            "busy": len(self.runs),
            "rssBytes": usage.rss_bytes,
            "ownRssBytes": usage.own_rss_bytes,
            "cpu": usage.cpu,
            "startedMs": self._started_ms,
            "completed": self.jobs_complete,
            "failed": self.jobs_failed,
            "version": __version__,
            "confinedBy": self._confined_by,
            "clockMs": self._clock.now_ms(),
            "jobs": [run.claim.job_id for run in self.runs.values()],
        }
