"""Runs a claimed job and records its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import structlog
from arq.cron import CronJob
from arq.worker import Function
from redis.exceptions import ResponseError

from previewops.clock import Rng
from previewops.queue.leases import Claim, CompletedJob, Leases
from previewops.queue.retry import Retry
from previewops.states import ScriptResult
from previewops.worker.engine.claims import ClaimChannel
from previewops.worker.engine.execution import (
    Completed,
    Failed,
    Hooks,
    JobRun,
    StopReason,
    execute,
    failure_from_error,
)
from previewops.worker.engine.outcome import OutcomeRecorder
from previewops.worker.engine.redis_retry import retry_until_connected

log = structlog.get_logger()

HoldClaim = Callable[[Claim], JobRun]
"""Registers a claim as held, as soon as it arrives."""


class RunEnd(Enum):
    """How a run ended, for the worker's counters."""

    COMPLETED = auto()
    RETRIED = auto()
    FAILED = auto()
    RELEASED = auto()  # released, or held by another worker


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs jobs with arq's ``functions``, ``ctx`` and hooks, and records their outcomes."""

    functions: Mapping[str, Function | CronJob]
    ctx: dict[Any, Any]
    hooks: Hooks
    leases: Leases
    claims: ClaimChannel
    recorder: OutcomeRecorder
    rng: Rng

    async def run(self, job_run: JobRun, hold: HoldClaim) -> tuple[RunEnd, JobRun | None]:
        """Executes a run and records its outcome. A completion may return the next run of the slot."""
        outcome = await execute(job_run, self.functions, self.ctx, self.hooks)
        job_run.recording = True
        if isinstance(outcome, Completed):
            try:
                return await self._finish(job_run, outcome, hold)
            except ResponseError as error:
                # Something about this job breaks the script: the job has failed.
                return await self._record_failure(job_run, failure_from_error(error)), None
        if isinstance(outcome, Failed):
            return await self._record_failure(job_run, outcome), None
        await self._release(job_run, outcome.reason)
        return RunEnd.RELEASED, None

    async def call_after_hook(self, run: JobRun) -> None:
        """Calls the hook after a run was recorded and is no longer held."""
        if self.hooks.after_job_end is None:
            return
        try:
            await self.hooks.after_job_end({**self.ctx, "job_id": run.claim.job_id, "run": run})
        except Exception as error:
            # The outcome is recorded: a hook can neither change it nor end the worker.
            log.error("hook.failed", hook="after_job_end", exception=failure_from_error(error).traceback)

    async def _finish(
        self, run: JobRun, completed: Completed, hold: HoldClaim
    ) -> tuple[RunEnd, JobRun | None]:
        next_run: JobRun | None = None

        def on_claim(claim: Claim) -> None:
            nonlocal next_run
            next_run = hold(claim)
            next_run.task = run.task

        completed_job = CompletedJob(run.claim, completed.result_json, run.elapsed_ms, completed.dry_run)
        code = await self.claims.finish(completed_job, None if run.slot_released else on_claim)
        if code is ScriptResult.STALE:
            log.warning("job.result-stale")
            return RunEnd.RELEASED, next_run
        return RunEnd.COMPLETED, next_run

    async def _record_failure(self, run: JobRun, failed: Failed) -> RunEnd:
        decision = self.recorder.decide(run, failed)
        code = await retry_until_connected(lambda: self.recorder.record(run, failed, decision), self.rng)
        if code is ScriptResult.STALE:
            return RunEnd.RELEASED
        return RunEnd.RETRIED if isinstance(decision, Retry) else RunEnd.FAILED

    async def _release(self, run: JobRun, reason: StopReason) -> None:
        """Releases a job without counting an attempt. The token protects a job that another worker holds.

        Also for an expired lease: while Redis was unavailable, no other worker can have claimed the job.
        """
        (code,) = await retry_until_connected(lambda: self.leases.release([run.claim]), self.rng)
        if reason is StopReason.LEASE_LOST:
            log.warning("job.lease-lost", released=code is not ScriptResult.STALE)
