"""Numbers from untrusted sources: results and events can be written by anybody who can write to Redis."""

from __future__ import annotations

MAX_COUNT = 10**15
"""Upper limit of bytes or ms. Larger values are invalid and would overflow the formatting."""


def safe_count(value: object) -> int | None:
    """A count of bytes, ms or pixels; None if the value is not a valid one."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def parse_count(text: str) -> int | None:
    """The count in a string of digits; None if it is not a valid one."""
    is_valid = len(text) <= len(str(MAX_COUNT)) and text.isascii() and text.isdigit()
    return safe_count(int(text)) if is_valid else None
