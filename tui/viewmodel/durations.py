"""Durations in few columns. Growing ones are coarse, so that an idle page does not change."""

from __future__ import annotations

from previewops.clock import iso_from_ms
from previewops.formatting import format_age

_COARSE = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"))


def coarse_duration(ms: int) -> str:
    """A growing duration: "<10 s", "20 s" in steps of ten, then minutes, hours, days. At most seven columns."""
    for unit_ms, name in _COARSE:
        if ms >= unit_ms:
            return f"{ms // unit_ms} {name}"
    tens = ms // 10_000 * 10
    return f"{tens} s" if tens > 0 else "<10 s"


_AGE_STEP_MS = 10_000


def age_step(now_ms: int, newest_ms: int | None) -> int:
    """A number that changes when ages of ``coarse_duration`` are drawn again: no text lags more than 10 s.

    Below a minute, where ages are rounded to 10 s, it changes every second. ``newest_ms`` is the time of the
    newest event shown, None for none.
    """
    young = newest_ms is not None and now_ms - newest_ms <= 60_000
    return now_ms // 1_000 if young else now_ms // _AGE_STEP_MS


def short_duration(ms: int) -> str:
    """A finished duration: "830 ms", "2.4 s", "3.3 min", "2.1 h". At most eight columns."""
    if ms < 1_000:
        return f"{max(0, ms)} ms"
    for unit_ms, name, limit_ms in (
        (1_000, "s", 59_950),
        (60_000, "min", 3_597_000),
        (3_600_000, "h", 86_220_000),
    ):
        if ms < limit_ms:
            return f"{ms / unit_ms:.1f} {name}"
    return f"{ms / 86_400_000:.1f} d"


def elapsed(then_ms: int, now_ms: int) -> str:
    """An elapsed time, coarse so that it rarely changes: "40 s", "3 min", "2 h"."""
    return "0 s" if now_ms - then_ms < 1_000 else format_age(then_ms, now_ms).removesuffix(" ago")


def format_minute(at_ms: int) -> str:
    """A time, to the minute: "2026-11-28 14:05 UTC"."""
    text = iso_from_ms(at_ms)
    return f"{text[:10]} {text[11:16]} UTC"
