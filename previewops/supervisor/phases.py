"""Phases of workers and worker slots."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """STARTING → RUNNING → DRAINING → EXITED; an unexpected exit → BACKOFF → STARTING, or FATAL."""

    STARTING = "starting"  # the process runs and has sent no heartbeat yet
    RUNNING = "running"
    DRAINING = "draining"  # finishes its jobs and claims no more
    EXITED = "exited"  # drained by a command; the slot stays empty until it is reset
    BACKOFF = "backoff"  # exited unexpectedly; will be started again
    FATAL = "fatal"  # its settings or its installation are invalid; an operator resets it
