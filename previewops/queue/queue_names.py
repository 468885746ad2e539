"""Names of the queues of a Redis database. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueNames:
    """Names of queues in alphabetical order. ``complete``: all keys of the database were looked at."""

    names: tuple[str, ...]
    complete: bool
