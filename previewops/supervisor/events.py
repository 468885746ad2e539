"""What reaches the supervisor's loop: signals as wishes, exits, looks, what its own tasks have come to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from previewops.supervisor.members import Worker
from previewops.supervisor.watchtower import Look


class Wish(Enum):
    """What a signal asks for."""

    STOP = auto()  # a second one has draining workers give their jobs back at once
    RELOAD = auto()
    MORE = auto()
    FEWER = auto()


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker has ended, with that exit status."""

    worker: Worker
    status: int | None


@dataclass(frozen=True, slots=True)
class Blind:
    """A look at Redis got no answer."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Swept:
    """These workers of an earlier supervisor are gone."""

    worker_ids: list[str]


@dataclass(frozen=True, slots=True)
class Broken:
    """A task has failed as none may."""

    error: BaseException


Event: TypeAlias = Wish | Ended | Look | Blind | Swept | Broken
