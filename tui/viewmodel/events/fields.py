"""Fields of events in words, with units."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from previewops.clock import iso_from_ms
from previewops.formatting import format_duration
from previewops.tui.viewmodel.durations import format_minute
from previewops.tui.viewmodel.safe_numbers import parse_count

_LABELS: Mapping[str, str] = {
    "who": "operator",
    "why": "reason",
    "class": "error class",
    "code": "error code",
    "act": "command",
    "jobs": "jobs",
    "done": "jobs done",
    "skipped": "skipped",
    "left": "left",
    "delayMs": "delay",
    "untilMs": "until",
    "dueMs": "due",
    "olderThanMs": "older than",
    "level": "up to",
    "now": "run now",
    "edited": "edited",
    "digestBefore": "old payload",
    "digestAfter": "new payload",
    "fingerprint": "group",
}
"""Labels of fields. Other fields keep their name."""

_DURATIONS = frozenset({"delayMs", "olderThanMs"})
_YES_OR_NO = frozenset({"now", "edited"})
_COUNTS = frozenset({"jobs", "done", "skipped", "left"})


def describe_field(name: str, value: str) -> tuple[str, str]:
    """The label of an event's field, and its value with its unit. What is not known, or no number, stays as it is."""
    if name in _YES_OR_NO:
        return _LABELS[name], {"0": "no", "1": "yes"}.get(value, value)
    if name in ("limits", "was"):
        return _LABELS.get(name, name), format_limits(value)
    as_text = _format_of(name)
    number = None if as_text is None else parse_count(value)
    if as_text is None:
        return _LABELS.get(name, name), value
    return (name, value) if number is None else (_LABELS[name], as_text(number))


def format_limits(value: str) -> str:
    """Limits of a project in words, "weight 3, at most 1 active"; any other text as it is."""
    if _LIMITS.fullmatch(value) is None:
        return value
    return (
        _LIMIT.sub(lambda match: _LIMIT_WORDS[match[1]].format(match[2]), value)
        .replace(",", ", ")
        .replace("at most none active", "no maximum")
    )


_LIMITS = re.compile(r"(?:weight|active):\w+(?:,(?:weight|active):\w+)?")
_LIMIT = re.compile(r"(weight|active):(\w+)")
_LIMIT_WORDS = {"weight": "weight {}", "active": "at most {} active"}


def _format_of(name: str) -> Callable[[int], str] | None:
    """How a number of this field is written; None if the field has no number."""
    if name in _DURATIONS:
        return _format_duration
    if name == "untilMs":
        return format_minute
    if name == "dueMs":
        return _format_second
    return "{:,}".format if name in _COUNTS else None


def _format_second(at_ms: int) -> str:
    text = iso_from_ms(at_ms)
    return f"{text[:10]} {text[11:19]} UTC"


def _format_duration(ms: int) -> str:
    """A duration that somebody has set, mostly in whole seconds: "30 s", "1.8 s", "2 h 0 min"."""
    return format_duration(ms).replace(".0 s", " s")
