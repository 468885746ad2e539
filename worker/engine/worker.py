"""The worker: ``arq.Worker`` with its own claims, outcome recording and heartbeat.

It keeps arq's functions and their options, hooks, ``ctx``, burst mode and representation in Redis.
docs/architecture.md lists the replacements: stock arq polls, loses jobs, and lets two workers finish one job.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from signal import Signals
from typing import Any, TypeAlias

import structlog
from arq.connections import ArqRedis
from arq.typing import StartupShutdown, WorkerCoroutine
from arq.worker import Function, Worker
from redis.exceptions import RedisError, ResponseError

from previewops import __version__
from previewops.build import build_id
from previewops.clock import Clock, Rng, SystemClock, system_rng
from previewops.logs.setup import JobLogContext, job_log_context
from previewops.queue.keys import ARQ_GUARD_SCORE
from previewops.queue.leases import Claim, Leases
from previewops.queue.projects import store_deployment_limits
from previewops.queue.retry import RetryPolicy
from previewops.queue.start_check import check_queue
from previewops.redis_server.pool import PrimaryPool
from previewops.settings import Settings
from previewops.states import ScriptResult
from previewops.tasks import cancel_and_wait
from previewops.worker.engine.claims import ClaimChannel
from previewops.worker.engine.claims_ahead import HOLD_LIMIT_S, MAX_AHEAD, RunsAhead, RunTimes
from previewops.worker.engine.ended_jobs import EndedJobs
from previewops.worker.engine.execution import Completed, Hooks, JobRun, StopReason, failure_from_error
from previewops.worker.engine.fast_scripts import FastScriptRunner
from previewops.worker.engine.heartbeat import Heartbeat
from previewops.worker.engine.job_runner import JobRunner, RunEnd
from previewops.worker.engine.outcome import OutcomeRecorder
from previewops.worker.engine.process_stats import ProcessStatsReader
from previewops.worker.engine.recent_completions import RecentCompletions
from previewops.worker.engine.redis_retry import (
    REDIS_BACKOFF_S,
    FailureLog,
    is_temporary,
    retry_until_connected,
)

log = structlog.get_logger()

IDLE_WAIT_S = 4.0
"""Maximum time that an idle worker blocks for a wake-up, below the socket timeout. A claim's reply may shorten it."""

MAX_CANCELLATIONS = 30
"""Number of cancellations, one every ``tasks.RETRY_INTERVAL_S``, of a job that still runs when the worker closes."""

MAX_ABANDONED_CLAIMS = 1_000
"""Claims whose outcome could not be recorded. They are kept until long after the end of their leases."""

MAX_CONCURRENT_CALLS = 2
"""Concurrent finish-and-claim calls of one worker: while Redis runs one, the worker prepares the other."""


def serialize_job(record: dict[str, Any]) -> bytes:
    """Serializer that stock arq clients of this queue must use."""
    return json.dumps(record).encode()


_SERIALIZERS: dict[str, Any] = {"job_serializer": serialize_job, "job_deserializer": json.loads}


BackgroundLoop: TypeAlias = Callable[[ArqRedis], Coroutine[Any, Any, None]]
"""A loop that runs beside the claims, on the worker's connections, until it is cancelled."""


class PreviewWorker(Worker):
    """One worker process: ``settings.worker_concurrency`` slots, one lease and one task per running job.

    ``helper_pids`` returns the ids of other processes whose memory and processor time it reports as its own.
    ``report_fields`` returns what it reports of itself besides: confinement, store. ``background`` are further loops
    beside the claims: an error of one ends the worker.
    """

    def __init__(
        self,
        functions: Sequence[Function | WorkerCoroutine],
        *,
        settings: Settings,
        pool: PrimaryPool,
        worker_id: str,
        burst: bool = False,
        on_startup: StartupShutdown | None = None,
        on_shutdown: StartupShutdown | None = None,
        on_job_start: StartupShutdown | None = None,
        on_job_end: StartupShutdown | None = None,
        after_job_end: StartupShutdown | None = None,
        ctx: dict[Any, Any] | None = None,
        clock: Clock | None = None,
        rng: Rng | None = None,
        helper_pids: Callable[[], Iterable[int]] = tuple,
        report_fields: Callable[[], dict[str, Any]] = dict,
        background: Sequence[BackgroundLoop] = (),
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
            # Not enforced here: the sandbox kills a render at its deadline. arq wants a number to compare.
            job_timeout=settings.job_timeout_s,
            max_tries=settings.max_attempts,
            ctx=ctx,
            **_SERIALIZERS,
        )
        self.settings = settings
        self.worker_id = worker_id
        self._clock = clock or SystemClock()
        self._rng = rng or system_rng()
        self._started_ms = self._clock.now_ms()
        self._process_stats = ProcessStatsReader(helper_pids, self._clock.monotonic)
        self._host = socket.gethostname()
        self._report_fields = report_fields
        self._background = background
        self._set_up_slots()
        self._connect(redis, pool, Hooks(on_job_start, on_job_end, after_job_end))
        self._loops: list[asyncio.Task[None]] = []
        self._drain_requested = asyncio.Event()
        self._force_stop = asyncio.Event()
        self._registered = False
        self._closed = False

    def _set_up_slots(self) -> None:
        # By token: the worker may run one job twice, once under a lease that it does not know to be lost.
        self.runs: dict[str, JobRun] = {}
        self._free_slots = self.settings.worker_concurrency
        # Tasks of jobs that have rendered, and publish to a network while another job renders in their slot.
        self._publishing: set[asyncio.Task[Any]] = set()
        # Jobs that are claimed and wait for a slot, and completions that are sent while their slot runs the next job.
        self._ahead = RunsAhead()
        self._run_times = RunTimes()
        self._finishing: set[asyncio.Future[ScriptResult]] = set()
        self._hold_timer: asyncio.TimerHandle | None = None
        self._slot_freed = asyncio.Event()
        self._idle = asyncio.Event()
        self._next_due_ms: int | None = None
        self._abandoned: deque[Claim] = deque(maxlen=MAX_ABANDONED_CLAIMS)

    def _connect(self, redis: ArqRedis, pool: PrimaryPool, hooks: Hooks) -> None:
        settings = self.settings
        self._primary_pool = pool
        self.leases = Leases(redis, settings, self.worker_id)
        self._fast_scripts = FastScriptRunner(pool, self.leases.scripts)
        self.leases.fast_runner = self._fast_scripts
        self._socket_timeout_s: float | None = pool.connection_kwargs["socket_timeout"]
        self._claims = ClaimChannel(
            self.leases,
            max_calls=MAX_CONCURRENT_CALLS,
            batch_size=max(MAX_AHEAD, settings.worker_concurrency) // MAX_CONCURRENT_CALLS,
            holder=self,
            rng=self._rng,
            wait=pool.wait_for_another_primary,
        )
        policy = RetryPolicy(
            settings.max_attempts, settings.max_crashes, settings.backoff_base_ms, settings.backoff_max_ms
        )
        self._job_runner = JobRunner(
            self.functions,
            self.ctx,
            hooks,
            leases=self.leases,
            claims=self._claims,
            recorder=OutcomeRecorder(self.leases, policy, self._rng, self.worker_id),
            rng=self._rng,
        )
        self._ended = EndedJobs(self.leases)
        self._recent = RecentCompletions(time.monotonic)
        self.heartbeat = Heartbeat(
            self.leases,
            settings,
            self.runs,
            self._status,
            rng=self._rng,
            report_ended=self._ended.report,
        )

    # ---------------------------------------------------------------- life cycle

    async def main(self) -> None:
        """Works until drained or, in burst mode, until no job is pending. Retries while Redis is unavailable.

        Raises:
            Exception: an error that a retry cannot fix; the supervisor decides.
        """
        lifetime = asyncio.create_task(self._run(), name="life")
        drain_requested = asyncio.create_task(self._drain_requested.wait(), name="drain")
        try:
            await asyncio.wait({lifetime, drain_requested}, return_when=asyncio.FIRST_COMPLETED)
            if lifetime.done():
                lifetime.result()
            await self._drain()
        finally:
            await cancel_and_wait([lifetime, drain_requested, *self._loops])
            await self._release_all()

    async def _run(self) -> None:
        """Registers, then runs heartbeat and claim loop until the burst is over or an error ends one."""
        await retry_until_connected(self._check_queue, self._rng, first_contact=True)
        await retry_until_connected(self._register, self._rng)
        await retry_until_connected(self._store_project_limits, self._rng)
        self.ctx["redis"] = self.pool
        self.ctx["leases"] = self.leases
        if self.on_startup is not None:
            await self.on_startup(self.ctx)
        self._loops = [
            asyncio.create_task(self.heartbeat.run(), name="heartbeat"),
            asyncio.create_task(self._claim_loop(), name="claims"),
            *(asyncio.create_task(loop(self.pool), name="background") for loop in self._background),
        ]
        done, _ = await asyncio.wait(self._loops, return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            ended.result()

    async def _check_queue(self) -> None:
        for error in await check_queue(self.pool, self.settings):
            log.warning("queue.key-foreign", key=error.key, found=error.found, allowed=error.allowed)

    async def _register(self) -> None:
        self._registered = True
        await self.heartbeat.send()
        functions = sorted(self.functions)
        log.info("worker.started", queue=self.queue_name, slots=self.max_jobs, functions=functions)

    async def _store_project_limits(self) -> None:
        changed = await store_deployment_limits(self.pool, self.settings, self.settings.project_limits)
        if changed:
            log.info("project-limits.stored", projects=changed)

    def drain(self, signum: int = signal.SIGTERM) -> None:
        """Stops claiming, lets runs end within PREVIEW_DRAIN_TIMEOUT_S, and releases the rest.

        A second call releases them immediately. Only sets flags: safe in a signal handler of the loop.
        """
        if self._drain_requested.is_set():
            self._force_stop.set()
        else:
            log.info("worker.draining", signal=Signals(signum).name, running=len(self.runs))
        self.allow_pick_jobs = False
        self._drain_requested.set()

    handle_sig_wait_for_completion = drain
    handle_sig = drain

    async def _drain(self) -> None:
        self.allow_pick_jobs = False
        self._release_ahead(self._ahead.take_claimed_before(math.inf))
        if self._is_idle():
            return
        idle = asyncio.create_task(self._idle.wait())
        forced = asyncio.create_task(self._force_stop.wait())
        await asyncio.wait(
            {idle, forced}, timeout=self.settings.drain_timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        idle.cancel()
        forced.cancel()

    async def _release_all(self) -> None:
        self.allow_pick_jobs = False
        for run in self.runs.values():
            run.stop(StopReason.DRAIN)
        if not self._is_idle():
            # If Redis is unavailable, other workers recover the jobs when their leases end.
            pending = {*self.tasks.values(), *self._finishing}
            await asyncio.wait(pending, timeout=self.settings.lease_ms / 1000)

    async def close(self) -> None:
        """Deregisters, runs ``on_shutdown`` and closes the connections. Later calls do nothing."""
        if self._closed:
            return
        self._closed = True
        self.allow_pick_jobs = False
        if self._hold_timer is not None:
            self._hold_timer.cancel()
        # Bounded: a job may ignore its cancellation for ever.
        for task in await cancel_and_wait(self.tasks.values(), max_rounds=MAX_CANCELLATIONS):
            log.error("job.cancel-ignored", slot=task.get_name())
        await self._claims.close()
        if self._registered:
            await self._deregister()
        try:
            if self.on_shutdown is not None:
                await self.on_shutdown(self.ctx)
        finally:
            await self._fast_scripts.close()
            await self.pool.aclose(close_connection_pool=True)

    async def _deregister(self) -> None:
        try:
            await self._ended.report()
            await self.leases.release_unknown_claims(self._abandoned)
            await self.leases.deregister_worker(self.worker_id, "the worker stopped", lost=False)
        except (RedisError, OSError) as error:
            # An error of Redis must neither hide why the worker ended nor prevent its clean-up.
            log.warning("worker.deregister-failed", error=str(error))
        log.info("worker.stopped", completed=self.jobs_complete, failed=self.jobs_failed)

    # ---------------------------------------------------------------- claims and slots

    async def _claim_loop(self) -> None:
        """Keeps the slots busy. Returns at the end of a burst; blocks for ever once a drain has begun."""
        failed_calls = FailureLog()
        while True:
            while self._free_slots == 0:
                self._slot_freed.clear()
                await self._slot_freed.wait()
            if not self.allow_pick_jobs:
                await asyncio.get_running_loop().create_future()
            try:
                reply = await self._claims.claim(self._free_slots)
                failed_calls.reset()
                self._next_due_ms = reply.next_due_ms
                if self._free_slots == 0:
                    continue
                if self.burst and not reply.claims and self._is_idle() and await self._nothing_pending():
                    return
                while not await self._may_find_work():
                    pass
            except ResponseError as error:
                failed_calls.add(error)
                await asyncio.sleep(REDIS_BACKOFF_S.delay(failed_calls.failures, self._rng))

    async def _nothing_pending(self) -> bool:
        # As in stock arq: the schedule holds waiting jobs, backoffs, and jobs running elsewhere, which may come back.
        pending: int = await retry_until_connected(
            lambda: self.pool.zcount(self.leases.keys.schedule, f"({ARQ_GUARD_SCORE}", "+inf"), self._rng
        )
        return pending == 0

    async def _may_find_work(self) -> bool:
        """Blocks until a claim may find jobs. Returns False after IDLE_WAIT_S without any sign of one.

        Whatever adds work wakes a worker. A wake-up that got lost is repeated by the next maintenance step.
        """
        timeout_s = (
            IDLE_WAIT_S if self._socket_timeout_s is None else min(IDLE_WAIT_S, 0.8 * self._socket_timeout_s)
        )
        if self._next_due_ms is not None:
            timeout_s = min(timeout_s, self._next_due_ms / 1000)
        try:
            woken = await self._primary_pool.wait_while_primary(self.leases.wait_for_work(timeout_s))
        except Exception as error:
            if not is_temporary(error):
                raise
            return True  # the claim that follows retries with a delay
        if woken is None:
            return True  # the primary is another one
        return woken or self._next_due_ms is not None or self.burst or not self.allow_pick_jobs

    def receive(self, claim: Claim) -> None:
        """Starts the job of a claim if a slot is free, else lets it wait for one."""
        run = self._hold(claim)
        # In a drain, the run ends at once and releases the job.
        if self._free_slots > 0 or not self.allow_pick_jobs:
            self._start(run)
            return
        self._ahead.add(run)
        if self._hold_timer is None:
            self._hold_timer = asyncio.get_running_loop().call_later(HOLD_LIMIT_S, self._release_overdue)

    def _start(self, run: JobRun) -> None:
        self._free_slots -= 1
        token = run.claim.token
        task = self._create_task(token, self._slot(run), name=f"slot {run.claim.job_id}")
        self._take_slot(run, task)
        task.add_done_callback(partial(self._free_slot, token))

    def _create_task(self, key: str, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self._idle.clear()
        task = asyncio.create_task(work, name=name)
        self.tasks[key] = task
        return task

    def _take_slot(self, run: JobRun, task: asyncio.Task[Any] | None) -> None:
        run.take_slot(task)
        if run.claim.ahead:
            self._claims.report_started(run.claim)

    def _take_ahead(self, task: asyncio.Task[Any] | None) -> JobRun | None:
        """The next run that was claimed ahead, for the slot of ``task``."""
        run = self._ahead.take() if self.allow_pick_jobs else None
        if run is not None:
            self._take_slot(run, task)
        return run

    def _start_ahead(self) -> None:
        while self._free_slots > 0 and self.allow_pick_jobs and (run := self._ahead.take()) is not None:
            self._start(run)

    def wanted_ahead(self) -> int:
        """How many jobs the worker would claim ahead besides those that wait here."""
        return self._run_times.max_ahead(self.max_jobs) - len(self._ahead)

    def accepts_jobs(self) -> bool:
        """Whether the worker wants new jobs."""
        return self.allow_pick_jobs

    def on_pause(self) -> None:
        """Releases the jobs that were claimed ahead: a paused queue starts none."""
        self._release_ahead(self._ahead.take_claimed_before(math.inf))

    def _release_overdue(self) -> None:
        """Releases jobs that have waited too long for a slot: the running ones take longer than those before them."""
        self._hold_timer = None
        self._release_ahead(self._ahead.take_claimed_before(time.monotonic() - HOLD_LIMIT_S))
        if self._ahead:
            self._hold_timer = asyncio.get_running_loop().call_later(HOLD_LIMIT_S, self._release_overdue)

    def _release_ahead(self, runs: Sequence[JobRun]) -> None:
        if not runs:
            return
        key = runs[0].claim.token
        task = self._create_task(key, self._release_claims(runs), name="release")
        for run in runs:
            run.task = task
        task.add_done_callback(partial(self._end_task, key))

    async def _release_claims(self, runs: Sequence[JobRun]) -> None:
        claims = [run.claim for run in runs]
        await retry_until_connected(lambda: self.leases.release(claims), self._rng)
        for claim in claims:
            del self.runs[claim.token]

    def _hold(self, claim: Claim) -> JobRun:
        """Registers a claim as held as soon as it arrives, so that it is renewed and not released as unknown."""
        run = JobRun(claim, on_slot_release=self._release_slot)
        self.runs[claim.token] = run
        if not self.allow_pick_jobs:
            # It was in flight when the drain began.
            run.stop(StopReason.DRAIN)
        return run

    def _release_slot(self, run: JobRun) -> None:
        """Frees the slot of a run that only publishes, of one run per slot: a slow store slows claims."""
        if run.task is None or len(self._publishing) >= self.max_jobs:
            return
        run.slot_released = True
        self._publishing.add(run.task)
        self._free_slots += 1
        self._start_ahead()
        self._slot_freed.set()

    def _free_slot(self, key: str, task: asyncio.Task[None]) -> None:
        if task in self._publishing:
            self._publishing.remove(task)
        else:
            self._free_slots += 1
        self._start_ahead()
        self._slot_freed.set()
        self._end_task(key, task)

    def _is_idle(self) -> bool:
        return not self.tasks and not self._finishing

    def _end_task(self, key: str, task: asyncio.Task[None]) -> None:
        del self.tasks[key]
        if self._is_idle():
            self._idle.set()
        if not task.cancelled() and task.exception() is None:
            return
        unrecorded = [token for token, run in self.runs.items() if run.task is task]
        for token in unrecorded:
            claim = self.runs.pop(token).claim
            if not task.cancelled():
                self._abandon(claim, task.exception())

    def _abandon(self, claim: Claim, error: BaseException | None) -> None:
        """Lets the lease of a job end whose outcome could not be recorded.

        That counts as a crash: after PREVIEW_MAX_CRASHES of them the job is a dead letter.
        """
        self._abandoned.append(claim)
        log.error(
            "job.unrecorded",
            jobId=claim.job_id,
            exception="" if error is None else failure_from_error(error).traceback,
        )

    async def _slot(self, first: JobRun) -> None:
        """Runs jobs one after the other, as long as each finish returns the next."""
        run: JobRun | None = first
        while run is not None:
            claim = run.claim
            attempt = claim.attempts + claim.crashes + 1
            with job_log_context(JobLogContext(claim.job_id, attempt, self.worker_id)):
                run = await self._run_job(run)

    async def _run_job(self, run: JobRun) -> JobRun | None:
        """Runs a job and returns the slot's next one. If that waits here, the completion is sent behind it."""
        task = run.task
        outcome = await self._job_runner.execute(run)
        if isinstance(outcome, Completed):
            self._run_times.add(run.elapsed_ms)
            next_run = None if run.slot_released else self._take_ahead(task)
            if next_run is not None:
                self._finish_behind(run, outcome)
                if self._claims.is_ready_to_send:
                    await asyncio.sleep(0)
                return next_run
        next_runs: list[JobRun] = []

        def on_claim(claim: Claim) -> None:
            next_runs.append(self._hold(claim))
            self._take_slot(next_runs[0], task)

        run_end = await self._job_runner.record(run, outcome, None if run.slot_released else on_claim)
        self._note_end(run, run_end)
        await self._job_runner.call_after_hook(run)
        if next_runs:
            return next_runs[0]
        return None if run.slot_released else self._take_ahead(task)

    def _finish_behind(self, run: JobRun, completed: Completed) -> None:
        """Sends a completion while the slot's task goes on with the next job."""
        run.task = None
        finished = self._job_runner.finish(run, completed, None)
        self._finishing.add(finished)
        self._idle.clear()
        finished.add_done_callback(partial(self._on_finished, run))

    def _on_finished(self, run: JobRun, finished: asyncio.Future[ScriptResult]) -> None:
        self._finishing.discard(finished)
        if finished.cancelled():
            self.runs.pop(run.claim.token)  # the worker closes, and recovers the job when it deregisters
        elif self._job_runner.has_plain_end(finished):
            self._note_end(run, RunEnd.COMPLETED)
        else:
            key = f"end {run.claim.token}"
            run.task = self._create_task(key, self._end_behind(run, finished), name=f"end {run.claim.job_id}")
            run.task.add_done_callback(partial(self._end_task, key))
        if self._is_idle():
            self._idle.set()

    async def _end_behind(self, run: JobRun, finished: asyncio.Future[ScriptResult]) -> None:
        self._note_end(run, await self._job_runner.end_of_finish(run, finished))
        await self._job_runner.call_after_hook(run)

    def _note_end(self, run: JobRun, run_end: RunEnd) -> None:
        if run_end is RunEnd.COMPLETED:
            self.jobs_complete += 1
            self._recent.add()
            self._ended.add(
                run.project_id,
                run.claim.priority,
                run.output_format,
                wait_ms=run.claim.wait_ms,
                run_ms=run.run_ms,
            )
        elif run_end is RunEnd.RETRIED:
            self.jobs_retried += 1
        elif run_end is RunEnd.FAILED:
            self.jobs_failed += 1
        del self.runs[run.claim.token]

    def held_claims(self) -> Iterable[Claim]:
        """All claims that the worker holds."""
        return [*(run.claim for run in self.runs.values()), *self._abandoned]

    def _status(self) -> dict[str, Any]:
        stats = self._process_stats.read()
        running = [run for run in self.runs.values() if not run.waits_for_slot]
        return {
            "host": self._host,
            "pid": os.getpid(),
            "state": "draining" if self._drain_requested.is_set() else "working",
            "slots": self.max_jobs,
            "busy": len(running) - len(self._publishing),
            "rssBytes": stats.rss_bytes,
            "ownRssBytes": stats.own_rss_bytes,
            "cpu": stats.cpu_percent,
            "startedMs": self._started_ms,
            "completed": self.jobs_complete,
            "completedRecently": self._recent.read(),
            "failed": self.jobs_failed,
            "version": __version__,
            "build": build_id(),
            **self._report_fields(),
            "clockMs": self._clock.now_ms(),
            "jobs": [run.claim.job_id for run in running],
        }
