"""Numbers of strangers: what is in a result or an event was written by whoever wrote to Redis."""

from __future__ import annotations

MAX_COUNT = 10**15
"""Bytes or ms beyond all that there is; what is larger does not fit into the words for it either."""


def safe_count(value: object) -> int | None:
    """A count of bytes, ms or pixels, None where it is none that can be."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def parse_count(text: str) -> int | None:
    """The same of digits."""
    return (
        safe_count(int(text))
        if len(text) <= len(str(MAX_COUNT)) and text.isascii() and text.isdigit()
        else None
    )
