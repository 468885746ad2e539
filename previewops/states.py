"""Job states, priorities, and result codes of the Lua scripts."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class JobState(StrEnum):
    """States of an accepted job, which is always in exactly one of them."""

    WAITING = "waiting"
    DELAYED = "delayed"  # in backoff, or deferred by the producer
    ACTIVE = "active"
    COMPLETED = "completed"
    DEAD = "dead"  # in the dead-letter queue
    CANCELLED = "cancelled"

    @property
    def pending(self) -> bool:
        """Whether the job has not ended yet."""
        return self in (JobState.WAITING, JobState.DELAYED, JobState.ACTIVE)


class Priority(StrEnum):
    """Priority classes in the order in which they are served."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


LAYOUT = 1
"""Layout of a queue's data in Redis that this build reads and writes (docs/guarantees.md)."""


class ScriptResult(IntEnum):
    """Result codes of the scripts; each script's header lists the codes it returns."""

    OK = 0
    DUPLICATE = 1  # same jobId, same payload: the existing job
    CONFLICT = 2  # same jobId, different payload
    FULL = 3  # the backlog is at its limit
    STALE = 4  # the fencing token is outdated: the caller has lost its lease
    NOT_FOUND = 5
    WRONG_STATE = 6
    COMPARE = 7  # a stock arq client stored the payload: the caller compares the payloads
    ALREADY = 8  # this transition happened before (its reply was lost); counts as success
    QUOTA = 9  # as many jobs of the caller's projects are pending as its quota allows
    REPLACED = 10  # same jobId, another payload, which is the job's from now on
    BATCH = 11  # the batch is closed, or of another project
