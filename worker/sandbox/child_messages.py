"""Parses the messages of a render process, and maps its end to errors. Pure.

A render process decodes hostile images, so its output is not trusted. Each value is type-checked; a wrong one raises
``ProtocolError``, and the process is killed.
"""

from __future__ import annotations

import logging
import math
import signal
from typing import Any

from previewops.errors import REINSTALL
from previewops.job_errors import JobError, PermanentJobError, RenderCrashed, TransientJobError
from previewops.worker.sandbox.framing import ProtocolError

_TEXT_LIMIT = 200  # characters of a progress text
_UNAVAILABLE = "render-process-unavailable"


class TaskImportError(TransientJobError):
    """A render process cannot import its task, because of ``cause``."""

    def __init__(self, cause: JobError) -> None:
        message = f"a render process cannot import its task: {cause.message}"
        super().__init__(_UNAVAILABLE, message, hint=cause.hint or REINSTALL)
        self.error_class, self.remote_traceback = cause.error_class, cause.remote_traceback


def parse_progress(value: Any) -> tuple[float, str]:
    """A progress report: a fraction, 0..1, and a short text. Raises ProtocolError."""
    match value:
        case [int() | float() as fraction, str() as text] if math.isfinite(fraction):
            return min(1.0, max(0.0, float(fraction))), text[:_TEXT_LIMIT]
    raise ProtocolError("progress is not [number, text]")


def parse_log(value: Any) -> tuple[int, str, str]:
    """A library's log line: the numeric level, the logger, the text. Raises ProtocolError."""
    match value:
        case ["WARNING" | "ERROR" | "CRITICAL" as level, str() as logger, str() as text]:
            return logging.getLevelNamesMapping()[level], logger, text
    raise ProtocolError("a log line is not [level, logger, text]")


def deadline_error(deadline_s: float) -> TransientJobError:
    """The error of a render that exceeded its job's deadline."""
    return TransientJobError(
        "deadline-exceeded",
        f"the render was killed at its deadline of {deadline_s:g} s",
        hint="shorten the animation or its resolution, or raise PREVIEW_JOB_TIMEOUT_S",
        found=f"not done after {deadline_s:g} s",
        allowed=deadline_s,
    )


def cpu_time_error(allowed_s: float | None) -> PermanentJobError:
    """The error of a render that exceeded its job's processor time."""
    return PermanentJobError(
        "cpu-time-exceeded",
        f"the render used more than its {allowed_s:g} s of processor time and was killed",
        hint="shorten the animation or its resolution, or raise PREVIEW_CPU_LIMIT_S",
        found=f"more than {allowed_s:g} s",
        allowed=allowed_s,
    )


def unavailable_error(reason: str) -> TransientJobError:
    """The error when no render process can be started."""
    return TransientJobError(
        _UNAVAILABLE,
        f"no render process could be started: {reason}",
        hint="read the worker's log, and check the limits on processes, memory and open files",
    )


def crash_error(code: int | None) -> RenderCrashed:
    """The error of a render process that ended with exit ``code``, see ``ForkedProcess.exited``."""
    if code is None:
        return RenderCrashed(
            "died together with its fork server", template="died together", hint="read the kernel's log"
        )
    if code >= 0:
        return RenderCrashed(f"exited with status {code}", template="exited with status", exit_status=code)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = None
    if name == "SIGKILL":
        hint = "if the kernel's log reports out of memory, use smaller assets; otherwise a user killed it"
    return RenderCrashed(f"was ended by {name}", template=name.partition(" ")[0], signal_name=name, hint=hint)
