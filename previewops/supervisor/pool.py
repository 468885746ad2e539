"""The workers of this host and the places they hold: how they are started, stopped and mourned."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from previewops.clock import Rng
from previewops.snapshot.fleet import SupervisedWorker
from previewops.supervisor.backend import WorkerBackend, WorkerHandle
from previewops.supervisor.environment import Launch
from previewops.supervisor.host import host_name
from previewops.supervisor.phases import Phase
from previewops.supervisor.recycle_policy import RecycleLimits
from previewops.supervisor.restart_policy import Fatal, WorkerExit, count_rapid_exits, decide_restart
from previewops.supervisor.slots import WorkerProcess, WorkerSlot

KILL_AFTER_S = 5.0
"""How long after its drain deadline a worker may take to end before it is killed."""
ABORT_GRACE_S = 2.0
"""Between the SIGABRT that has a hung worker write its stack to its log, and SIGKILL."""

LogAction: TypeAlias = Callable[[str], None]
"""Says one line to whoever watches the supervisor."""
SpawnTask: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Has something done beside the loop, which must not be held up. An error of it ends the supervisor."""


class WorkerPool:
    """The workers, and the places that are wanted. Times are monotonic seconds.

    ``oom_kills`` counts what the kernel of this host has killed for want of memory, None where it does not say.
    ``launch`` is what the next workers are started with. ``ended`` is called with each worker that has ended and
    its exit status; what becomes of its place is ``vacate``'s.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        backend: WorkerBackend,
        limits: RecycleLimits,
        log_action: LogAction,
        rng: Rng,
        spawn: SpawnTask,
        on_worker_exit: Callable[[WorkerProcess, int | None], None],
        oom_kills: Callable[[], int | None],
    ) -> None:
        self.launch = launch
        self.slots: dict[int, WorkerSlot] = {}
        self.workers: set[WorkerProcess] = set()
        self._backend = backend
        self._limits = limits
        self.log_action = log_action
        self._dice = rng
        self._spawn = spawn
        self._ended = on_worker_exit
        self._oom_kills = oom_kills

    @property
    def fatal(self) -> dict[int, str]:
        """The places that are FATAL, each with the reason."""
        return {number: place.reason for number, place in self.slots.items() if place.phase is Phase.FATAL}

    def supervised_workers(self) -> tuple[SupervisedWorker, ...]:
        """The places, and after them the workers that hold none, oldest first: as they are published."""
        holders = {place.worker for place in self.slots.values()}
        others = sorted((w for w in self.workers if w not in holders), key=lambda w: w.started)
        return (
            *(place.as_supervised_worker() for _, place in sorted(self.slots.items())),
            *(worker.as_supervised_worker(0) for worker in others),
        )

    def slot_of(self, worker: WorkerProcess) -> WorkerSlot | None:
        """The place that ``worker`` holds: none if it is about to take one over, or has been relieved."""
        place = self.slots.get(worker.number)
        return place if place is not None and place.worker is worker else None

    def due_times(self) -> list[float]:
        """When something has to be done here."""
        kills = [worker.kill_at for worker in self.workers if worker.kill_at is not None]
        return kills + [place.start_at for place in self.slots.values() if place.start_at is not None]

    async def run_due(self, now: float) -> None:
        """Kills whoever has not ended in time, and starts workers in places whose pause is over."""
        for worker in list(self.workers):
            if worker.kill_at is not None and worker.kill_at <= now:
                _kill(worker)
        for place in self.slots.values():
            if place.worker is None and place.start_at is not None and place.start_at <= now:
                await self._start_in(place, now)

    # ---------------------------------------------------------------- places

    def resize(self, count: int, now: float) -> list[WorkerSlot]:
        """Has ``count`` places: the lowest free numbers come, those in trouble and the newest go. Returns those."""
        while len(self.slots) < count:
            number = self._free_number()
            self.slots[number] = WorkerSlot(number, start_at=now)
        gone = []
        while len(self.slots) > count:
            number = max(self.slots, key=lambda n: (self.slots[n].worker is None, n))
            gone.append(self.slots.pop(number))
        for place in gone:
            if place.worker is not None:
                self.drain(place.worker, now, "no longer wanted")
        return gone

    def _free_number(self) -> int:
        return next(n for n in range(1, len(self.slots) + 2) if n not in self.slots)

    # ---------------------------------------------------------------- starting

    async def _start_in(self, place: WorkerSlot, now: float) -> None:
        place.start_at = None
        worker = await self.start(place.number, self.launch, now)
        if worker is None:
            self._judge_exit(place, WorkerExit(None, 0.0, reported=False, cause="it cannot be started"), now)
        else:
            place.worker, place.last_worker_id, place.reason = worker, worker.worker_id, ""

    async def start(self, number: int, launch: Launch, now: float) -> WorkerProcess | None:
        """A new worker for place ``number``, which it does not hold yet; None if it cannot be started."""
        worker_id = f"{host_name()}-{number}-{os.urandom(3).hex()}"
        try:
            handle = await self._backend.start(worker_id, number, launch.environ)
        except OSError as error:
            self.log_action(f"worker {number} cannot be started: {error}")
            return None
        return self._watch(handle, number, now)

    def adopt(self, handle: WorkerHandle, now: float) -> None:
        """Gives a place to a worker of an earlier supervisor."""
        number = self._free_number()
        worker = self._watch(handle, number, now)
        self.slots[number] = WorkerSlot(number, worker, last_worker_id=worker.worker_id)
        self.log_action(f"worker {number}: {handle.worker_id} goes on under this supervisor")

    def _watch(self, handle: WorkerHandle, number: int, now: float) -> WorkerProcess:
        worker = WorkerProcess(
            handle, number, now, self._limits.jittered(self._dice), oom_kills=self._oom_kills()
        )
        self.workers.add(worker)
        self._spawn(self._await_exit(worker))
        return worker

    async def _await_exit(self, worker: WorkerProcess) -> None:
        self._ended(worker, await worker.handle.wait())

    # ---------------------------------------------------------------- stopping

    def drain(self, worker: WorkerProcess, now: float, reason: str) -> None:
        """Asks a worker to end its jobs and stop; it is killed when it does not in time."""
        if worker.phase is Phase.DRAINING or worker.kill_reason is not None:
            return
        worker.phase, worker.reason = Phase.DRAINING, reason
        worker.kill_at = now + self.launch.settings.drain_timeout_s + KILL_AFTER_S
        worker.handle.signal(signal.SIGTERM)

    def drain_all(self, now: float, reason: str) -> None:
        """Asks all to, and starts no more."""
        for place in self.slots.values():
            place.start_at = None
        for worker in self.workers:
            self.drain(worker, now, reason)

    def force_drain(self) -> None:
        """Has those that drain give their jobs back at once."""
        for worker in self.workers:
            worker.handle.signal(signal.SIGTERM)

    def kill_all(self) -> None:
        """Kills all, at once."""
        for worker in list(self.workers):
            worker.handle.signal(signal.SIGKILL)

    def abort(self, worker: WorkerProcess, now: float, why: str) -> None:
        """Has a hung worker write its stack to its log, then kills it."""
        self.log_action(
            f"worker {worker.number} ({worker.worker_id}) is killed: {why}; {self.log_hint(worker)}"
        )
        worker.kill_reason = why
        worker.kill_at = now + ABORT_GRACE_S
        worker.handle.signal(signal.SIGABRT)

    # ---------------------------------------------------------------- exits

    def remove_exited(self, worker: WorkerProcess, status: int | None, now: float) -> WorkerExit:
        """Takes an ended worker off the list, and says how it ended."""
        self.workers.discard(worker)
        self._backend.forget(worker.handle)
        cause = None if worker.kill_reason is None else f"killed: {worker.kill_reason}"
        kills = self._oom_kills()
        starved = kills is not None and worker.oom_kills is not None and kills > worker.oom_kills
        for other in self.workers:
            other.oom_kills = kills  # this one was not theirs
        return WorkerExit(status, now - worker.started, worker.heartbeats.reported, cause, starved)

    def on_exit(self, worker: WorkerProcess, worker_exit: WorkerExit, now: float, *, stopping: bool) -> None:
        """Decides what becomes of the place that an ended worker has held, if it has."""
        place = self.slot_of(worker)
        if place is None:
            return
        if stopping or worker.phase is Phase.DRAINING:
            place.mark_empty(Phase.EXITED, worker.reason)
            if not stopping and not place.keep_empty:
                place.mark_empty(Phase.BACKOFF, worker.reason, start_at=now)
            return
        self._judge_exit(place, worker_exit, now)

    def _judge_exit(self, place: WorkerSlot, ended: WorkerExit, now: float) -> None:
        place.rapid_exits = count_rapid_exits(ended, place.rapid_exits)
        decision = decide_restart(ended, place.rapid_exits, self._dice)
        if isinstance(decision, Fatal):
            place.mark_empty(Phase.FATAL, decision.reason)
            self.log_action(
                f"worker {place.number} stays down: {decision.reason}; "
                f"see {self._backend.log_location(place.number, place.last_worker_id)}"
            )
            return
        place.mark_empty(Phase.BACKOFF, ended.describe(), start_at=now + decision.delay_s)
        self.log_action(
            f"worker {place.number} died ({ended.describe()}); its jobs are given back, "
            f"it starts again in {decision.delay_s:.1f} s"
        )

    def log_hint(self, worker: WorkerProcess) -> str:
        """Where to look for what a worker has said."""
        return f"see {self._backend.log_location(worker.number, worker.worker_id)}"


def _kill(worker: WorkerProcess) -> None:
    worker.kill_at = None
    worker.kill_reason = worker.kill_reason or "it did not drain in time"
    worker.handle.signal(signal.SIGKILL)
