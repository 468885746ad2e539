"""What a render process says, and how it ends, as values and exceptions. Pure.

Nothing that comes out of a render process is trusted: it decodes hostile images. Each value is checked for its
type, and whatever is off is a ``BadFrame``, for which the process is killed.
"""

from __future__ import annotations

import logging
import math
import signal
from typing import Any

from previewops.errors import (
    REINSTALL,
    JobError,
    PermanentJobError,
    RenderCrashed,
    TransientJobError,
)
from previewops.worker.sandbox.framing import ProtocolError

_TEXT_LIMIT = 200  # characters of a progress text
_UNAVAILABLE = "render-process-unavailable"


class TaskImportError(TransientJobError):
    """A render process has started and cannot import what it is to run, because of ``cause``."""

    def __init__(self, cause: JobError) -> None:
        super().__init__(
            _UNAVAILABLE,
            f"a render process cannot import its task: {cause.message}",
            hint=cause.hint or REINSTALL,
        )
        self.error_class, self.remote_traceback = cause.error_class, cause.remote_traceback


def parse_progress(value: Any) -> tuple[float, str]:
    """A report of progress: a fraction in 0..1, and a short text. Raises BadFrame."""
    match value:
        case [int() | float() as fraction, str() as text] if math.isfinite(fraction):
            return min(1.0, max(0.0, float(fraction))), text[:_TEXT_LIMIT]
    raise ProtocolError("progress is not [number, text]")


def parse_log(value: Any) -> tuple[int, str, str]:
    """What a library logged: the level as the standard library counts it, the logger, the text. Raises BadFrame."""
    match value:
        case ["WARNING" | "ERROR" | "CRITICAL" as level, str() as logger, str() as text]:
            return logging.getLevelNamesMapping()[level], logger, text
    raise ProtocolError("a log line is not [level, logger, text]")


def deadline_error(deadline_s: float) -> TransientJobError:
    """A render did not end within the ``deadline_s`` that its job has."""
    return TransientJobError(
        "deadline-exceeded",
        f"the render was killed at its deadline of {deadline_s:g} s",
        hint="shorten the animation or its resolution, or raise PREVIEW_JOB_TIMEOUT_S",
        found=f"not done after {deadline_s:g} s",
        allowed=deadline_s,
    )


def cpu_time_error(allowed_s: int | None) -> PermanentJobError:
    """A render used up the ``allowed_s`` of processor time that a job has."""
    return PermanentJobError(
        "cpu-time-exceeded",
        f"the render used more than its {allowed_s} s of processor time and was killed",
        hint="shorten the animation or its resolution, or raise PREVIEW_CPU_LIMIT_S",
        found=f"more than {allowed_s} s",
        allowed=allowed_s,
    )


def unavailable_error(reason: str) -> TransientJobError:
    """No render process can be had."""
    return TransientJobError(
        _UNAVAILABLE,
        f"no render process could be started: {reason}",
        hint="look at the worker's log, and at the limits on processes, memory and open files",
    )


def crash_error(code: int | None) -> RenderCrashed:
    """How a render process ended: exit ``code`` as ``ForkedProcess.exited`` has it."""
    if code is None:
        return RenderCrashed("died together with its fork server", hint="look at the kernel's log")
    if code >= 0:
        return RenderCrashed(f"exited with status {code}", exit_status=code)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = None
    if name == "SIGKILL":
        hint = "the kernel's log says whether it was out of memory: then use smaller assets; else somebody killed it"
    return RenderCrashed(f"was ended by {name}", signal_name=name, hint=hint)
