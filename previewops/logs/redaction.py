"""Sanitizes log fields: no secrets, no control characters, limited length. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from previewops.disclosure import REDACTED, redact
from previewops.message_formatting import escape_unprintable

MAX_TEXT = 2_000
"""Characters of one text, including escapes."""

MAX_TRACEBACK = 8_192
"""Characters of a traceback. Its end is kept, which holds the exception."""

MAX_LINE = 16_384
"""Characters of all fields of a line together."""

MAX_ITEMS = 50
"""Entries of one list or object."""

TRACEBACK_FIELD = "exception"

_WITHHELD_FIELDS = frozenset({"payload", "body", "spec", "args", "kwargs", "password", "authorization"})
_MAX_DEPTH = 4


def sanitize(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a line as safe JSON values. Earlier fields get their space first."""
    space = MAX_LINE
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if name == TRACEBACK_FIELD:
            kept[name] = _sanitize_traceback(str(value), min(MAX_TRACEBACK, space))
        else:
            kept[name] = _sanitize_field(name, value, min(MAX_TEXT, space), _MAX_DEPTH)
        space = max(0, space - len(json.dumps(kept[name])))
    return kept


def _sanitize_field(name: object, value: Any, limit: int, depth: int) -> Any:
    return REDACTED if name in _WITHHELD_FIELDS else _sanitize_value(value, limit, depth)


def _sanitize_value(value: Any, limit: int, depth: int) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset) and depth:
        if isinstance(value, Mapping):
            chosen = list(value.items())[:MAX_ITEMS]
            share = limit // max(1, len(chosen))
            return {
                _sanitize_text(str(name), 100): _sanitize_field(name, item, share, depth - 1)
                for name, item in chosen
            }
        items = list(value)[:MAX_ITEMS]
        return [_sanitize_value(item, limit // max(1, len(items)), depth - 1) for item in items]
    return _sanitize_text(str(value), limit)


def _sanitize_text(text: str, limit: int) -> str:
    # Truncate first, so that patterns and escapes never process megabytes of foreign text.
    return _truncate(escape_unprintable(redact(text[: 2 * MAX_TEXT])), limit)


def _sanitize_traceback(text: str, limit: int) -> str:
    lines = redact(text[-2 * MAX_TRACEBACK :]).split("\n")
    return _truncate("\n".join(map(escape_unprintable, lines)), limit, end=True)


def _truncate(text: str, limit: int, *, end: bool = False) -> str:
    """Returns the beginning, or the ``end``, of ``text`` whose JSON takes at most ``limit`` characters."""
    original = text
    while text and (size := len(json.dumps(text))) > limit:
        count = len(text) * limit // size  # shrinks, because ``size`` is above ``limit``
        text = text[len(text) - count :] if end else text[:count]
    if text == original:
        return text
    return f"…{text}" if end else f"{text}…"
