"""State of supervisors and their workers, as published in Redis and as shown. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from previewops.clock import iso_from_ms
from previewops.queue.tolerant_values import StoredFields
from previewops.snapshot.recent import parse_recent

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
    number: int
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
            "place": self.number,
            "phase": self.phase,
            "pid": self.pid,
            "quickDeaths": self.rapid_exits,
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True)
class HostGauges:
    """Use of a host, as its supervisor measures it; sizes in bytes, 0 if unknown.

    ``cpu_percent`` is that of the processors that the supervisor may use, ``load`` the host's average over a minute.
    ``cpu_recent`` and ``memory_recent`` are means in percent of each closed step of ``RECENT_STEP_MS``.
    """

    cpu_percent: int
    processors: int
    load: float
    memory_bytes: int
    memory_free_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    cpu_recent: tuple[int, ...] = ()
    memory_recent: tuple[int, ...] = ()

    @property
    def memory_percent(self) -> int:
        """Used memory in percent."""
        return _used_percent(self.memory_bytes, self.memory_free_bytes)

    @property
    def disk_percent(self) -> int:
        """Used part of the disk of DATA_DIR in percent."""
        return _used_percent(self.disk_bytes, self.disk_free_bytes)

    def as_json(self) -> dict[str, Any]:
        """The gauges as published."""
        return {
            "cpu": self.cpu_percent,
            "processors": self.processors,
            "load": self.load,
            "memoryBytes": self.memory_bytes,
            "memoryFreeBytes": self.memory_free_bytes,
            "diskBytes": self.disk_bytes,
            "diskFreeBytes": self.disk_free_bytes,
            "cpuRecently": list(self.cpu_recent),
            "memoryRecently": list(self.memory_recent),
        }


def _used_percent(size: int, free: int) -> int:
    return round(100 * max(0, size - free) / size) if size else 0


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
    build: str = ""
    gauges: HostGauges | None = None

    def as_json(self) -> dict[str, Any]:
        """The state as published. ``gauges`` is None from a supervisor of an earlier version."""
        return {
            "host": self.host,
            "pid": self.pid,
            "version": self.version,
            "build": self.build,
            "backend": self.backend,
            "state": self.state,
            "count": self.count,
            "min": self.worker_range.minimum,
            "max": self.worker_range.maximum,
            "rssBytes": self.rss_bytes,
            "startedMs": self.started_ms,
            "notice": self.notice or None,
            "gauges": None if self.gauges is None else self.gauges.as_json(),
            "workers": [worker.as_json() for worker in self.workers],
        }


def parse_supervisor(info: StoredFields) -> SupervisorState:
    """Parses what a supervisor published; fields of another version may be missing, and any may be damaged."""
    return SupervisorState(
        host=info.text("host"),
        pid=info.integer("pid"),
        version=info.text("version"),
        build=info.text("build"),
        backend=info.text("backend"),
        state=info.text("state", "unknown"),
        count=info.integer("count"),
        worker_range=WorkerCountRange(info.integer("min"), info.integer("max")),
        rss_bytes=info.integer("rssBytes"),
        started_ms=info.integer("startedMs"),
        notice=info.text("notice"),
        gauges=_parse_gauges(info),
        workers=tuple(_parse_worker(worker, info) for worker in info.items("workers")),
    )


def _parse_gauges(info: StoredFields) -> HostGauges | None:
    reported = info.fields.get("gauges")
    if reported is None:
        return None
    if not isinstance(reported, dict):
        info.damaged()
        return None
    gauges = replace(info, fields=reported)
    return HostGauges(
        cpu_percent=gauges.integer("cpu"),
        processors=gauges.integer("processors"),
        load=gauges.number("load"),
        memory_bytes=gauges.integer("memoryBytes"),
        memory_free_bytes=gauges.integer("memoryFreeBytes"),
        disk_bytes=gauges.integer("diskBytes"),
        disk_free_bytes=gauges.integer("diskFreeBytes"),
        cpu_recent=parse_recent(gauges, "cpuRecently"),
        memory_recent=parse_recent(gauges, "memoryRecently"),
    )


def _parse_worker(value: Any, info: StoredFields) -> SupervisedWorker:
    if not isinstance(value, dict):
        info.damaged()
        value = {}
    worker = replace(info, fields=value)
    return SupervisedWorker(
        worker_id=worker.text("id"),
        number=worker.integer("place"),
        phase=worker.text("phase", "unknown"),
        pid=worker.optional_integer("pid"),
        rapid_exits=worker.integer("quickDeaths"),
        reason=worker.text("reason"),
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
