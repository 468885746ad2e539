"""Decides how a failed run is recorded, and records it by one transition."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from previewops.clock import Rng
from previewops.job_errors import FailureKind
from previewops.queue.fingerprint import fingerprint
from previewops.queue.leases import DeadLetterReason, Leases
from previewops.queue.records import Attempt
from previewops.queue.retry import DeadLetter, Retry, RetryPolicy, decide_after_crash, decide_after_failure
from previewops.states import ScriptResult
from previewops.worker.engine.execution import Failed, JobRun

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OutcomeRecorder:
    """Records failures of one worker's jobs by one retry policy."""

    leases: Leases
    policy: RetryPolicy
    rng: Rng
    worker_id: str

    def decide(self, run: JobRun, failed: Failed) -> Retry | DeadLetter:
        """The policy's decision about a failure."""
        if failed.crash:
            return decide_after_crash(run.claim.crashes, self.policy, self.rng)
        policy = self.policy
        if run.max_tries is not None:
            # arq's func(max_tries=…) overrides PREVIEW_MAX_ATTEMPTS for its function.
            policy = replace(policy, max_attempts=run.max_tries)
        decision = decide_after_failure(failed.kind, run.claim.attempts, policy, self.rng)
        if isinstance(decision, Retry) and failed.delay_ms is not None:
            # arq's Retry(defer=…): the job sets its own delay.
            return Retry(decision.counter, failed.delay_ms)
        return decision

    async def record(self, run: JobRun, failed: Failed, decision: Retry | DeadLetter) -> ScriptResult:
        """Records a retry with backoff or a dead letter, with the attempt."""
        attempt_json, traceback_json = self._attempt(run, failed).as_redis()
        if isinstance(decision, Retry):
            code = await self.leases.retry(
                run.claim,
                delay_ms=decision.delay_ms,
                counter=decision.counter,
                attempt_json=attempt_json,
                traceback_json=traceback_json,
                message=failed.message,
            )
        else:
            code = await self.leases.move_to_dead_letters(
                run.claim,
                counter=decision.counter,
                attempt_json=attempt_json,
                traceback_json=traceback_json,
                reason=DeadLetterReason(
                    decision.cause,
                    failed.error_class,
                    failed.code,
                    failed.message,
                    fingerprint(failed.error_class, failed.code, failed.template),
                ),
            )
        self._log(failed, decision, code)
        return code

    def _attempt(self, run: JobRun, failed: Failed) -> Attempt:
        return Attempt(
            at_ms=run.claim.claimed_ms,
            duration_ms=round(run.elapsed_ms),
            worker=self.worker_id,
            kind="crash" if failed.crash else failed.kind.value,
            error_class=failed.error_class,
            code=failed.code,
            message=failed.message,
            traceback=failed.traceback,
        )

    def _log(self, failed: Failed, decision: Retry | DeadLetter, code: ScriptResult) -> None:
        if code is ScriptResult.STALE:
            log.warning("job.failure-stale", error=failed.code)
        elif isinstance(decision, Retry):
            log.warning("job.failed", error=failed.code, message=failed.message, inMs=decision.delay_ms)
        else:
            cause = decision.cause.value
            log.error("job.dead-lettered", error=failed.code, message=failed.message, cause=cause)
        if failed.code == "unexpected" and failed.kind is FailureKind.TRANSIENT:
            log.debug("job.traceback", exception=failed.traceback)
