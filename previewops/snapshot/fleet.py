"""State of supervisors and their workers, as published in Redis and as shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from previewops.clock import iso_from_ms

SILENT_AFTER_MS = 15_000
"""A supervisor without a heartbeat for this long receives no commands and is shown as silent."""

FAILING_AFTER_EXITS = 5
"""Exits in a row, soon after the start, from which on a worker counts as failing. It is still started again."""

MAX_WORKERS = 256
"""Maximum workers per supervisor."""


@dataclass(frozen=True, slots=True)
class WorkerCountRange:
    """Minimum and maximum number of workers; equal for a fixed number."""

    minimum: int
    maximum: int

    @classmethod
    def parse(cls, text: str) -> WorkerCountRange | None:
        """Parses "4" or "1-8"; None unless 0 ≤ minimum ≤ maximum ≤ ``MAX_WORKERS``."""
        match = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", text.strip())
        if match is None:
            return None
        fewest, most = int(match[1]), int(match[2] or match[1])
        return cls(fewest, most) if fewest <= most <= MAX_WORKERS else None

    def __str__(self) -> str:
        """The range as an operator types it."""
        return f"{self.minimum}" if self.minimum == self.maximum else f"{self.minimum}-{self.maximum}"

    def clamp(self, count: int) -> int:
        """Returns ``count`` limited to the range."""
        return min(self.maximum, max(self.minimum, count))


@dataclass(frozen=True, slots=True)
class SupervisedWorker:
    """A worker as its supervisor sees it. ``pid`` is None if no process runs; ``reason`` is text for an operator."""

    worker_id: str
    slot: int
    phase: str
    pid: int | None
    rapid_exits: int
    reason: str

    @property
    def failing(self) -> bool:
        """Whether its last starts have all failed, and the supervisor goes on trying."""
        return self.rapid_exits >= FAILING_AFTER_EXITS and self.phase not in ("fatal", "exited")

    @property
    def drained(self) -> bool:
        """Whether an operator has drained it: it stays stopped until a reset or restart."""
        return self.phase == "exited"

    def as_json(self) -> dict[str, Any]:
        """The worker as published, and as ``workers --json`` prints it."""
        return {
            "id": self.worker_id,
            "place": self.slot,
            "phase": self.phase,
            "pid": self.pid,
            "quickDeaths": self.rapid_exits,
            "reason": self.reason or None,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> SupervisedWorker:
        """Parses the output of ``as_json``; fields of another version may be missing."""
        return cls(
            worker_id=str(fields.get("id", "")),
            slot=int(fields.get("place", 0)),
            phase=str(fields.get("phase", "unknown")),
            pid=fields.get("pid"),
            rapid_exits=int(fields.get("quickDeaths", 0)),
            reason=str(fields.get("reason") or ""),
        )


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """State that a supervisor publishes. ``count`` is the target number of workers, within ``worker_range``."""

    host: str
    pid: int
    version: str
    backend: str
    state: str
    count: int
    worker_range: WorkerCountRange
    rss_bytes: int
    started_ms: int
    notice: str
    workers: tuple[SupervisedWorker, ...]

    def as_json(self) -> dict[str, Any]:
        """The state as published."""
        return {
            "host": self.host,
            "pid": self.pid,
            "version": self.version,
            "backend": self.backend,
            "state": self.state,
            "count": self.count,
            "min": self.worker_range.minimum,
            "max": self.worker_range.maximum,
            "rssBytes": self.rss_bytes,
            "startedMs": self.started_ms,
            "notice": self.notice or None,
            "workers": [worker.as_json() for worker in self.workers],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> SupervisorState:
        """Parses the output of ``as_json``; fields of another version may be missing."""
        return cls(
            host=str(fields.get("host", "")),
            pid=int(fields.get("pid", 0)),
            version=str(fields.get("version", "")),
            backend=str(fields.get("backend", "")),
            state=str(fields.get("state", "unknown")),
            count=int(fields.get("count", 0)),
            worker_range=WorkerCountRange(int(fields.get("min", 0)), int(fields.get("max", 0))),
            rss_bytes=int(fields.get("rssBytes", 0)),
            started_ms=int(fields.get("startedMs", 0)),
            notice=str(fields.get("notice") or ""),
            workers=tuple(SupervisedWorker.from_json(worker) for worker in fields.get("workers", ())),
        )


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """A supervisor at its last heartbeat (server ms); ``silent`` if that is too long ago."""

    supervisor_id: str
    heartbeat_ms: int
    silent: bool
    state: SupervisorState

    @classmethod
    def observed(
        cls, supervisor_id: str, heartbeat_ms: int, state: SupervisorState, now_ms: int
    ) -> SupervisorStatus:
        """Builds the status as of ``now_ms`` (server ms)."""
        return cls(supervisor_id, heartbeat_ms, now_ms - heartbeat_ms > SILENT_AFTER_MS, state)

    def as_json(self) -> dict[str, Any]:
        """The supervisor as ``workers --json`` prints it."""
        state = self.state.as_json()
        started_ms = state.pop("startedMs")
        return {
            "id": self.supervisor_id,
            **state,
            "state": "silent" if self.silent else state["state"],
            "startedAt": iso_from_ms(started_ms),
            "heartbeatAt": iso_from_ms(self.heartbeat_ms),
        }
