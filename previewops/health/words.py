"""Figures in words."""

from __future__ import annotations


def plural_s(count: int) -> str:
    """The "s" of a noun of which there are ``count``."""
    return "" if count == 1 else "s"


def seconds(ms: float) -> str:
    """A time in whole seconds."""
    return f"{ms / 1000:.0f} s"
