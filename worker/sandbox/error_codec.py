"""Encodes job errors as JSON between the worker and its render processes, in both directions.

The decoder limits every text again: a process that was taken over does not use this encoder.
"""

from __future__ import annotations

import re
import traceback
from typing import Any

from previewops.job_errors import FailureKind, JobError, PermanentJobError, TransientJobError
from previewops.worker.sandbox.framing import ProtocolError

TRACEBACK_LIMIT = 8 * 1024
"""Characters of a traceback that are sent: the last ones, which have the cause."""
MESSAGE_LIMIT = 2_000
"""Characters of an exception's message that are sent."""
NAME_LIMIT = 200
"""Characters of the name of an exception's class."""

_CODE = re.compile(r"[a-z][a-z0-9-]{0,63}")


def encode_error(error: BaseException, *, out_of_memory: dict[str, Any] | None = None) -> dict[str, Any]:
    """Encodes ``error`` for ``decode_error``. ``out_of_memory`` has found and allowed bytes, if memory ran out."""
    encoded: dict[str, Any] = {
        "kind": "unexpected",
        "class": type(error).__name__,
        "message": str(error)[:MESSAGE_LIMIT],
        "traceback": "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:],
        "data": {},
    }
    if isinstance(error, JobError):
        encoded |= {"kind": error.kind.value, "code": error.code, "hint": error.hint, "data": error.data}
        encoded["template"] = error.template
        if error.remote_traceback is not None:
            encoded["traceback"] = error.remote_traceback
    elif out_of_memory is not None:
        encoded |= {"kind": "out-of-memory", "data": out_of_memory}
    return encoded


def decode_error(value: Any) -> JobError:
    """Decodes an exception from ``encode_error``. Raises ProtocolError if ``value`` does not encode an error."""
    encoded = require_object(value, "error")
    kind = _text(encoded.get("kind"), "error kind")
    message = _text(encoded.get("message"), "error message")[:MESSAGE_LIMIT]
    name = _text(encoded.get("class"), "error class")[:NAME_LIMIT]
    data = {str(key): item for key, item in require_object(encoded.get("data"), "error data").items()}
    error: JobError
    if kind == "out-of-memory":
        error = PermanentJobError(
            "out-of-memory",
            f"the render ran out of memory: {data.get('found')} bytes were mapped when it requested more, "
            f"{data.get('allowed')} are allowed",
            hint="use smaller or fewer assets, or raise PREVIEW_MEMORY_LIMIT_MB",
        )
    elif kind == "unexpected":
        error = TransientJobError("unexpected", f"{name}: {message}")
    elif kind in (FailureKind.PERMANENT, FailureKind.TRANSIENT):
        family = PermanentJobError if kind == FailureKind.PERMANENT else TransientJobError
        hint = encoded.get("hint")
        error = family(
            _code(encoded.get("code")),
            message,
            hint=hint and _text(hint, "hint")[:MESSAGE_LIMIT],
            template=_text(encoded.get("template", ""), "error template")[:NAME_LIMIT],
        )
    else:
        raise ProtocolError(f"error kind {kind!r}")
    error.data = data
    error.error_class = name
    error.remote_traceback = _text(encoded.get("traceback"), "traceback")[-TRACEBACK_LIMIT:]
    return error


def require_object(value: Any, name: str) -> dict[str, Any]:
    """``value`` if it is a JSON object. Raises ProtocolError."""
    if not isinstance(value, dict):
        raise ProtocolError(f"{name}: found {type(value).__name__}, allowed object")
    return value


def _code(value: Any) -> str:
    code = _text(value, "error code")
    if _CODE.fullmatch(code) is None:
        raise ProtocolError("error code: found another text, allowed lower-case letters, digits and hyphens")
    return code


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ProtocolError(f"{name}: found {type(value).__name__}, allowed string")
    return value
