"""From an outcome to the one transition that records it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import structlog

from previewops.clock import Random
from previewops.errors import FailureKind
from previewops.fingerprint import fingerprint
from previewops.lease import Burial, Leases
from previewops.records import Attempt
from previewops.retry import Again, Dead, RetryPolicy, after_crash, after_failure
from previewops.states import Code
from previewops.worker.execution import Failed, Run

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles failures of one worker's jobs by one policy."""

    leases: Leases
    policy: RetryPolicy
    dice: Random
    worker_id: str

    def decide(self, run: Run, failed: Failed) -> Again | Dead:
        """What the policy makes of a failure."""
        if failed.crash:
            return after_crash(run.claim.crashes, self.policy, self.dice)
        policy = self.policy
        if run.max_tries is not None:
            # arq's func(max_tries=…) is for this function what PREVIEW_MAX_ATTEMPTS is for all.
            policy = replace(policy, max_attempts=run.max_tries)
        decision = after_failure(failed.kind, run.claim.attempts, policy, self.dice)
        if isinstance(decision, Again) and failed.delay_ms is not None:
            # arq's Retry(defer=…): the job knows better when to come back.
            return Again(decision.counter, failed.delay_ms)
        return decision

    async def settle(self, run: Run, failed: Failed, decision: Again | Dead) -> Code:
        """Carries a decision out: backoff or dead letter, with the attempt on record."""
        attempt = json.dumps(self._attempt(run, failed).as_json())
        if isinstance(decision, Again):
            code = await self.leases.retry(
                run.claim,
                delay_ms=decision.delay_ms,
                counter=decision.counter,
                attempt_json=attempt,
                message=failed.message,
            )
        else:
            code = await self.leases.bury(
                run.claim,
                counter=decision.counter,
                attempt_json=attempt,
                burial=Burial(
                    decision.cause,
                    failed.error_class,
                    failed.code,
                    failed.message,
                    fingerprint(failed.error_class, failed.code, failed.message),
                ),
            )
        self._tell(failed, decision, code)
        return code

    def _attempt(self, run: Run, failed: Failed) -> Attempt:
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

    def _tell(self, failed: Failed, decision: Again | Dead, code: Code) -> None:
        if code is Code.STALE:
            log.warning("job.lost", error=failed.code)
        elif isinstance(decision, Again):
            log.warning("job.failed", error=failed.code, message=failed.message, inMs=decision.delay_ms)
        else:
            log.error("job.died", error=failed.code, message=failed.message, cause=decision.cause.value)
        if failed.code == "unexpected" and failed.kind is FailureKind.TRANSIENT:
            log.debug("job.traceback", exception=failed.traceback)
