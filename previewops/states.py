"""The words the queue is described in: job states, priorities, and the result codes of the Lua scripts."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class JobState(StrEnum):
    """Every accepted job is in exactly one of these, always."""

    WAITING = "waiting"
    DELAYED = "delayed"  # backing off, or deferred by the producer
    ACTIVE = "active"
    COMPLETED = "completed"
    DEAD = "dead"  # in the dead-letter queue
    CANCELLED = "cancelled"

    @property
    def pending(self) -> bool:
        """Whether the job still has work ahead of it."""
        return self in (JobState.WAITING, JobState.DELAYED, JobState.ACTIVE)


class Priority(StrEnum):
    """Highest first: the order of the members is the order in which the classes are served."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class ScriptResult(IntEnum):
    """First element of every script's reply; each script's header names the ones it returns."""

    OK = 0
    DUPLICATE = 1  # same jobId, same body: the job that is there already
    CONFLICT = 2  # same jobId, another body
    FULL = 3  # the backlog is at its bound
    STALE = 4  # the fencing token is no longer the job's: the caller has lost its lease
    NOT_FOUND = 5
    WRONG_STATE = 6
    COMPARE = 7  # the stored body came from a stock arq client: the caller compares the bodies
    ALREADY = 8  # this very transition was made before (a reply was lost on the way); counts as done
