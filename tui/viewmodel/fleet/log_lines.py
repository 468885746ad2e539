"""The end of a worker's log: lines of JSON as text, the others as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from previewops.formatting import clean
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

_LEVELS = {"debug": Tone.DIM, "warning": Tone.WARN, "error": Tone.BAD, "critical": Tone.BAD}
_SHOWN = ("timestamp", "level", "event")
_TIME = slice(11, 19)


def format_log_lines(text: str) -> list[Line]:
    """The lines of a log, oldest first, with time, level, event and fields."""
    lines = [_format_line(line) for line in text.splitlines()]
    return lines or [(Span("the log is empty", Tone.DIM),)]


def _format_line(line: str) -> Line:
    entry = _parse(line)
    if entry is None:
        return (clean_span(line),)
    level = str(entry.get("level", ""))
    tone = _LEVELS.get(level, Tone.TEXT)
    fields = "  ".join(
        f"{clean(name)}={clean(_value(value))}" for name, value in entry.items() if name not in _SHOWN
    )
    return (
        clean_span(f"{str(entry.get('timestamp', ''))[_TIME]:<8}  ", Tone.DIM),
        clean_span(f"{level:<8} ", tone),
        clean_span(str(entry["event"]), tone if tone is not Tone.TEXT else Tone.STRONG),
        Span(f"  {fields}" if fields else "", Tone.DIM if tone is Tone.DIM else Tone.TEXT),
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _parse(line: str) -> Mapping[str, Any] | None:
    """The fields of a line that this program wrote; None for any other."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("event"), str) else None
