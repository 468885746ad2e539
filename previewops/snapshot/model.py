"""Snapshot data model: one consistent reading of a queue, for screens, health and metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from previewops.clock import iso_from_ms, optional_iso
from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS, UnreadableKeys
from previewops.snapshot.fleet import SupervisorStatus
from previewops.snapshot.histogram import merge_histograms, percentile_ms
from previewops.snapshot.silences import Silence
from previewops.states import Priority

TEN_SECONDS_MS = 10_000
"""Width of the fine history buckets."""

MINUTE_MS = 60_000
"""Width of the coarse history buckets."""

SHORT_ID_CHARS = 6
"""Characters of a store's id that are shown."""

_HOURLY_COUNTS = ("accepted", "completed", "died", "retried", "crashed")


@dataclass(frozen=True, slots=True)
class CounterBucket:
    """Counts by name and histograms of wait and run time, for ``width_ms`` from ``start_ms`` (server).

    ``start_ms`` is a multiple of ``width_ms``.
    """

    start_ms: int
    counts: Mapping[str, int]
    wait: Mapping[int, int]
    run: Mapping[int, int]
    width_ms: int = TEN_SECONDS_MS

    @property
    def number(self) -> int:
        """Index of the bucket since the epoch, in units of its width."""
        return self.start_ms // self.width_ms


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """One entry of the queue's event stream: an operator's command or a notable change.

    ``event_id`` is the stream id and increases; ``at_ms`` is server time. The values of ``fields`` are
    untrusted: views sanitize them.
    """

    event_id: str
    at_ms: int
    kind: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first. ``next_id`` continues the page; None at the beginning of the stream."""

    events: tuple[QueueEvent, ...]
    next_id: str | None


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A running job: claim time (server ms), progress (0..1), and earlier failures."""

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
class StoreReport:
    """Where a worker publishes bundles, and whether it can.

    ``store_id`` is the same for all who use one store, "" if unknown; ``location`` is the path or address that the
    worker uses. ``problem`` is why its last publication or check failed, "" if it succeeded; ``since_ms`` is when
    such results began, ``checked_ms`` the time of the last one (server).
    """

    store_id: str
    location: str
    problem: str
    since_ms: int
    checked_ms: int

    def as_json(self) -> dict[str, Any]:
        """The report as ``workers --json`` prints it."""
        return {
            "id": self.store_id or None,
            "location": self.location,
            "problem": self.problem or None,
            "since": iso_from_ms(self.since_ms),
            "checkedAt": iso_from_ms(self.checked_ms),
        }


@dataclass(frozen=True, slots=True)
class ThemesReport:
    """The themes of PREVIEW_THEMES on a worker's host. Equal ``digest``: the same themes; "" without any.

    ``invalid`` counts the problems, ``problems`` has the first ones as sentences.
    """

    count: int
    digest: str
    invalid: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker at its last heartbeat (server ms). ``jobs`` are the ids it is running.

    ``rss_bytes`` is the total resident memory of the worker, its fork server and its render processes; shared
    pages count in each. ``own_rss_bytes`` is the worker process alone. ``cpu`` is the CPU use of all of them
    since the previous heartbeat, in percent of one core. ``confined_by`` lists the sandbox layers ("Landlock
    6", "seccomp", "resource limits"), empty if not reported; ``confinement_missing`` the others, each with
    its reason. ``clock_ahead_ms`` is how far its clock is ahead of Redis, minus the heartbeat's latency.
    ``build`` is "", and ``store`` and ``themes`` None, for a worker that does not report it.
    ``completed_recently`` are the jobs completed in each closed step of ``RECENT_STEP_MS``, oldest first.
    """

    worker_id: str
    host: str
    pid: int
    state: str
    job_slots: int
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
    confinement_missing: tuple[str, ...] = ()
    clock_ahead_ms: int | None = None
    build: str = ""
    store: StoreReport | None = None
    themes: ThemesReport | None = None
    completed_recently: tuple[int, ...] = ()

    @property
    def full_version(self) -> str:
        """Version and build, "0.1.0+3fa85f6457"; the version alone if it reports no build."""
        return f"{self.version}+{self.build}" if self.build else self.version

    @property
    def host_label(self) -> str:
        """Name of its host; its id if it reports no host."""
        return self.host or self.worker_id

    def as_json(self) -> dict[str, Any]:
        """The worker as ``workers --json`` and ``stats --json`` print it."""
        return {
            "id": self.worker_id,
            "host": self.host,
            "pid": self.pid,
            "state": self.state,
            "slots": self.job_slots,
            "busy": self.busy,
            "rssBytes": self.rss_bytes,
            "ownRssBytes": self.own_rss_bytes,
            "cpu": self.cpu,
            "confinedBy": list(self.confined_by),
            "confinementMissing": list(self.confinement_missing),
            "clockAheadMs": self.clock_ahead_ms,
            "store": None if self.store is None else self.store.as_json(),
            "heartbeatAt": iso_from_ms(self.heartbeat_ms),
            "startedAt": iso_from_ms(self.started_ms),
            "completed": self.completed,
            "completedRecently": list(self.completed_recently),
            "failed": self.failed,
            "version": self.version,
            "build": self.build,
            "jobs": list(self.jobs),
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A queue at one moment of the Redis server's clock.

    ``buckets`` (10 s) and ``minutes`` (1 min) are oldest first, without empty ones, and cover ``history_s``
    and ``history_min``. ``minutes`` excludes the current minute, which only 10 s buckets cover. ``events``
    are oldest first; ``events_total`` counts all events ever. ``oldest_wait_ms`` is the age of the oldest
    waiting job by priority, 0 if there is none. ``completed_kept`` counts stored completed jobs.
    """

    queue_name: str
    now_ms: int
    paused: bool
    paused_since_ms: int | None
    paused_by: str
    pause_reason: str
    waiting: Mapping[Priority, int]
    delayed: int
    active: int
    dead: int
    oldest_waiting_ms: int
    counters: Mapping[str, int]
    workers: tuple[WorkerState, ...]
    buckets: tuple[CounterBucket, ...]
    data_lost_ms: int | None = None
    """When workers detected that Redis had lost the queue's data; None once an operator acknowledged it."""
    stock_worker_ms: int | None = None
    """When maintenance last found the mark of another arq worker on this queue."""
    minutes: tuple[CounterBucket, ...] = ()
    events: tuple[QueueEvent, ...] = ()
    events_total: int = 0
    supervisors: tuple[SupervisorStatus, ...] = ()
    running_jobs: tuple[RunningJob, ...] = ()
    oldest_wait_ms: Mapping[Priority, int] = field(default_factory=dict)
    completed_kept: int = 0
    history_s: int = 0
    history_min: int = 0
    quarantined: int = 0
    """Keys that scripts moved aside because another program had replaced them."""
    unreadable: UnreadableKeys = NO_UNREADABLE_KEYS
    """Stored keys that could not be read, in part or at all."""
    silences: tuple[Silence, ...] = ()
    """Health checks that operators have silenced."""
    blocked_by: tuple[str, ...] = ()
    """Keys of a wrong type without which no job can be claimed or submitted."""

    @property
    def backlog(self) -> int:
        """Waiting and delayed jobs, which PREVIEW_QUEUE_MAX limits."""
        return sum(self.waiting.values()) + self.delayed

    @property
    def pending(self) -> int:
        """Jobs that have not ended."""
        return self.backlog + self.active

    @property
    def unaccounted(self) -> int:
        """Accepted jobs that are in no state: always 0.

        Negative while jobs of stock arq clients are in the schedule and not admitted: they count as delayed
        at once, and as accepted on admission.
        """
        ended = self.counters["completed"] + self.counters["cancelled"] + self.counters["discarded"]
        return self.counters["accepted"] - ended - self.dead - self.pending

    def percentiles_ms(self, series: str) -> dict[str, float | None]:
        """Returns p50, p95 and p99 in ms of ``wait`` or ``run`` over ``buckets``."""
        histogram = merge_histograms(getattr(bucket, series) for bucket in self.buckets)
        return {f"p{percent}": percentile_ms(histogram, percent / 100) for percent in (50, 95, 99)}

    def as_json(self) -> dict[str, Any]:
        """The snapshot as ``stats --json`` prints it."""
        return {
            "queue": {
                "name": self.queue_name,
                "paused": self.paused,
                "pausedBy": self.paused_by or None,
                "pausedWhy": self.pause_reason or None,
                "pausedAt": optional_iso(self.paused_since_ms),
                "waiting": {priority.value: count for priority, count in self.waiting.items()},
                "delayed": self.delayed,
                "active": self.active,
                "completed": self.counters["completed"],
                "dead": self.dead,
                "oldestWaitingMs": self.oldest_waiting_ms,
                "dataLostAt": optional_iso(self.data_lost_ms),
            },
            "totals": dict(self.counters),
            "lastHour": {
                "waitMs": self.percentiles_ms("wait"),
                "runMs": self.percentiles_ms("run"),
                **{
                    name: sum(bucket.counts.get(name, 0) for bucket in self.buckets)
                    for name in _HOURLY_COUNTS
                },
            },
            "workers": [worker.as_json() for worker in self.workers],
            "unreadable": self.unreadable.as_json(),
            "at": iso_from_ms(self.now_ms),
        }
