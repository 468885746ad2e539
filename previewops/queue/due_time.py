"""Earliest start of a job. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from previewops.contract.timestamps import is_rfc3339
from previewops.errors import UsageError
from previewops.formatting import parse_age_ms
from previewops.message_formatting import describe_value

MAX_DELAY_DAYS = 366
"""How far ahead a job may start."""

_ALLOWED = (
    f"a date and time with a zone, such as 2026-12-24T18:00:00+01:00, or a delay, such as +2h; "
    f"at most {MAX_DELAY_DAYS} days ahead"
)

DueTimeSource: TypeAlias = str | datetime | timedelta
"""RFC 3339 with a zone, a delay such as +2h, or an object of one of these kinds."""


class InvalidDueTime(UsageError):
    """The earliest start of a job is not a time with a zone, or too far ahead. ``allowed`` says what is."""

    code = "invalid-due-time"

    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"{name}: found {found}, allowed {_ALLOWED}")
        self.found = found
        self.allowed = _ALLOWED


@dataclass(frozen=True, slots=True)
class DueTime:
    """Earliest start of a job, in ms since the epoch or, if ``relative``, from the moment at which Redis gets it.

    A time that has passed means now.
    """

    ms: int
    relative: bool = False

    def script_argument(self) -> str:
        """Returns the time as an argument of scripts (lua/include/delay.lua)."""
        return f"+{self.ms}" if self.relative else str(self.ms)

    @classmethod
    def from_source(cls, source: DueTimeSource, *, now_ms: int, name: str = "notBefore") -> DueTime:
        """Reads a time or a delay. ``now_ms`` only bounds it; ``name`` is that of the argument in errors.

        Raises:
            InvalidDueTime: it is neither, or too far ahead.
        """
        found = describe_value(source if isinstance(source, str) else str(source))
        max_ms = MAX_DELAY_DAYS * 86_400_000
        if isinstance(source, timedelta):
            due = cls(max(0, round(source.total_seconds() * 1000)), relative=True)
        elif isinstance(source, str) and source.startswith("+"):
            delay_ms = parse_age_ms(source[1:])
            if delay_ms is None:
                raise InvalidDueTime(name, found)
            due = cls(delay_ms, relative=True)
        else:
            moment = _parse(source) if isinstance(source, str) else source
            if not isinstance(moment, datetime) or moment.tzinfo is None:
                raise InvalidDueTime(name, found)
            due = cls(max(0, round(moment.timestamp() * 1000)))
        if due.ms > (max_ms if due.relative else now_ms + max_ms):
            raise InvalidDueTime(name, found)
        return due


NOW = DueTime(0)
"""A start that is not delayed."""


def _parse(text: str) -> datetime | None:
    if not is_rfc3339(text):
        return None
    # A leap second is the second after it, as in Unix time.
    leap = text[17:19] == "60"
    plain = (text[:17] + "59" + text[19:] if leap else text).upper()
    return datetime.fromisoformat(plain) + timedelta(seconds=int(leap))
