"""One consistent look at a queue, as plain values: what screens, health and metrics are made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from previewops.clock import iso_from_ms
from previewops.snapshot.fleet import SupervisorStatus
from previewops.snapshot.histogram import merge_histograms, percentile_ms
from previewops.states import Priority

TEN_SECONDS_MS = 10_000
"""Width of the finest history bucket."""

MINUTE_MS = 60_000
"""Width of the coarse one."""


@dataclass(frozen=True, slots=True)
class CounterBucket:
    """What happened in ``width_ms``, from ``start_ms`` (server) on: counts by name, histograms of wait and run.

    Starts are multiples of the width.
    """

    start_ms: int
    counts: Mapping[str, int]
    wait: Mapping[int, int]
    run: Mapping[int, int]
    width_ms: int = TEN_SECONDS_MS

    @property
    def number(self) -> int:
        """How many buckets of this width there were before it since the epoch."""
        return self.start_ms // self.width_ms


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """One entry of the queue's stream: an act of an operator, or a change worth a line.

    ``event_id`` is the stream's id, which grows; ``at_ms`` the server's time; ``fields`` all else that was said.
    What is in them may come from a stranger: it is cleaned where it is shown.
    """

    event_id: str
    at_ms: int
    kind: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that runs: who claimed it when (server ms), how far it is (0..1), and what went wrong before."""

    job_id: str
    project_id: str
    priority: Priority
    worker_id: str
    claimed_ms: int
    progress: float
    phase: str
    attempts: int
    crashes: int


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker as of its last heartbeat (server ms). ``jobs`` are the ids it is at.

    ``rss_bytes`` is the resident memory of the worker, its fork server and its render processes added up; pages
    that they share count in each. ``own_rss_bytes`` is the worker process alone. ``cpu`` is what they all used
    of the processors since the heartbeat before, in percent of one core. ``confined_by`` is what its render
    processes are held by ("Landlock 6", "seccomp", "resource limits"), nothing for a worker that does not tell;
    ``clock_ahead_ms`` how far its clock is ahead of the one of Redis, less what the heartbeat took on its way.
    """

    worker_id: str
    host: str
    pid: int
    state: str
    slots: int
    busy: int
    rss_bytes: int
    heartbeat_ms: int
    started_ms: int
    completed: int
    failed: int
    version: str
    jobs: tuple[str, ...]
    cpu: float = 0.0
    own_rss_bytes: int = 0
    confined_by: tuple[str, ...] = ()
    clock_ahead_ms: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The worker as ``workers --json`` and ``stats --json`` show it."""
        return {
            "id": self.worker_id,
            "host": self.host,
            "pid": self.pid,
            "state": self.state,
            "slots": self.slots,
            "busy": self.busy,
            "rssBytes": self.rss_bytes,
            "ownRssBytes": self.own_rss_bytes,
            "cpu": self.cpu,
            "confinedBy": list(self.confined_by),
            "clockAheadMs": self.clock_ahead_ms,
            "heartbeatAt": iso_from_ms(self.heartbeat_ms),
            "startedAt": iso_from_ms(self.started_ms),
            "completed": self.completed,
            "failed": self.failed,
            "version": self.version,
            "jobs": list(self.jobs),
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A queue at one moment of the Redis server's clock.

    ``buckets`` are of 10 s and ``minutes`` of 1 min, oldest first, without those in which nothing happened, as
    far back as ``history_s`` and ``history_min`` say. ``minutes`` ends before the current minute, which is not
    added up yet: its 10 s buckets tell of it. ``events`` come oldest first; ``events_total`` counts all there
    ever were. ``heads`` is the age in ms of the oldest waiting job of each class, 0 for none.
    ``completed_kept`` counts the completed jobs that are still on record.
    """

    queue_name: str
    now_ms: int
    paused: bool
    paused_since_ms: int | None
    paused_by: str
    paused_why: str
    waiting: Mapping[Priority, int]
    delayed: int
    active: int
    dead: int
    oldest_waiting_ms: int
    counters: Mapping[str, int]
    workers: tuple[WorkerState, ...]
    buckets: tuple[CounterBucket, ...]
    data_lost_ms: int | None = None
    """When workers noticed that Redis had lost the queue's data, until somebody acknowledges it."""
    minutes: tuple[CounterBucket, ...] = ()
    events: tuple[QueueEvent, ...] = ()
    events_total: int = 0
    supervisors: tuple[SupervisorStatus, ...] = ()
    running_jobs: tuple[RunningJob, ...] = ()
    oldest_wait_ms: Mapping[Priority, int] = field(default_factory=dict)
    completed_kept: int = 0
    history_s: int = 0
    history_min: int = 0

    @property
    def backlog(self) -> int:
        """Jobs that wait or back off: what PREVIEW_QUEUE_MAX bounds."""
        return sum(self.waiting.values()) + self.delayed

    @property
    def pending(self) -> int:
        """Jobs that have work ahead of them."""
        return self.backlog + self.active

    @property
    def unaccounted(self) -> int:
        """Accepted jobs that are in no state at all: 0, always.

        Negative while jobs of stock arq clients sit in the schedule and nobody has taken them in yet: they
        are counted as delayed at once, and as accepted only then.
        """
        ended = self.counters["completed"] + self.counters["cancelled"] + self.counters["discarded"]
        return self.counters["accepted"] - ended - self.dead - self.pending

    def percentiles_ms(self, series: str) -> dict[str, float | None]:
        """p50, p95 and p99 in ms of ``wait`` or ``run`` over the buckets at hand."""
        histogram = merge_histograms(
            bucket.wait if series == "wait" else bucket.run for bucket in self.buckets
        )
        return {
            name: percentile_ms(histogram, fraction)
            for name, fraction in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }

    def as_json(self) -> dict[str, Any]:
        """The snapshot as ``stats --json`` shows it."""
        return {
            "queue": {
                "name": self.queue_name,
                "paused": self.paused,
                "pausedBy": self.paused_by or None,
                "pausedWhy": self.paused_why or None,
                "pausedAt": None if self.paused_since_ms is None else iso_from_ms(self.paused_since_ms),
                "waiting": {priority.value: count for priority, count in self.waiting.items()},
                "delayed": self.delayed,
                "active": self.active,
                "completed": self.counters["completed"],
                "dead": self.dead,
                "oldestWaitingMs": self.oldest_waiting_ms,
                "dataLostAt": None if self.data_lost_ms is None else iso_from_ms(self.data_lost_ms),
            },
            "totals": dict(self.counters),
            "lastHour": {
                "waitMs": self.percentiles_ms("wait"),
                "runMs": self.percentiles_ms("run"),
                **{
                    name: sum(bucket.counts.get(name, 0) for bucket in self.buckets)
                    for name in ("accepted", "completed", "died", "retried", "crashed")
                },
            },
            "workers": [worker.as_json() for worker in self.workers],
            "at": iso_from_ms(self.now_ms),
        }
