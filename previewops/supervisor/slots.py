"""Workers and the places they hold, as the loop keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field

from previewops.snapshot.fleet import SupervisedWorker
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.hang_policy import HeartbeatTracker
from previewops.supervisor.phases import Phase
from previewops.supervisor.recycle_policy import RecycleLimits


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """One worker process. Times are monotonic seconds; ``kill_at`` is when SIGKILL falls due."""

    handle: WorkerHandle
    number: int
    started: float
    recycle_limits: RecycleLimits
    phase: Phase = Phase.STARTING
    heartbeats: HeartbeatTracker = field(default_factory=HeartbeatTracker)
    oldest_run_s: float = 0.0
    rss_bytes: int = 0
    jobs: int = 0
    kill_at: float | None = None
    kill_reason: str | None = None
    reason: str = ""
    oom_kills: int | None = None
    """How many processes the kernel had killed for want of memory when this one was last known to live."""

    @property
    def worker_id(self) -> str:
        """The id that it reports under."""
        return self.handle.worker_id

    @property
    def serving(self) -> bool:
        """Whether it is meant to take jobs, now or soon."""
        return self.phase in (Phase.STARTING, Phase.RUNNING) and self.kill_reason is None

    def as_supervised_worker(self, rapid_exits: int) -> SupervisedWorker:
        """The worker as it is published."""
        return SupervisedWorker(
            self.worker_id,
            self.number,
            self.phase.value,
            self.handle.pid,
            rapid_exits,
            self.kill_reason or self.reason,
        )


@dataclass(slots=True, eq=False)
class WorkerSlot:
    """One of the workers that are wanted: who holds the place, or why nobody does.

    ``phase`` counts while ``worker`` is None; ``start_at`` (monotonic s) is when BACKOFF ends. ``last_id`` is
    the id of the last worker, by which a person names the place. ``quiet_until`` keeps a replacement that
    failed from being tried again at once.
    """

    number: int
    worker: WorkerProcess | None = None
    phase: Phase = Phase.BACKOFF
    start_at: float | None = None
    rapid_exits: int = 0
    last_worker_id: str = ""
    reason: str = ""
    keep_empty: bool = False
    replace_not_before: float = 0.0

    def as_supervised_worker(self) -> SupervisedWorker:
        """The place as it is published."""
        if self.worker is not None:
            return self.worker.as_supervised_worker(self.rapid_exits)
        return SupervisedWorker(
            self.last_worker_id, self.number, self.phase.value, None, self.rapid_exits, self.reason
        )

    def mark_empty(self, phase: Phase, reason: str, *, start_at: float | None = None) -> None:
        """Nobody holds the place from now on."""
        self.worker, self.phase, self.reason, self.start_at = None, phase, reason, start_at

    def reset(self, now: float) -> bool:
        """Forgets why nobody holds the place, so that a worker is started. Whether that changes anything."""
        self.keep_empty = False
        if self.worker is not None:
            return self.worker.phase is Phase.DRAINING
        self.rapid_exits = 0
        self.mark_empty(Phase.BACKOFF, "reset", start_at=now)
        return True


@dataclass(slots=True, eq=False)
class PendingReplacement:
    """A worker that gives way to a successor. The old one works on until the new one has reported."""

    slot: WorkerSlot
    old: WorkerProcess
    new: WorkerProcess
    rolling: bool
