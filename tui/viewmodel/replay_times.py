"""Times that operators type to move in a recording, and alarms in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from previewops.formatting import clean, pluralize
from previewops.health import Status
from previewops.recording.alarm_index import HealthChange
from previewops.recording.reader import Interval
from previewops.tui.viewmodel.clock_text import wall_clock, zone_at

EXAMPLES = "03:12, 03:12:30, 2026-11-28 03:12, +5m or -90s"

_UNITS_S = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_STEP = re.compile(r"([+-])((?:\d{1,6} ?(?:s|min|m|h|d)? ?){1,4})")
_PART = re.compile(r"(\d{1,6}) ?(s|min|m|h|d)?")
_ABSOLUTE = re.compile(
    r"(?:(?:(?P<year>\d{4})-)?(?P<month>\d{1,2})-(?P<day>\d{1,2}))?[ T]*"
    r"(?:(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?)?"
)
_MOST_DAYS = 400


class NotATime(ValueError):
    """A text that is no time of the recording. The message is a sentence."""


def parse_replay_time(text: str, *, now_ms: int, recorded: Sequence[Interval], local: bool) -> int:
    """The server's time (ms) that a text means at the position ``now_ms`` of a recording.

    A time of day without a date is the nearest one that is recorded. A step beyond an end goes to that end.

    Raises:
        NotATime: the text is something else, or a time outside the recording.
    """
    text = text.strip()
    first, last = recorded[0].start_ms, recorded[-1].end_ms
    step_ms = _parse_step(text)
    if step_ms is not None:
        return max(first, min(now_ms + step_ms, last))
    times = list(_candidates(text, now_ms=now_ms, first_ms=first, last_ms=last, local=local))
    if not times:
        raise NotATime(f"Found {clean(text)!r}, allowed {EXAMPLES}.")
    # The first and the last second count as recorded: nobody types milliseconds.
    within = [at_ms for at_ms in times if first - 1_000 < at_ms <= last]
    if not within:
        raise NotATime(f"{clean(text)} is not recorded, allowed {format_range(recorded, local=local)}.")
    return min(within, key=lambda at_ms: abs(at_ms - now_ms))


def format_range(recorded: Sequence[Interval], *, local: bool) -> str:
    """The first and the last moment of a recording."""
    first, last = (wall_clock(at, local=local) for at in (recorded[0].start_ms, recorded[-1].end_ms))
    end = last[11:19] if first[:10] == last[:10] else f"{last[:10]} {last[11:19]}"
    return f"{first[:10]} {first[11:19]} to {end} {zone_at(recorded[0].start_ms, local=local).name}"


def format_change(change: HealthChange, number: int, total: int, *, local: bool) -> tuple[str, str]:
    """Title and text of a toast about an alarm."""
    clock = wall_clock(change.at_ms, local=local)[11:19]
    lines = [
        *(f"{change.failing[name].name}: {clean(name)}" for name in change.began),
        *(f"{Status.OK.name}: {clean(name)}" for name in change.ended),
    ]
    return f"{clock}, alarm {number:,} of {total:,}", "\n".join(_shortened(lines))


def _shortened(lines: Sequence[str], most: int = 5) -> Sequence[str]:
    if len(lines) <= most:
        return lines
    return (*lines[: most - 1], f"and {pluralize(len(lines) - most + 1, 'more check')}")


def _parse_step(text: str) -> int | None:
    match = _STEP.fullmatch(text)
    if match is None:
        return None
    seconds = sum(int(number) * _UNITS_S[unit] for number, unit in _PART.findall(match[2]))
    return (1 if match[1] == "+" else -1) * seconds * 1_000


def _candidates(text: str, *, now_ms: int, first_ms: int, last_ms: int, local: bool) -> Iterator[int]:
    """The moments that a text may mean: one, or one for each recorded day or year."""
    match = _ABSOLUTE.fullmatch(text)
    if match is None or not text or (match["hour"] is None and match["day"] is None):
        return
    first, last = (date.fromisoformat(wall_clock(at, local=local)[:10]) for at in (first_ms, last_ms))
    days: list[date] = []
    try:
        if match["day"] is None:
            days = [first + timedelta(number) for number in range(min((last - first).days, _MOST_DAYS) + 1)]
        else:
            years = [int(match["year"])] if match["year"] else sorted({first.year, last.year})
            days = [date(year, int(match["month"]), int(match["day"])) for year in years]
        for day in days:
            yield _moment(day, match, local=local)
    except ValueError:  # the 31st of June, or 25:00
        return


def _moment(day: date, match: re.Match[str], *, local: bool) -> int:
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    moment = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=None if local else UTC)
    return round(moment.timestamp() * 1_000)
