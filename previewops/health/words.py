"""Figures in words."""

from __future__ import annotations


def plural_s(count: int) -> str:
    """Returns the plural "s" for ``count`` things."""
    return "" if count == 1 else "s"


def seconds(ms: float) -> str:
    """Formats a time in whole seconds."""
    return f"{ms / 1000:.0f} s"
