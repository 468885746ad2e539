"""The words that workers and their places are described in."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """STARTING → RUNNING → DRAINING → EXITED; an exit that was not asked for → BACKOFF → STARTING or FATAL."""

    STARTING = "starting"  # the process is there and has not reported yet
    RUNNING = "running"
    DRAINING = "draining"  # asked to stop: it takes no job and ends those it has
    EXITED = "exited"  # drained by order; stays so until it is reset
    BACKOFF = "backoff"  # died; will be started again
    FATAL = "fatal"  # died too often, or cannot start; a person resets it
