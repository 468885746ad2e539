"""Silences of health checks: what an operator enters, and how a silence is shown."""

from __future__ import annotations

from previewops.formatting import clean, format_duration, parse_age_ms
from previewops.health import Check, Status
from previewops.snapshot.silences import MAX_SILENCE_MS, Silence
from previewops.tui.viewmodel.durations import coarse_duration, format_minute
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

DEFAULT_DURATION = "2h"
DURATION_HINT = "30m, 2h or 1d, at most 30d"
_LEAST_MS = 1_000
_HOUR_MS = 3_600_000

LEVEL_DESCRIPTIONS = {
    "warning": "counts again when it becomes critical or unknown",
    "critical": "does not count, however bad it becomes",
}
"""The levels of a silence, and what each one means."""


def duration_ms(text: str) -> int | None:
    """The duration of a silence in ms, None if the text is not one that is allowed."""
    ms = parse_age_ms(text)
    return ms if ms is not None and _LEAST_MS <= ms <= MAX_SILENCE_MS else None


def duration_problem(text: str) -> str:
    """The error of a typed duration, "" for none."""
    return "" if duration_ms(text) is not None else f"For how long: found {text!r}, allowed {DURATION_HINT}."


def initial_level(check: Check) -> str:
    """The level of the check's silence if that covers it now, else the lowest that does."""
    if check.silence is not None and _is_covered(check):
        return check.silence.level
    return "warning" if check.status in (Status.OK, Status.WARNING) else "critical"


def _is_covered(check: Check) -> bool:
    return check.silenced or check.status is Status.OK


def format_silence(check: Check, silence: Silence, now_ms: int) -> str:
    """For the list of checks: level, operator, end and reason."""
    head = "silenced" if _is_covered(check) else "silenced only"
    end, day = format_minute(silence.until_ms), format_minute(now_ms)[:10]
    left = _remaining(silence.until_ms - now_ms)
    reason = f": {clean(silence.reason)}" if silence.reason else ""
    who = clean(silence.who) or "unknown"
    return (
        f"{head} up to {silence.level} by {who} until {end.removeprefix(day).strip()} ({left} left){reason}"
    )


def _remaining(ms: int) -> str:
    """The rest of a silence, without seconds, so that an idle page does not change."""
    return coarse_duration(ms) if ms < _HOUR_MS else format_duration(ms // 60_000 * 60_000)


def format_question_lines(check: Check, now_ms: int) -> list[Line]:
    """The text of the dialog that silences a check."""
    lines: list[Line] = [(clean_span(check.message, Tone.STRONG),)]
    if check.silence is not None:
        shown = format_silence(check, check.silence, now_ms)
        lines.append((Span(f"{shown}. The new one replaces it.", Tone.WARN),))
    effect = "It stays on the list, but does not count, neither here nor in `previewops health`."
    return [*lines, (), (Span(effect, Tone.DIM),)]


def format_end_lines(check: Check, silence: Silence, now_ms: int) -> list[Line]:
    """The text of the dialog that ends a silence."""
    shown = format_silence(check, silence, now_ms)
    return [(Span(f"{shown[0].upper()}{shown[1:]}"),), (), (Span("It counts again at once. Why?", Tone.DIM),)]
