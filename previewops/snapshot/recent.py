"""The last minutes of a worker or host in steps, as heartbeats report them. Pure."""

from __future__ import annotations

from previewops.queue.tolerant_values import StoredFields, parse_integer

RECENT_STEP_MS = 30_000
RECENT_STEPS = 20
"""Steps of 30 s in which workers and supervisors report their last ten minutes."""


def parse_recent(info: StoredFields, name: str) -> tuple[int, ...]:
    """Parses whole numbers by steps, oldest first: the last ``RECENT_STEPS``; one that is damaged is 0."""
    values = info.items(name)[-RECENT_STEPS:]
    return tuple(parse_integer(value, info) or 0 for value in values)
