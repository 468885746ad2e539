"""Worker processes and the worker slots that they occupy."""

from __future__ import annotations

from dataclasses import dataclass, field

from previewops.snapshot.fleet import SupervisedWorker
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.hang_policy import HeartbeatTracker
from previewops.supervisor.phases import Phase
from previewops.supervisor.recycle_policy import RecycleLimits


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """One worker process. Times are monotonic seconds; ``kill_at`` is the time of its SIGKILL."""

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
    """The kernel's count of processes killed for memory when this one was last known to run."""

    @property
    def worker_id(self) -> str:
        """Id in its heartbeats."""
        return self.handle.worker_id

    @property
    def serving(self) -> bool:
        """Whether it claims jobs, now or soon."""
        return self.phase in (Phase.STARTING, Phase.RUNNING) and self.kill_reason is None

    def as_supervised_worker(self, rapid_exits: int) -> SupervisedWorker:
        """Returns the worker as the supervisor publishes it."""
        phase, pid, reason = self.phase.value, self.handle.pid, self.kill_reason or self.reason
        return SupervisedWorker(self.worker_id, self.number, phase, pid, rapid_exits, reason)


@dataclass(slots=True, eq=False)
class WorkerSlot:
    """Slot for one desired worker: the worker in it, or why it is empty.

    ``phase`` is valid while ``worker`` is None; ``start_at`` (monotonic s) is the end of BACKOFF. ``last_worker_id``
    names the slot for operators. ``replace_not_before`` delays the next try after a failed replacement.
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
        """Returns the slot as the supervisor publishes it."""
        if self.worker is not None:
            return self.worker.as_supervised_worker(self.rapid_exits)
        phase, rapid_exits = self.phase.value, self.rapid_exits
        return SupervisedWorker(self.last_worker_id, self.number, phase, None, rapid_exits, self.reason)

    def mark_empty(self, phase: Phase, reason: str, *, start_at: float | None = None) -> None:
        """Removes the worker from the slot."""
        self.worker, self.phase, self.reason, self.start_at = None, phase, reason, start_at

    def keep_drained(self, worker_id: str, reason: str) -> None:
        """Keeps the slot empty, as an operator wanted it under an earlier supervisor."""
        self.keep_empty, self.last_worker_id = True, worker_id
        self.mark_empty(Phase.EXITED, reason)

    def reset(self, now: float) -> bool:
        """Makes an empty slot start a worker at once. Returns whether that changes anything."""
        self.keep_empty = False
        if self.worker is not None:
            return self.worker.phase is Phase.DRAINING
        self.rapid_exits = 0
        self.mark_empty(Phase.BACKOFF, "reset", start_at=now)
        return True


@dataclass(slots=True, eq=False)
class PendingReplacement:
    """A worker and its successor. The old one runs until the new one has sent a heartbeat."""

    slot: WorkerSlot
    old: WorkerProcess
    new: WorkerProcess
    rolling: bool
