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
import time
from collections.abc import Iterable, Sequence
from signal import Signals
from typing import Any

import psutil
import structlog
from arq.connections import ArqRedis
from arq.typing import StartupShutdown, WorkerCoroutine
from arq.worker import Function, Worker
from redis.asyncio import ConnectionPool

from previewops import __version__
from previewops.clock import Clock, Random, SystemClock, system_random
from previewops.lease import Claim, Claims, Finished, Leases
from previewops.retry import RetryPolicy
from previewops.settings import Settings
from previewops.states import Code
from previewops.worker.exchange import Exchange
from previewops.worker.execution import Completed, Failed, Hooks, Interruption, Run, execute
from previewops.worker.hotline import Hotline
from previewops.worker.persistence import is_temporary, pause_s, persist
from previewops.worker.settlement import Settlement

log = structlog.get_logger()

IDLE_WAIT_S = 0.25
"""How long an idle worker blocks for a wake-up. Jobs of stock arq clients come without one."""

CALLS_UNDER_WAY = 2
"""Finish-and-claim calls of one worker at a time: while Redis works on one, the worker prepares the other."""


def json_bytes(record: dict[str, Any]) -> bytes:
    """The serializer that stock arq clients of this queue have to be given."""
    return json.dumps(record).encode()


class PreviewWorker(Worker):
    """One worker process: ``settings.worker_concurrency`` slots, one lease and one task per running job."""

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
    ) -> None:
        redis = ArqRedis(
            pool_or_conn=pool,
            job_serializer=json_bytes,
            job_deserializer=json.loads,
            default_queue_name=settings.queue_name,
        )
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
            job_timeout=None,  # type: ignore[arg-type]  # arq's annotation leaves out the None that it accepts
            max_tries=settings.max_attempts,
            ctx=ctx,
            job_serializer=json_bytes,
            job_deserializer=json.loads,
        )
        self.settings = settings
        self.worker_id = worker_id
        self.leases = Leases(redis, settings, worker_id)
        self._hotline = Hotline(pool, self.leases.scripts)
        self.leases.hot = self._hotline
        self.runs: dict[str, Run] = {}
        self._clock = clock or SystemClock()
        self._dice = dice or system_random()
        self._started_ms = self._clock.now_ms()
        self._process = psutil.Process()
        self._host = socket.gethostname()
        self._hooks = Hooks(on_job_start, on_job_end, after_job_end)
        self._settlement = Settlement(
            self.leases,
            RetryPolicy(
                settings.max_attempts, settings.max_crashes, settings.backoff_base_ms, settings.backoff_max_ms
            ),
            self._dice,
            worker_id,
        )
        self._exchange = Exchange(
            self.leases,
            calls=CALLS_UNDER_WAY,
            batch=max(2, settings.worker_concurrency // CALLS_UNDER_WAY),
            held=self._held,
            taking=lambda: self.allow_pick_jobs,
            dice=self._dice,
        )
        self._free = settings.worker_concurrency
        self._slot_freed = asyncio.Event()
        self._idle = asyncio.Event()
        self._drain_asked = asyncio.Event()
        self._hurry = asyncio.Event()
        self._next_due_ms: int | None = None

    # ---------------------------------------------------------------- life

    async def main(self) -> None:
        """Works until drained, or, in burst mode, until nothing is pending. Survives Redis going away."""
        await persist(self._greet, self._dice)
        self.ctx["redis"] = self.pool
        self.ctx["leases"] = self.leases
        if self.on_startup is not None:
            await self.on_startup(self.ctx)
        beating = asyncio.create_task(self._beat(), name="heartbeat")
        claiming = asyncio.create_task(self._claim_loop(), name="claims")
        asked = asyncio.create_task(self._drain_asked.wait(), name="drain")
        try:
            await asyncio.wait({beating, claiming, asked}, return_when=asyncio.FIRST_COMPLETED)
            for loop in (beating, claiming):
                if loop.done():
                    # An error that trying again cannot heal ends the worker: its supervisor decides.
                    loop.result()
            await self._drain()
        finally:
            beating.cancel()
            claiming.cancel()
            asked.cancel()
            await asyncio.gather(beating, claiming, asked, return_exceptions=True)
            await self._give_back_all()

    async def _greet(self) -> None:
        await self._say("started")
        log.info(
            "worker started",
            worker=self.worker_id,
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
            log.info("draining", signal=Signals(signum).name, running=len(self.runs))
        self.allow_pick_jobs = False
        self._drain_asked.set()

    handle_sig_wait_for_completion = drain
    handle_sig = drain

    async def _drain(self) -> None:
        self.allow_pick_jobs = False
        if not self.runs:
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
        """Says good-bye, runs ``on_shutdown`` and closes the connections."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        try:
            await self.leases.reclaim(())
            await self.leases.end_worker(self.worker_id, "the worker stopped", lost=False)
        except Exception as error:
            if not is_temporary(error):
                raise
            log.warning("stopped without telling Redis, which is away", error=str(error))
        if self.on_shutdown is not None:
            await self.on_shutdown(self.ctx)
        await self._hotline.close()
        await self.pool.aclose(close_connection_pool=True)
        log.info(
            "worker stopped", worker=self.worker_id, completed=self.jobs_complete, failed=self.jobs_failed
        )

    # ---------------------------------------------------------------- claims and slots

    async def _claim_loop(self) -> None:
        while True:
            while self._free == 0:
                self._slot_freed.clear()
                await self._slot_freed.wait()
            if not self.allow_pick_jobs:
                return
            claims = await self._exchange.claim(self._free, self._start)
            self._next_due_ms = claims.next_due_ms
            if self._free == 0:
                continue
            if self.burst and self._exhausted(claims):
                return
            await self._await_work()

    def _exhausted(self, claims: Claims) -> bool:
        return not claims.jobs and not self.runs and claims.next_due_ms is None

    async def _await_work(self) -> None:
        timeout_s = IDLE_WAIT_S
        if self._next_due_ms is not None:
            # At least 1 ms: BLPOP takes 0 for "without end".
            timeout_s = min(timeout_s, max(0.001, self._next_due_ms / 1000))
        try:
            await self.leases.wait_for_work(timeout_s)
        except Exception as error:
            if not is_temporary(error):
                raise
            # The claim that follows keeps at it, with pauses.

    def _start(self, claim: Claim) -> None:
        run = Run(claim)
        self._free -= 1
        self._idle.clear()
        self.runs[claim.job_id] = run
        task = asyncio.create_task(self._slot(run), name=f"slot {claim.job_id}")
        run.task = task
        self.tasks[claim.token] = task
        task.add_done_callback(lambda _: self._stop(claim.token))

    def _stop(self, key: str) -> None:
        del self.tasks[key]
        self._free += 1
        self._slot_freed.set()
        if not self.tasks:
            self._idle.set()

    async def _slot(self, run: Run) -> None:
        """Works off one job after the other, as long as each finish brings the next."""
        while True:
            following = await self._work(run)
            self.runs.pop(run.claim.job_id, None)
            if following is None:
                return
            run = Run(following, task=run.task)
            self.runs[following.job_id] = run

    async def _work(self, run: Run) -> Claim | None:
        outcome = await execute(run, self.functions, self.ctx, self._hooks, self.job_timeout_s)
        run.settling = True
        following: Claim | None = None
        if isinstance(outcome, Completed):
            code, following = await self._exchange.finish(
                Finished(run.claim, outcome.result_json, run.elapsed_ms)
            )
            if code is Code.STALE:
                log.warning("finished too late: the job is another worker's", job=run.claim.job_id)
            else:
                self.jobs_complete += 1
        elif isinstance(outcome, Failed):
            await self._settle(run, outcome)
        elif outcome.why is Interruption.DRAIN:
            await persist(lambda: self.leases.release([run.claim]), self._dice)
        else:
            log.warning("let go of a job: its lease is lost", job=run.claim.job_id)
        await self._after(run)
        return following

    async def _settle(self, run: Run, failed: Failed) -> None:
        decision = self._settlement.decide(run, failed)
        await persist(lambda: self._settlement.settle(run, failed, decision), self._dice)
        self.jobs_failed += 1

    async def _after(self, run: Run) -> None:
        if self._hooks.after_job_end is None:
            return
        try:
            await self._hooks.after_job_end({**self.ctx, "job_id": run.claim.job_id, "run": run})
        except Exception:
            # The job is settled; a hook cannot unsettle it, nor end the worker.
            log.exception("after_job_end raised", job=run.claim.job_id)

    def _held(self) -> Iterable[Claim]:
        return [run.claim for run in self.runs.values()]

    # ---------------------------------------------------------------- health

    async def _beat(self) -> None:
        """Renews the leases and does upkeep, every PREVIEW_HEARTBEAT_MS; lets go of jobs whose lease is lost."""
        trusted_until = time.monotonic() + self.settings.lease_ms / 1000
        failures = 0
        while True:
            sent = time.monotonic()
            try:
                await self._say("draining" if self._drain_asked.is_set() else "working")
                trusted_until = sent + self.settings.lease_ms / 1000
                await self.leases.maintain()
                failures = 0
            except Exception as error:
                if not is_temporary(error):
                    raise
                failures += 1
            if time.monotonic() > trusted_until:
                self._let_go([run.claim.job_id for run in self.runs.values()])
            pause = self.settings.heartbeat_ms / 1000
            await asyncio.sleep(min(pause, pause_s(failures, self._dice)) if failures else pause)

    async def _say(self, state: str) -> None:
        running = [
            (run.claim, run.progress, run.phase) for run in self.runs.values() if run.interruption is None
        ]
        tokens = {claim.job_id: claim.token for claim, _, _ in running}
        lost = await self.leases.heartbeat(json.dumps(self._info(state)), running)
        # A job that ended while the call was under way is not lost, and its id may be at work again already.
        self._let_go(
            job_id
            for job_id in lost
            if job_id in self.runs and self.runs[job_id].claim.token == tokens[job_id]
        )

    def _let_go(self, job_ids: Iterable[str]) -> None:
        for job_id in list(job_ids):
            self.runs[job_id].interrupt(Interruption.LEASE_LOST)

    def _info(self, state: str) -> dict[str, Any]:
        return {
            "host": self._host,
            "pid": os.getpid(),
            "state": state,
            "slots": self.max_jobs,
            "busy": len(self.runs),
            "rssBytes": self._process.memory_info().rss,
            "startedMs": self._started_ms,
            "completed": self.jobs_complete,
            "failed": self.jobs_failed,
            "version": __version__,
            "jobs": list(self.runs),
        }
