"""Files of one host's supervisor that outlive it: the workers that an operator drained, and the last reload."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

DRAINED_NAME = "drained.json"
RELOAD_NAME = "reload.json"
LOCK_NAME = "lock"


@dataclass(frozen=True, slots=True)
class DrainedWorker:
    """A slot that an operator drained: the id of its last worker, and who drained it and why."""

    worker_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drains:
    """The drained slots of a host, by number. ``host_reason`` is set if the whole host is drained."""

    slots: Mapping[int, DrainedWorker] = field(default_factory=dict)
    host_reason: str | None = None

    def of_slot(self, number: int) -> DrainedWorker | None:
        """Returns the drain of a slot, or None. On a drained host, slots that are added are drained too."""
        if number in self.slots:
            return self.slots[number]
        return None if self.host_reason is None else DrainedWorker("", self.host_reason)

    def as_json(self) -> dict[str, Any]:
        """The drains as stored."""
        slots = {str(number): asdict(drained) for number, drained in sorted(self.slots.items())}
        return {"host": self.host_reason, "slots": slots}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Drains:
        """Parses the output of ``as_json``. Raises ValueError, TypeError, KeyError or AttributeError."""
        slots = {
            int(number): DrainedWorker(str(drained["worker_id"]), str(drained["reason"]))
            for number, drained in fields["slots"].items()
        }
        host_reason = fields["host"]
        return cls(slots, None if host_reason is None else str(host_reason))


class ReloadState(StrEnum):
    """State of a reload."""

    RUNNING = "running"
    COMPLETED = "completed"
    REJECTED = "rejected"  # also one that was accepted and then cancelled: the old settings remain


@dataclass(frozen=True, slots=True)
class ReloadRecord:
    """The last reload of the supervisor ``pid``; ``number`` counts its reloads from 1, ``message`` is the reason."""

    pid: int
    number: int
    state: ReloadState
    message: str = ""


class SupervisorRecords:
    """The files in the supervisor's folder, each replaced atomically. Writing never fails: the disk may be full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read_drains(self) -> Drains:
        """Returns the drains of the last supervisor; none if the file is missing or invalid."""
        try:
            return Drains.from_json(json.loads((self._folder / DRAINED_NAME).read_text("utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return Drains()

    def write_drains(self, drains: Drains) -> None:
        """Stores the drains for the next supervisor."""
        if drains == Drains():
            with suppress(OSError):
                (self._folder / DRAINED_NAME).unlink(missing_ok=True)
        else:
            self._write(DRAINED_NAME, drains.as_json())

    def read_reload(self) -> ReloadRecord | None:
        """Returns the last reload, None if there was none or the file is invalid."""
        try:
            fields = json.loads((self._folder / RELOAD_NAME).read_text("utf-8"))
            state = ReloadState(fields["state"])
            return ReloadRecord(int(fields["pid"]), int(fields["number"]), state, str(fields["message"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write_reload(self, record: ReloadRecord) -> None:
        """Stores the state of a reload, for ``previewops reload``."""
        self._write(RELOAD_NAME, asdict(record))

    def keep_alive(self) -> None:
        """Sets the time of the folder's lock file, by which other hosts see that this one is in use."""
        with suppress(OSError):
            os.utime(self._folder / LOCK_NAME)

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        partial = self._folder / f"{name}.partial"
        with suppress(OSError):
            partial.write_text(json.dumps(value), "utf-8")
            partial.replace(self._folder / name)
