"""Runs a claimed job and records its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import structlog
from arq.cron import CronJob
from arq.worker import Function
from redis.exceptions import ResponseError

from previewops.clock import Rng
from previewops.queue.leases import CompletedJob, Leases
from previewops.queue.output_formats import DRY_RUN
from previewops.queue.retry import Retry
from previewops.states import ScriptResult
from previewops.worker.engine.claims import ClaimChannel, OnClaim
from previewops.worker.engine.execution import (
    Completed,
    Failed,
    Hooks,
    JobRun,
    RunOutcome,
    StopReason,
    execute,
    failure_from_error,
)
from previewops.worker.engine.outcome import OutcomeRecorder
from previewops.worker.engine.redis_retry import retry_until_connected

log = structlog.get_logger()


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

    async def execute(self, job_run: JobRun) -> RunOutcome:
        """Executes a run to its outcome, which nothing stops any more."""
        outcome = await execute(job_run, self.functions, self.ctx, self.hooks)
        job_run.recording = True
        return outcome

    async def record(self, job_run: JobRun, outcome: RunOutcome, on_claim: OnClaim | None) -> RunEnd:
        """Records the outcome of a run. With a completion, ``on_claim`` may get the next claim."""
        if isinstance(outcome, Completed):
            return await self.end_of_finish(job_run, self.finish(job_run, outcome, on_claim))
        if isinstance(outcome, Failed):
            return await self._record_failure(job_run, outcome)
        await self._release(job_run, outcome.reason)
        return RunEnd.RELEASED

    def finish(
        self, run: JobRun, completed: Completed, on_claim: OnClaim | None
    ) -> asyncio.Future[ScriptResult]:
        """Sends a completion, as ``ClaimChannel.finish`` does."""
        run.run_ms = run.elapsed_ms
        if completed.dry_run:
            run.output_format = DRY_RUN
        completed_job = CompletedJob(run.claim, completed.result_json, run.run_ms, completed.dry_run)
        return self.claims.finish(completed_job, on_claim)

    def has_plain_end(self, finished: asyncio.Future[ScriptResult]) -> bool:
        """Whether a completion has been recorded and nothing else is to be done."""
        return (
            self.hooks.after_job_end is None
            and finished.exception() is None
            and finished.result() is not ScriptResult.STALE
        )

    async def end_of_finish(self, run: JobRun, finished: asyncio.Future[ScriptResult]) -> RunEnd:
        """Awaits a completion that was sent. Records a failure if something about the job breaks the script."""
        try:
            code = await finished
        except ResponseError as error:
            return await self._record_failure(run, failure_from_error(error))
        if code is ScriptResult.STALE:
            log.warning("job.result-stale")
            return RunEnd.RELEASED
        return RunEnd.COMPLETED

    async def call_after_hook(self, run: JobRun) -> None:
        """Calls the hook after a run was recorded and is no longer held."""
        if self.hooks.after_job_end is None:
            return
        try:
            await self.hooks.after_job_end({**self.ctx, "job_id": run.claim.job_id, "run": run})
        except Exception as error:
            # The outcome is recorded: a hook can neither change it nor end the worker.
            log.error("hook.failed", hook="after_job_end", exception=failure_from_error(error).traceback)

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
