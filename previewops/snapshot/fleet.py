"""What is known of supervisors and their workers: plain values, as published and as shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from previewops.clock import iso_from_ms

SILENT_AFTER_MS = 15_000
"""A supervisor that has been silent for this long takes no orders, and is shown as silent."""

MAX_WORKERS = 256
"""As many as one supervisor may be told to run."""


@dataclass(frozen=True, slots=True)
class WorkerCountRange:
    """The fewest and the most workers; equal when their number is fixed."""

    minimum: int
    maximum: int

    @classmethod
    def parse(cls, text: str) -> WorkerCountRange | None:
        """Reads "4" or "1-8" as people type it; None unless 0 ≤ fewest ≤ most ≤ ``MOST_WORKERS``."""
        match = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", text.strip())
        if match is None:
            return None
        fewest, most = int(match[1]), int(match[2] or match[1])
        return cls(fewest, most) if fewest <= most <= MAX_WORKERS else None

    def __str__(self) -> str:
        """The bounds as they are typed."""
        return f"{self.minimum}" if self.minimum == self.maximum else f"{self.minimum}-{self.maximum}"

    def clamp(self, count: int) -> int:
        """``count``, or the bound that it is beyond."""
        return min(self.maximum, max(self.minimum, count))


@dataclass(frozen=True, slots=True)
class SupervisedWorker:
    """A worker as its supervisor sees it. ``pid`` is None while none runs; ``reason`` is for a person."""

    worker_id: str
    slot: int
    phase: str
    pid: int | None
    rapid_exits: int
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The worker as published, and as ``workers --json`` shows it."""
        return {
            "id": self.worker_id,
            "place": self.slot,
            "phase": self.phase,
            "pid": self.pid,
            "quickDeaths": self.rapid_exits,
            "reason": self.reason or None,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> SupervisedWorker:
        """Reads what ``as_json`` wrote; another version of it may lack something."""
        return cls(
            worker_id=str(said.get("id", "")),
            slot=int(said.get("place", 0)),
            phase=str(said.get("phase", "unknown")),
            pid=said.get("pid"),
            rapid_exits=int(said.get("quickDeaths", 0)),
            reason=str(said.get("reason") or ""),
        )


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """What a supervisor says of itself. ``count`` workers are aimed at, between ``bounds``."""

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
    def from_json(cls, said: Mapping[str, Any]) -> SupervisorState:
        """Reads what ``as_json`` wrote; another version of it may lack something."""
        return cls(
            host=str(said.get("host", "")),
            pid=int(said.get("pid", 0)),
            version=str(said.get("version", "")),
            backend=str(said.get("backend", "")),
            state=str(said.get("state", "unknown")),
            count=int(said.get("count", 0)),
            worker_range=WorkerCountRange(int(said.get("min", 0)), int(said.get("max", 0))),
            rss_bytes=int(said.get("rssBytes", 0)),
            started_ms=int(said.get("startedMs", 0)),
            notice=str(said.get("notice") or ""),
            workers=tuple(SupervisedWorker.from_json(each) for each in said.get("workers", ())),
        )


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """A supervisor as of its last report (server ms); ``silent`` when that is too long ago."""

    supervisor_id: str
    heartbeat_ms: int
    silent: bool
    state: SupervisorState

    @classmethod
    def observed(
        cls, supervisor_id: str, heartbeat_ms: int, state: SupervisorState, now_ms: int
    ) -> SupervisorStatus:
        """A supervisor as it looks at ``now_ms`` (server ms)."""
        return cls(supervisor_id, heartbeat_ms, now_ms - heartbeat_ms > SILENT_AFTER_MS, state)

    def as_json(self) -> dict[str, Any]:
        """The supervisor as ``workers --json`` shows it."""
        said = self.state.as_json()
        started_ms = said.pop("startedMs")
        return {
            "id": self.supervisor_id,
            **said,
            "state": "silent" if self.silent else said["state"],
            "startedAt": iso_from_ms(started_ms),
            "heartbeatAt": iso_from_ms(self.heartbeat_ms),
        }
