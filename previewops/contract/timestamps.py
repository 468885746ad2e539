"""Checks RFC 3339 date-times (section 5.6)."""

from __future__ import annotations

import re
from datetime import date

_DATE_TIME = (
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[Tt]"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?P<zone_hour>[0-9]{2}):(?P<zone_minute>[0-9]{2}))"
)


def is_rfc3339(text: str) -> bool:
    """Whether ``text`` is a date and time with a zone. A leap second is allowed; the year 0 is not."""
    match = re.fullmatch(_DATE_TIME, text)
    if match is None:
        return False
    part = {name: int(digits or 0) for name, digits in match.groupdict().items()}
    if part["hour"] > 23 or part["minute"] > 59 or part["second"] > 60:
        return False
    if part["zone_hour"] > 23 or part["zone_minute"] > 59:
        return False
    try:
        date(part["year"], part["month"], part["day"])
    except ValueError:
        return False
    return True
