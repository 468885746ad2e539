"""What a render process says, and how it ends, as values and exceptions. Pure.

Nothing that comes out of a render process is trusted: it decodes hostile images. Each value is checked for its
type, and whatever is off is a ``BadFrame``, for which the process is killed.
"""

from __future__ import annotations

import math
import signal
from typing import Any

from previewops.errors import (
    REINSTALL,
    FailureKind,
    JobError,
    PermanentJobError,
    RenderCrashed,
    TransientJobError,
)
from previewops.worker.framing import BadFrame

_TEXT_LIMIT = 200  # characters of a progress text
_UNAVAILABLE = "render-process-unavailable"


class TaskNotImportable(TransientJobError):
    """A render process has started and cannot import what it is to run, because of ``cause``."""

    def __init__(self, cause: JobError) -> None:
        super().__init__(
            _UNAVAILABLE,
            f"a render process cannot import its task: {cause.message}",
            hint=cause.hint or REINSTALL,
        )
        self.error_class, self.remote_traceback = cause.error_class, cause.remote_traceback


def as_object(value: Any, name: str) -> dict[str, Any]:
    """``value``, which has to be an object. Raises BadFrame."""
    if not isinstance(value, dict):
        raise BadFrame(f"{name} is a {type(value).__name__}; allowed is an object")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadFrame(f"{name} is a {type(value).__name__}; allowed is a string")
    return value


def progress_of(value: Any) -> tuple[float, str]:
    """A report of progress: a fraction in 0..1, and a short text. Raises BadFrame."""
    match value:
        case [int() | float() as fraction, str() as text] if math.isfinite(fraction):
            return min(1.0, max(0.0, float(fraction))), text[:_TEXT_LIMIT]
    raise BadFrame("progress is not [number, text]")


def revived(value: Any) -> JobError:
    """The exception that the child described, see ``previewops.worker.child``. Raises BadFrame."""
    described = as_object(value, "error")
    kind = _text(described.get("kind"), "error kind")
    message = _text(described.get("message"), "error message")
    data = {str(key): item for key, item in as_object(described.get("data"), "error data").items()}
    error: JobError
    if kind == "out-of-memory":
        error = PermanentJobError(
            "out-of-memory",
            f"the render ran out of memory: it had mapped {data.get('found')} bytes and asked for more; "
            f"{data.get('allowed')} are allowed",
            hint="use smaller or fewer assets, or raise PREVIEW_MEMORY_LIMIT_MB",
        )
    elif kind == "unexpected":
        error = TransientJobError("unexpected", f"{described.get('class')}: {message}")
    elif kind in (FailureKind.PERMANENT, FailureKind.TRANSIENT):
        family = PermanentJobError if kind == FailureKind.PERMANENT else TransientJobError
        hint = described.get("hint")
        error = family(_text(described.get("code"), "error code"), message, hint=hint and _text(hint, "hint"))
    else:
        raise BadFrame(f"error kind {kind!r}")
    error.data = data
    error.error_class = _text(described.get("class"), "error class")
    error.remote_traceback = _text(described.get("traceback"), "traceback")
    return error


def deadline_exceeded(deadline_s: float) -> TransientJobError:
    """A render did not end within its ``deadline_s``."""
    return TransientJobError(
        "deadline-exceeded",
        f"the render was killed at its deadline of {deadline_s:g} s",
        hint="shorten the animation or its resolution, or raise PREVIEW_JOB_TIMEOUT_S",
        found=f"not done after {deadline_s:g} s",
        allowed=deadline_s,
    )


def unavailable(reason: str) -> TransientJobError:
    """No render process can be had."""
    return TransientJobError(
        _UNAVAILABLE,
        f"no render process could be started: {reason}",
        hint="look at the worker's log, and at the limits on processes, memory and open files",
    )


def death(code: int | None) -> RenderCrashed:
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
        hint = "probably out of memory: the kernel kills with SIGKILL; look at its log, or use smaller assets"
    return RenderCrashed(f"was ended by {name}", signal_name=name, hint=hint)
