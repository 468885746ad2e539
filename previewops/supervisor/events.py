"""What reaches the supervisor's loop: signals as wishes, exits, looks, what its own tasks have come to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from previewops.supervisor.redis_poller import PollResult
from previewops.supervisor.slots import WorkerProcess


class ControlRequest(Enum):
    """What a signal asks for."""

    STOP = auto()  # a second one has draining workers give their jobs back at once
    RELOAD = auto()
    ADD_WORKER = auto()
    REMOVE_WORKER = auto()


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A worker has ended, with that exit status."""

    worker: WorkerProcess
    status: int | None


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A look at Redis got no answer."""

    error: Exception


@dataclass(frozen=True, slots=True)
class OrphansKilled:
    """These workers of an earlier supervisor are gone."""

    worker_ids: list[str]


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task has failed as none may."""

    error: BaseException


Event: TypeAlias = ControlRequest | WorkerExited | PollResult | PollFailed | OrphansKilled | TaskFailed
