"""Events of the supervisor's loop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from previewops.supervisor.redis_poller import PollResult
from previewops.supervisor.slots import WorkerProcess


class ControlRequest(Enum):
    """Request of a signal, or of the process that runs the supervisor."""

    STOP = auto()  # a second one makes draining workers return their jobs at once
    RELOAD = auto()
    ADD_WORKER = auto()
    REMOVE_WORKER = auto()


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A worker has exited with a status."""

    worker: WorkerProcess
    status: int | None


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A poll of Redis has failed."""

    error: Exception


@dataclass(frozen=True, slots=True)
class OrphansKilled:
    """Workers of an earlier supervisor were killed."""

    worker_ids: list[str]


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task of the supervisor has failed with an unexpected error."""

    error: BaseException


Event: TypeAlias = ControlRequest | WorkerExited | PollResult | PollFailed | OrphansKilled | TaskFailed
