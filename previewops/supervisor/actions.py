"""Actions that the supervisor logs, each with its level."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import TypeAlias


class Action(Enum):
    """Kind of an action: its name in the log, and its level (see :mod:`logging`)."""

    WORKER_ADOPTED = ("worker-adopted", logging.INFO)
    WORKER_EXITED = ("worker-exited", logging.WARNING)
    WORKER_FAILING = ("worker-failing", logging.CRITICAL)
    WORKER_RECOVERED = ("worker-recovered", logging.INFO)
    WORKER_FATAL = ("worker-fatal", logging.CRITICAL)
    WORKER_HUNG = ("worker-hung", logging.ERROR)
    WORKER_RECYCLED = ("worker-recycled", logging.INFO)
    WORKER_NOT_REPLACED = ("worker-not-replaced", logging.WARNING)
    WORKERS_DRAINED = ("workers-drained", logging.WARNING)
    ORPHAN_KILLED = ("orphan-killed", logging.WARNING)
    LEASES_HELD = ("leases-held", logging.ERROR)
    LEASES_RELEASED = ("leases-released", logging.INFO)
    LOG_UNAVAILABLE = ("log-unavailable", logging.ERROR)
    REDIS_UNAVAILABLE = ("redis-unavailable", logging.WARNING)
    REDIS_AVAILABLE = ("redis-available", logging.INFO)
    COMMAND_EXECUTED = ("command-executed", logging.INFO)
    COMMAND_REJECTED = ("command-rejected", logging.WARNING)
    WORKERS_SCALED = ("workers-scaled", logging.INFO)
    RELOAD_STARTED = ("reload-started", logging.INFO)
    RELOAD_COMPLETED = ("reload-completed", logging.INFO)
    RELOAD_REJECTED = ("reload-rejected", logging.ERROR)
    RELOAD_CANCELLED = ("reload-cancelled", logging.ERROR)

    def __init__(self, kind: str, level: int) -> None:
        self.kind = kind
        self.level = level


LogAction: TypeAlias = Callable[[Action, str], None]
"""Logs an action and its reason, in one line."""
