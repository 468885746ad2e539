"""Workers and the places they hold, as the loop keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field

from previewops.fleetviews import SupervisedWorker
from previewops.supervisor.backend import Handle
from previewops.supervisor.hang import Watch
from previewops.supervisor.phases import Phase
from previewops.supervisor.recycling import Limits


@dataclass(slots=True, eq=False)
class Worker:
    """One worker process. Times are monotonic seconds; ``kill_at`` is when SIGKILL falls due."""

    handle: Handle
    number: int
    started: float
    limits: Limits
    phase: Phase = Phase.STARTING
    watch: Watch = field(default_factory=Watch)
    oldest_run_s: float = 0.0
    rss_bytes: int = 0
    jobs: int = 0
    kill_at: float | None = None
    killed_for: str | None = None
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
        return self.phase in (Phase.STARTING, Phase.RUNNING) and self.killed_for is None

    def supervised(self, quick_deaths: int) -> SupervisedWorker:
        """The worker as it is published."""
        return SupervisedWorker(
            self.worker_id,
            self.number,
            self.phase.value,
            self.handle.pid,
            quick_deaths,
            self.killed_for or self.reason,
        )


@dataclass(slots=True, eq=False)
class Place:
    """One of the workers that are wanted: who holds the place, or why nobody does.

    ``phase`` counts while ``worker`` is None; ``start_at`` (monotonic s) is when BACKOFF ends. ``last_id`` is
    the id of the last worker, by which a person names the place. ``quiet_until`` keeps a replacement that
    failed from being tried again at once.
    """

    number: int
    worker: Worker | None = None
    phase: Phase = Phase.BACKOFF
    start_at: float | None = None
    quick_deaths: int = 0
    last_id: str = ""
    reason: str = ""
    held: bool = False
    quiet_until: float = 0.0

    def supervised(self) -> SupervisedWorker:
        """The place as it is published."""
        if self.worker is not None:
            return self.worker.supervised(self.quick_deaths)
        return SupervisedWorker(
            self.last_id, self.number, self.phase.value, None, self.quick_deaths, self.reason
        )

    def empty(self, phase: Phase, reason: str, *, start_at: float | None = None) -> None:
        """Nobody holds the place from now on."""
        self.worker, self.phase, self.reason, self.start_at = None, phase, reason, start_at

    def reset(self, now: float) -> bool:
        """Forgets why nobody holds the place, so that a worker is started. Whether that changes anything."""
        self.held = False
        if self.worker is not None:
            return self.worker.phase is Phase.DRAINING
        self.quick_deaths = 0
        self.empty(Phase.BACKOFF, "reset", start_at=now)
        return True


@dataclass(slots=True, eq=False)
class Replacement:
    """A worker that gives way to a successor. The old one works on until the new one has reported."""

    place: Place
    old: Worker
    new: Worker
    rolling: bool
