"""Inputs of the health checks, and their thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS, UnreadableKeys
from previewops.queue.webhook_messages import WebhookBacklog
from previewops.server_versions import ServerVersion
from previewops.snapshot.fleet import SupervisorStatus
from previewops.snapshot.hosts import group_by_host
from previewops.snapshot.model import WorkerState
from previewops.snapshot.silences import Silence
from previewops.stores.port import StoreVerdict

SILENT_HEARTBEATS = 3
"""A worker that has missed this many heartbeats counts as silent."""

RECENT_WINDOW_S = 300
"""Time window over which failures are counted."""

MIN_JOBS_FOR_RATE = 5
"""Minimum number of finished jobs for a failure rate."""

STOCK_WORKER_WINDOW_MS = 2 * 3_600_000
"""Time after which another arq worker counts as gone. It leaves its mark once an hour."""

ROLLOUT_MS = 30 * 60_000
"""Time that a roll-out of a version may take. Until then, different versions are expected."""

STUCK_AFTER_MS = 30_000
"""A run this far past its deadline should have been killed."""


class Confinement(StrEnum):
    """Kernel confinement that render processes need at least, in addition to resource limits."""

    FULL = "full"  # files by Landlock, system calls by seccomp
    SECCOMP = "seccomp"
    LIMITS = "limits"  # nothing

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the required layers, as workers report them."""
        return {"full": ("Landlock", "seccomp"), "seccomp": ("seccomp",)}.get(self.value, ())


FATAL_PHASE = "fatal"
"""Phase of a worker that its supervisor no longer restarts."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Values at which a check becomes a warning or critical.

    Times in ms; shares in 0..1. ``depth`` is a share of PREVIEW_QUEUE_MAX; ``workers`` is the minimum of live
    workers; ``stuck`` counts jobs; ``skew`` is the allowed difference between a host's clock and the one of Redis.
    ``webhooks`` counts messages that failed for good, and ``delivery`` is the age of the oldest unsent one.
    ``growth`` counts dead letters added within ``RECENT_WINDOW_S``. Free disk space is compared as a minimum share,
    and is always critical below ``disk_critical_bytes``.
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
    webhooks_warning: int = 1
    webhooks_critical: int = 10_000
    delivery_warning_ms: int = 900_000
    delivery_critical_ms: int = 86_400_000
    confinement: Confinement = Confinement.FULL


@dataclass(frozen=True, slots=True)
class RecentOutcomes:
    """Counts of the last ``RECENT_WINDOW_S``: jobs completed and died, dead letters requeued or discarded."""

    completed: int
    died: int
    removed: int


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """State of a queue, as input of the checks. None means unknown: the check is skipped.

    ``worker_ages_ms`` is the time since each worker's last heartbeat; ``persistent`` whether Redis writes its data to
    disk; ``unaccounted`` how many accepted jobs are in no state (below 0: jobs not yet counted as accepted);
    ``lost_at`` when workers detected that Redis had lost the queue's data (RFC 3339), until it is acknowledged;
    ``run_ages_ms`` the time each running job (by id) has run, ``deadline_ms`` the allowed time; ``workers`` those
    that are not silent, at ``now_ms`` (server); ``disk_free_bytes`` and ``disk_bytes`` of DATA_DIR's file system;
    ``redis_ms`` the latency of Redis; ``queue_max`` is PREVIEW_QUEUE_MAX; ``clock_ahead_ms`` how far the clock of
    this host is ahead of the one of Redis; ``redis_is_private`` whether only a unix socket leads to it;
    ``unreadable`` the damaged keys, ``blocked_by`` those of a wrong type without which no job can be claimed,
    ``quarantined`` how many keys scripts moved aside; ``stock_worker_at`` when another arq worker was last found on
    the queue, within ``STOCK_WORKER_WINDOW_MS``; ``rejected_commands`` the command that Redis rejects, by the check
    that needs it; ``store`` the object store of bundles; ``store_id`` the id of the store that this process reads;
    ``silences`` the checks that operators have silenced.
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
    stock_worker_at: str | None = None
    bullmq_key: str | None = None
    """A key of a BullMQ queue of this name on the same server; None if there is none."""
    webhooks: WebhookBacklog | None = None
    pause_reason: str = ""
    recent: RecentOutcomes | None = None
    supervisors: tuple[SupervisorStatus, ...] = ()
    run_ages_ms: Mapping[str, int] | None = None
    silences: tuple[Silence, ...] = ()
    deadline_ms: int = 0
    workers: tuple[WorkerState, ...] = ()
    now_ms: int = 0
    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    redis_ms: float | None = None
    queue_max: int | None = None
    clock_ahead_ms: int | None = None
    redis_version: ServerVersion | None = None
    redis_is_private: bool = False
    unreadable: UnreadableKeys = NO_UNREADABLE_KEYS
    blocked_by: tuple[str, ...] = ()
    quarantined: int = 0
    store: StoreVerdict | None = None
    store_id: str | None = None
    rejected_commands: Mapping[str, str] = field(default_factory=dict)

    def clocks_ahead_ms(self) -> dict[str, int]:
        """Returns how far the clock of each host, and of "this host", is ahead of the one of Redis, if known."""
        hosts = group_by_host(self.workers)
        clocks = {host.host: host.clock_ahead_ms for host in hosts if host.clock_ahead_ms is not None}
        if self.clock_ahead_ms is not None:
            clocks["this host"] = self.clock_ahead_ms
        return clocks
