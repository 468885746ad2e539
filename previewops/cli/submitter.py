"""Submission of payload files: import of assets, validation, submit, report per payload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.payload_files import ParsedPayload, worst_exit_code
from previewops.cli.waiting import retry_during_outage
from previewops.contract import AssetPolicy, Payload, explain, validate
from previewops.contract.violations import normalize
from previewops.errors import (
    EXIT_FAILED,
    EXIT_TRY_AGAIN,
    InvalidPayload,
    JobConflict,
    PreviewopsError,
    RedisUnavailable,
)
from previewops.queue.batch_errors import BatchClosed, BatchConflict
from previewops.queue.batches import Batches
from previewops.queue.queue import Queue, Receipt, SubmitResult
from previewops.queue.records import JobRecord
from previewops.queue.submit_options import NO_OPTIONS, SubmitOptions
from previewops.redis_server.connection import redis_errors
from previewops.settings import Settings
from previewops.states import JobState
from previewops.stores.asset_import import ImportPlan, plan_import
from previewops.stores.assets import AssetStore
from previewops.stores.selection import open_assets

BATCH_SIZE = 100


class SubmitUnconfirmed(PreviewopsError):
    """Redis failed before it confirmed the job."""

    exit_code = RedisUnavailable.exit_code
    code = RedisUnavailable.code

    def __init__(self, job_id: str, reason: RedisUnavailable) -> None:
        super().__init__(
            f"job {job_id} may not have been accepted: {reason.message}",
            hint="submit it again; the same job is never created twice",
        )


@dataclass(slots=True)
class SubmitReport:
    """Result of each payload: printed at once, kept as exit codes and accepted jobs."""

    as_json: bool
    wait: bool
    exit_codes: list[int] = field(default_factory=list)
    accepted: dict[str, tuple[str, Receipt]] = field(default_factory=dict)
    _hints: set[str] = field(default_factory=set)

    @property
    def exit_code(self) -> int:
        """The most severe exit code."""
        return worst_exit_code(self.exit_codes)

    def add_rejected(self, source: str, error: PreviewopsError) -> None:
        """Reports a rejected payload."""
        self.exit_codes.append(error.exit_code)
        if self.as_json:
            print_json({"source": source, **error.as_json()}, indent=None)
        if isinstance(error, InvalidPayload):
            print_err(explain(error))
            return
        print_err(error.message if error.message.startswith(source) else f"{source}: {error.message}")
        if error.hint is not None and error.hint not in self._hints:
            self._hints.add(error.hint)
            print_err(f"hint: {error.hint}")

    def add_accepted(self, source: str, receipt: Receipt) -> None:
        """Reports a job that the queue accepted or already had."""
        self.accepted[receipt.job_id] = (source, receipt)
        if self.as_json and not self.wait:
            print_json(self._receipt(receipt.job_id), indent=None)
        elif not self.as_json:
            note = "" if receipt.new else "  (the same job exists already)"
            if receipt.replaced is not None:
                note = f"  (it was {receipt.replaced.value}, with another payload)"
            word = "known" if not receipt.new else "replaced" if receipt.replaced else "accepted"
            print_out(f"{word:<8}  {receipt.job_id}  {receipt.state.value}{note}")
            if receipt.hint is not None:
                print_err(f"{source}: {receipt.hint}")

    def add_finished(self, job_id: str, record: JobRecord | None) -> None:
        """Reports the end of an awaited job; ``record`` is None if its record is gone."""
        self.exit_codes.append(0 if record and record.state is JobState.COMPLETED else EXIT_FAILED)
        if self.as_json:
            print_json({**self._receipt(job_id), "job": record and record.as_json()}, indent=None)
        if record is None:
            print_err(f"{job_id}: record not found: the job was discarded or its retention has ended")
        elif record.state is JobState.COMPLETED:
            if not self.as_json:
                print_out(f"completed {job_id}  {(record.result or {}).get('bundle', '(dry run)')}")
        else:
            print_err(f"{job_id}: {record.state.value}: {record.reason or 'no reason given'}")
            if record.state is JobState.DEAD:
                print_err(f"hint: previewops dlq show {job_id}")

    def add_timed_out(self, job_ids: Iterable[str], timeout_s: float) -> None:
        """Reports jobs that did not end within ``timeout_s`` seconds."""
        for job_id in job_ids:
            self.exit_codes.append(EXIT_TRY_AGAIN)
            if self.as_json:
                print_json({**self._receipt(job_id), "job": None, "timedOut": True}, indent=None)
            print_err(
                f"{job_id}: not finished within {timeout_s:g} s; it continues: previewops status {job_id}"
            )

    def _receipt(self, job_id: str) -> dict[str, Any]:
        source, receipt = self.accepted[job_id]
        return {"source": source, **receipt.as_json()}


@dataclass(slots=True)
class Submitter:
    """Validates and submits payloads, and reports each. An invalid payload does not stop the others."""

    settings: Settings
    report: SubmitReport
    import_files: bool
    policy: AssetPolicy
    options: SubmitOptions = NO_OPTIONS
    _outage: RedisUnavailable | None = None
    _invalid: int = 0
    _assets: AssetStore | None = None
    _has_submitted: bool = False
    _project: str = ""
    _batch_failed: bool = False  # the batch is closed, or of another project

    @property
    def redis_failed(self) -> bool:
        """Whether Redis failed before all payloads were submitted."""
        return self._outage is not None

    async def submit(self, queue: Queue, redis_url: str, payloads: Iterator[ParsedPayload]) -> None:
        """Submits valid payloads, one batch per round trip.

        Waits during a short outage of Redis, unless it begins before the first batch. After a longer one, reports
        each remaining job.
        """
        while batch := list(islice(payloads, BATCH_SIZE)):
            valid = [
                (parsed.source, payload)
                for parsed in batch
                if (payload := self._validate(parsed)) is not None
            ]
            invalid, self._invalid = self._invalid, 0
            if (valid or invalid) and self._outage is None:
                try:
                    async with redis_errors(redis_url):
                        results = await self._submit_batch(queue, [payload for _, payload in valid], invalid)
                    self._has_submitted = True
                except RedisUnavailable as error:
                    self._outage = error
            for index, (source, payload) in enumerate(valid):
                self._project = payload.project_id
                result = SubmitUnconfirmed(payload.job_id, self._outage) if self._outage else results[index]
                if isinstance(result, PreviewopsError):
                    self._batch_failed |= isinstance(result, BatchClosed | BatchConflict)
                    if isinstance(result, JobConflict) and not (
                        self.import_files or self.options.replaced_by
                    ):
                        result.hint = (
                            f"{result.hint}; --import changes URIs: submit such a job with --import again"
                        )
                    self.report.add_rejected(source, result)
                else:
                    self.report.add_accepted(source, result)

    async def close_batch(self, queue: Queue, batch_id: str) -> None:
        """Closes the batch of the jobs, unless one was rejected."""
        if self.report.exit_codes:
            if self.report.accepted and not self._batch_failed and not self.redis_failed:
                print_err(f"note: batch {batch_id} stays open: `previewops batch close {batch_id}` closes it")
        elif self._project:
            await Batches(queue.redis, self.settings).close(batch_id, project_id=self._project)

    async def _submit_batch(self, queue: Queue, payloads: list[Payload], invalid: int) -> list[SubmitResult]:
        call = partial(queue.submit_many, payloads, invalid=invalid, options=[self.options] * len(payloads))
        if not self._has_submitted:
            return await call()
        return await retry_during_outage(call, print_err, "the rest is not submitted yet")

    def _validate(self, parsed: ParsedPayload) -> Payload | None:
        try:
            if self.import_files and parsed.error is None:
                return self._import(parsed)
            return parsed.validate(self.policy)
        except PreviewopsError as error:
            self._invalid += isinstance(error, InvalidPayload)
            self.report.add_rejected(parsed.source, error)
            return None

    def _import(self, parsed: ParsedPayload) -> Payload:
        if self._assets is None:
            self._assets = open_assets(self.settings)
        plan = plan_import(
            parsed.payload or {},
            base=parsed.base,
            assets=self._assets,
            max_bytes=self.settings.asset_max_mb * 1024 * 1024,
        )
        payload = _validate_plan(plan, self.policy, parsed.source)
        plan.execute(self._assets)
        return payload


def _validate_plan(plan: ImportPlan, policy: AssetPolicy, source: str) -> Payload:
    """Validates the payload of a plan.

    Raises:
        InvalidPayload: violations of import and contract. At the same pointer, the import's violation is kept.
    """
    if not plan.violations:
        return validate(plan.payload, policy=policy, source=source)
    pointers = {violation.pointer for violation in plan.violations}
    violations = list(plan.violations)
    try:
        validate(plan.payload, policy=policy)
    except InvalidPayload as error:
        violations += [violation for violation in error.violations if violation.pointer not in pointers]
    raise InvalidPayload(normalize(violations), source=source)
