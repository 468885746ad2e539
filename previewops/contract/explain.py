"""Formats an invalid payload for people."""

from __future__ import annotations

from previewops.errors import InvalidPayload

MAX_ALIGNED_CHARACTERS = 48


def explain(error: InvalidPayload) -> list[str]:
    """Returns a headline with source and count, then three lines per violation: pointer and message, found, allowed.

    The whole document is shown as "(document)".
    """
    count = len(error.violations)
    headline = f"{error.source or 'payload'}: {count} violation{'' if count == 1 else 's'}"
    places = [violation.pointer or "(document)" for violation in error.violations]
    width = min(max(map(len, places), default=0), MAX_ALIGNED_CHARACTERS)
    lines = [headline]
    for place, violation in zip(places, error.violations, strict=True):
        lines.append(f"  {place.ljust(width)}  {violation.message}")
        lines.append(f"      found    {violation.found}")
        lines.append(f"      allowed  {violation.allowed}")
    return lines
