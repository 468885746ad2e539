"""Carries one claim after the other from its start to the transition that records what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

import structlog
from arq.cron import CronJob
from arq.worker import Function
from redis.exceptions import ResponseError

from previewops.clock import Random
from previewops.lease import Claim, Finished, Leases
from previewops.retry import Again
from previewops.states import Code
from previewops.worker.exchange import Exchange
from previewops.worker.execution import Completed, Failed, Hooks, Interruption, Run, execute, failure_of
from previewops.worker.persistence import persist
from previewops.worker.settlement import Settlement

log = structlog.get_logger()

Hold = Callable[[Claim], Run]
"""Holds a claim from the moment it arrives."""


class End(Enum):
    """What became of a run, for the worker's counters."""

    COMPLETED = auto()
    RETRIED = auto()
    FAILED = auto()
    GONE = auto()  # given back, or another worker's by now


class Workbench:
    """Runs jobs with ``functions``, ``ctx`` and hooks of arq's, and records their ends."""

    def __init__(
        self,
        functions: Mapping[str, Function | CronJob],
        ctx: dict[Any, Any],
        hooks: Hooks,
        *,
        leases: Leases,
        exchange: Exchange,
        settlement: Settlement,
        dice: Random,
    ) -> None:
        self._functions = functions
        self._ctx = ctx
        self._hooks = hooks
        self._leases = leases
        self._exchange = exchange
        self._settlement = settlement
        self._dice = dice

    async def carry(self, run: Run, hold: Hold) -> tuple[End, Run | None]:
        """Executes a run and records its end; with a completion comes the run that follows it, if any."""
        outcome = await execute(run, self._functions, self._ctx, self._hooks)
        run.settling = True
        if isinstance(outcome, Completed):
            try:
                return await self._finish(run, outcome, hold)
            except ResponseError as error:
                # Something about this job breaks the script: one more way to fail.
                return await self._settle(run, failure_of(error)), None
        if isinstance(outcome, Failed):
            return await self._settle(run, outcome), None
        await self._let_loose(run, outcome.why)
        return End.GONE, None

    async def after(self, run: Run) -> None:
        """Calls the hook for a run that is settled and no longer held."""
        if self._hooks.after_job_end is None:
            return
        try:
            await self._hooks.after_job_end({**self._ctx, "job_id": run.claim.job_id, "run": run})
        except Exception as error:
            # The job is settled; a hook cannot unsettle it, nor end the worker.
            log.error("hook.failed", hook="after_job_end", exception=failure_of(error).traceback)

    async def _finish(self, run: Run, completed: Completed, hold: Hold) -> tuple[End, Run | None]:
        following: Run | None = None

        def adopt(claim: Claim) -> None:
            nonlocal following
            following = hold(claim)
            following.task = run.task

        finished = Finished(run.claim, completed.result_json, run.elapsed_ms, completed.dry_run)
        code = await self._exchange.finish(finished, adopt)
        if code is Code.STALE:
            log.warning("job.too-late")
            return End.GONE, following
        return End.COMPLETED, following

    async def _settle(self, run: Run, failed: Failed) -> End:
        decision = self._settlement.decide(run, failed)
        code = await persist(lambda: self._settlement.settle(run, failed, decision), self._dice)
        if code is Code.STALE:
            return End.GONE
        return End.RETRIED if isinstance(decision, Again) else End.FAILED

    async def _let_loose(self, run: Run, why: Interruption) -> None:
        """Gives a job back without an attempt. One that was taken away is refused by its token and left alone.

        Also when the lease was merely distrusted: while Redis was away nobody else may have taken the job.
        """
        (code,) = await persist(lambda: self._leases.release([run.claim]), self._dice)
        if why is Interruption.LEASE_LOST:
            log.warning("job.let-go", givenBack=code is not Code.STALE)
