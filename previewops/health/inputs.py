"""What a queue is judged by, and from which figures on it is unwell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from previewops.snapshot.fleet import SupervisorStatus

SILENT_HEARTBEATS = 3
"""A worker that has missed this many heartbeats counts as silent."""

RECENT_WINDOW_S = 300
"""The time over which failures are counted."""

MIN_JOBS_FOR_RATE = 5
"""Of fewer jobs that ended the share of failures is not judged."""

STUCK_AFTER_MS = 30_000
"""A run that is past its deadline by more than this was not killed as it should have been."""


class Confinement(StrEnum):
    """What the kernel has to deny render processes at least, beside the resource limits that are always there."""

    FULL = "full"  # files by Landlock, calls by seccomp
    SECCOMP = "seccomp"
    LIMITS = "limits"  # nothing

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of what is demanded, as workers tell of them."""
        return {"full": ("Landlock", "seccomp"), "seccomp": ("seccomp",)}.get(self.value, ())


FATAL_PHASE = "fatal"
"""The phase of a worker that its supervisor has given up."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which figure on a check warns, and from which it is critical.

    Times in ms; shares in 0..1. ``depth`` is a share of PREVIEW_QUEUE_MAX; fewer than ``workers`` that are heard of
    are bad; ``stuck`` counts jobs; ``skew`` is how far a host's clock may be off the one of Redis. ``growth`` counts
    dead letters that were added within ``RECENT_S``. Free disk space is bad from the share on downwards, and critical
    below ``disk_critical_bytes`` in any case.
    """

    workers_warning: int = 1
    workers_critical: int = 1
    depth_warning: float = 0.8
    depth_critical: float = 1.0
    dead_warning: int = 1
    dead_critical: int = 100
    oldest_warning_ms: int = 60_000
    oldest_critical_ms: int = 300_000
    failure_warning: float = 0.05
    failure_critical: float = 0.25
    growth_warning: int = 10
    growth_critical: int = 100
    latency_warning_ms: float = 50.0
    latency_critical_ms: float = 500.0
    disk_warning: float = 0.10
    disk_critical: float = 0.03
    disk_critical_bytes: int = 200_000_000
    stuck_warning: int = 1
    stuck_critical: int = 10
    skew_warning_ms: float = 5_000.0
    skew_critical_ms: float = 60_000.0
    confinement: Confinement = Confinement.FULL


@dataclass(frozen=True, slots=True)
class RecentOutcomes:
    """What happened in the last ``RECENT_S``: jobs completed and died, dead letters requeued and discarded."""

    completed: int
    died: int
    removed: int


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """What is known of a queue. None: it could not be learnt, and is not judged.

    ``worker_ages_ms`` is how long ago each worker was last heard of; ``persistent`` whether Redis writes its
    data to a disk; ``unaccounted`` how many accepted jobs are in no state (below 0 they are not all taken in);
    ``lost_at`` when workers noticed that Redis had lost the queue's data (RFC 3339), until it is acknowledged;
    ``run_ages_ms`` how long each running job (by id) has run, and ``deadline_ms`` how long one may;
    ``versions`` those of the workers; ``disk_free_bytes`` and ``disk_bytes`` of the file system of DATA_DIR;
    ``redis_ms`` how long Redis took to answer; ``queue_max`` is PREVIEW_QUEUE_MAX; ``confined_by`` has by each worker
    that tells what its render processes are denied; ``clocks_ahead_ms`` has by each worker, and by "this host", how
    far its clock is ahead of the one of Redis.
    """

    waiting: int
    delayed: int
    active: int
    dead: int
    oldest_waiting_ms: int
    paused: bool
    paused_by: str
    unaccounted: int
    worker_ages_ms: tuple[int, ...]
    heartbeat_ms: int
    eviction_policy: str | None
    persistent: bool | None
    lost_at: str | None = None
    paused_why: str = ""
    recent: RecentOutcomes | None = None
    supervisors: tuple[SupervisorStatus, ...] = ()
    run_ages_ms: Mapping[str, int] | None = None
    deadline_ms: int = 0
    versions: frozenset[str] = frozenset()
    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    redis_ms: float | None = None
    queue_max: int | None = None
    confined_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clocks_ahead_ms: Mapping[str, int] = field(default_factory=dict)
