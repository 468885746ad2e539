"""Runs one claimed job to its outcome, without touching the queue.

Whatever a job raises, and arq's four terminal paths (unknown function, unreadable body, missing body, tries
exceeded), become one of these outcomes. ``outcome`` then records it by one transition, so that no failure bypasses
the dead-letter queue.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeAlias

import structlog
from arq.cron import CronJob
from arq.jobs import DeserializationError, deserialize_job_raw
from arq.utils import ms_to_datetime
from arq.worker import Function, Retry, RetryJob

from previewops.clock import MAX_DATE_MS
from previewops.disclosure import redact
from previewops.job_errors import FailureKind, JobError, PermanentJobError, RenderCrashed, TransientJobError
from previewops.logs.setup import bind_payload
from previewops.queue.fingerprint import FOREIGN_CODES, foreign_template
from previewops.queue.leases import Claim
from previewops.queue.output_formats import OTHER_FORMAT, output_format, project_of

log = structlog.get_logger()

TRACEBACK_CHARS = 8_192
MESSAGE_CHARS = 2_000

_RESULT_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)

Hook: TypeAlias = Callable[[dict[Any, Any]], Awaitable[None]]


class StopReason(Enum):
    """Why a running job is stopped from outside."""

    DRAIN = auto()  # the worker is stopping: the job is released
    LEASE_LOST = auto()  # another worker may hold the job: nothing is recorded


class LeaseLost(Exception):
    """Raised within a job whose fencing token is stale."""


@dataclass(slots=True)
class JobRun:
    """One claim being executed: its progress, and the reason to stop it, if any.

    ``claimed_at`` is when the claim arrived, and ``started`` when the run got its slot, both by ``time.monotonic``.
    ``project_id`` and ``output_format`` are known once the job's record is decoded, ``run_ms`` once it has completed.
    """

    claim: Claim
    claimed_at: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.monotonic)
    waits_for_slot: bool = False
    progress: float = 0.0
    phase: str = "starting"
    stop_reason: StopReason | None = None
    executing: bool = False
    recording: bool = False
    task: asyncio.Task[Any] | None = None
    max_tries: int | None = None
    project_id: str = ""
    output_format: str = OTHER_FORMAT
    run_ms: float = 0.0
    slot_released: bool = False
    on_slot_release: Callable[[JobRun], None] | None = None

    def take_slot(self, task: asyncio.Task[Any] | None) -> None:
        """Ends the wait of a run that was claimed ahead: ``task`` executes it now."""
        self.waits_for_slot = False
        self.started = time.monotonic()
        self.task = task

    def release_slot(self) -> None:
        """Lets the worker start another job: this one renders no more, and waits for a network."""
        if self.on_slot_release is not None and not self.slot_released:
            self.on_slot_release(self)

    def report_progress(self, progress: float, phase: str) -> None:
        """Stores the progress, 0..1, and the phase's name, for the next heartbeat."""
        self.progress = min(1.0, max(0.0, progress))
        self.phase = _utf8_text(phase[:40])

    def stop(self, reason: StopReason) -> None:
        """Stops the job. The first reason counts. A job whose outcome is being recorded is not stopped."""
        if self.stop_reason is None and not self.recording:
            self.stop_reason = reason
            # A task cancelled before its first step could not record the outcome of its job.
            if self.executing and self.task is not None:
                self.task.cancel()

    @property
    def elapsed_ms(self) -> float:
        """Run time so far, in ms."""
        return (time.monotonic() - self.started) * 1000


@dataclass(frozen=True, slots=True)
class Completed:
    """The job has completed. ``result_json`` is its result as JSON text; ``dry_run``: it rendered nothing."""

    result_json: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The job raised. ``crash``: its render process died, which has a counter of its own."""

    kind: FailureKind
    crash: bool
    error_class: str
    code: str
    message: str
    traceback: str
    template: str = ""
    delay_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job was stopped from outside."""

    reason: StopReason


RunOutcome: TypeAlias = Completed | Failed | Stopped


@dataclass(frozen=True, slots=True)
class Hooks:
    """arq's hooks around a job."""

    on_job_start: Hook | None
    on_job_end: Hook | None
    after_job_end: Hook | None


async def execute(
    run: JobRun,
    functions: Mapping[str, Function | CronJob],
    ctx: Mapping[Any, Any],
    hooks: Hooks,
) -> RunOutcome:
    """Runs the job of ``run`` to its outcome. Raises only a cancellation that was not meant for ``run``."""
    run.executing = True
    if run.stop_reason is not None:
        return Stopped(run.stop_reason)
    try:
        function, args, kwargs, job_ctx = _prepare(run, functions, ctx)
    except PermanentJobError as error:
        return failure_from_error(error)
    if hooks.on_job_start is not None:
        started = await _run_step(run, hooks.on_job_start, job_ctx)
        if not isinstance(started, Completed):
            return started
    outcome = await _run_step(run, _call, function, job_ctx, args, kwargs)
    if hooks.on_job_end is None:
        return outcome
    ended = await _run_step(run, hooks.on_job_end, job_ctx)
    if isinstance(outcome, Completed):
        return outcome if isinstance(ended, Completed) else ended
    if isinstance(ended, Failed):
        # The job has failed before; its own failure is the one to record.
        log.error("hook.failed", hook="on_job_end", exception=ended.traceback)
    return outcome


async def _run_step(run: JobRun, step: Callable[..., Awaitable[Any]], *args: Any) -> RunOutcome:
    try:
        result = await step(*args)
        return Completed(_encode_result(result), isinstance(result, dict) and result.get("dryRun") is True)
    except LeaseLost:
        return Stopped(StopReason.LEASE_LOST)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if run.stop_reason is not None:
            if task is not None:
                task.uncancel()
            return Stopped(run.stop_reason)
        if task is not None and task.cancelling():
            raise
        # Nobody cancelled the job. Something that it awaited was cancelled, and it did not catch that.
        return failure_from_error(
            TransientJobError("cancelled-within", "the job ended by a cancellation that nobody requested")
        )
    except (Exception, SystemExit) as error:
        return failure_from_error(error)


def _prepare(
    run: JobRun, functions: Mapping[str, Function | CronJob], ctx: Mapping[Any, Any]
) -> tuple[Function | CronJob, list[Any], dict[str, Any], dict[Any, Any]]:
    name, args, kwargs, enqueued_ms = decode_job(run.claim)
    payload = args[0] if args else None
    bind_payload(payload)
    run.project_id, run.output_format = project_of(payload), output_format(payload)
    function = functions.get(name)
    if function is None:
        raise PermanentJobError(
            "unknown-function",
            f"this worker does not have a function {name!r}",
            hint=f"allowed: {', '.join(sorted(functions))}",
            found=name,
            allowed=sorted(functions),
        )
    run.max_tries = function.max_tries
    job_ctx = {
        **ctx,
        "job_id": run.claim.job_id,
        "job_try": run.claim.attempts + run.claim.crashes + 1,
        "enqueue_time": ms_to_datetime(enqueued_ms),
        "score": run.claim.accepted_ms,
        "run": run,
    }
    return function, args, kwargs, job_ctx


def decode_job(claim: Claim) -> tuple[str, list[Any], dict[str, Any], int]:
    """Function name, arguments and enqueue time (ms) from arq's job record.

    Raises:
        PermanentJobError: the body is missing, or is not arq's record in JSON.
    """
    if claim.body is None:
        raise PermanentJobError(
            "payload-lost",
            "the job's payload is missing in Redis",
            hint="a stock arq client's job expired before a worker ran it; or Redis evicts keys "
            "(maxmemory-policy must be noeviction); or another arq worker runs on this queue (`previewops health`)",
        )
    try:
        record: tuple[Any, ...] = deserialize_job_raw(claim.body, deserializer=json.loads)
        name, args, kwargs, _, enqueued_ms = record
        if not (isinstance(name, str) and isinstance(args, list) and isinstance(kwargs, dict)):
            raise DeserializationError("not an arq job record")
        if not 0 <= int(enqueued_ms) <= MAX_DATE_MS:
            raise DeserializationError("not a time")
        return name, args, kwargs, int(enqueued_ms)
    except (DeserializationError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise PermanentJobError(
            "payload-unreadable",
            "the job's record in Redis is not arq's JSON",
            hint="enqueue with job_serializer=lambda job: json.dumps(job).encode(); pickle is not read",
            found=repr(claim.body[:80]),
        ) from error


async def _call(
    function: Function | CronJob, job_ctx: dict[Any, Any], args: list[Any], kwargs: dict[str, Any]
) -> Any:
    deadline = asyncio.timeout(function.timeout_s)
    try:
        async with deadline:
            return await function.coroutine(job_ctx, *args, **kwargs)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise TransientJobError(
            "deadline-exceeded", f"the job exceeded its deadline of {function.timeout_s:g} s"
        ) from error
    except TypeError as error:
        try:
            inspect.signature(function.coroutine).bind(job_ctx, *args, **kwargs)
        except TypeError:
            raise PermanentJobError(
                "bad-arguments",
                f"{function.name} does not accept these arguments: {error}",
                hint="render_preview takes one argument, the payload",
                found=f"{len(args)} positional, {sorted(kwargs)} by name",
            ) from error
        raise


def _encode_result(result: Any) -> str:
    try:
        return _RESULT_ENCODER.encode(result)
    except (TypeError, ValueError) as error:
        raise PermanentJobError(
            "result-not-json", f"the job's result is not a JSON value: {error}", found=type(result).__name__
        ) from error


def failure_from_error(error: BaseException) -> Failed:
    """Converts an exception to the outcome for the retry policy. Unknown exceptions are transient."""
    text = getattr(error, "remote_traceback", None) or "".join(traceback.format_exception(error))
    if isinstance(error, JobError):
        message = error.message if error.hint is None else f"{error.message} ({error.hint})"
        return Failed(
            kind=error.kind,
            crash=isinstance(error, RenderCrashed),
            error_class=_utf8_text(error.error_class or type(error).__name__),
            code=error.code,
            message=_stored_text(message)[:MESSAGE_CHARS],
            traceback=_stored_text(text[-TRACEBACK_CHARS:]),
            template=_template(error.code, error.template, message, text[-TRACEBACK_CHARS:]),
        )
    message = _text_of(error) or type(error).__name__
    code = "retry-asked" if isinstance(error, Retry | RetryJob) else "unexpected"
    return Failed(
        kind=FailureKind.TRANSIENT,
        crash=False,
        error_class=type(error).__name__,
        code=code,
        message=_stored_text(message)[:MESSAGE_CHARS],
        traceback=_stored_text(text[-TRACEBACK_CHARS:]),
        template=_template(code, "", message, text[-TRACEBACK_CHARS:]),
        delay_ms=error.defer_score if isinstance(error, Retry) else None,
    )


def _template(code: str, template: str, message: str, traceback_text: str) -> str:
    return foreign_template(message, traceback_text) if code in FOREIGN_CODES else template


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as text_error:
        return f"its text raises {type(text_error).__name__}"


def _stored_text(text: str) -> str:
    # Before truncation, which could cut the mark of a secret and leave its rest.
    return _utf8_text(redact(text[: 2 * TRACEBACK_CHARS]))


def _utf8_text(text: str) -> str:
    """``text`` encodable as UTF-8: lone surrogates, as in file names, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
