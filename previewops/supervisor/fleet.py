"""The workers of this host and the places they hold: how they are started, stopped and mourned."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from previewops.clock import Random
from previewops.fleetviews import SupervisedWorker
from previewops.supervisor.backend import Backend, Handle
from previewops.supervisor.environment import Launch
from previewops.supervisor.host import host_name
from previewops.supervisor.members import Place, Worker
from previewops.supervisor.phases import Phase
from previewops.supervisor.recycling import Limits
from previewops.supervisor.restarts import Exit, GiveUp, after_exit, quick_deaths_after

KILL_AFTER_S = 5.0
"""How long after its drain deadline a worker may take to end before it is killed."""
ABORT_GRACE_S = 2.0
"""Between the SIGABRT that has a hung worker write its stack to its log, and SIGKILL."""

Tell: TypeAlias = Callable[[str], None]
"""Says one line to whoever watches the supervisor."""
Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Has something done beside the loop, which must not be held up. An error of it ends the supervisor."""


class Fleet:
    """The workers, and the places that are wanted. Times are monotonic seconds.

    ``oom_kills`` counts what the kernel of this host has killed for want of memory, None where it does not say.
    ``launch`` is what the next workers are started with. ``ended`` is called with each worker that has ended and
    its exit status; what becomes of its place is ``vacate``'s.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        backend: Backend,
        limits: Limits,
        tell: Tell,
        dice: Random,
        spawn: Spawn,
        ended: Callable[[Worker, int | None], None],
        oom_kills: Callable[[], int | None],
    ) -> None:
        self.launch = launch
        self.places: dict[int, Place] = {}
        self.workers: set[Worker] = set()
        self._backend = backend
        self._limits = limits
        self.tell = tell
        self._dice = dice
        self._spawn = spawn
        self._ended = ended
        self._oom_kills = oom_kills

    @property
    def fatal(self) -> dict[int, str]:
        """The places that are FATAL, each with the reason."""
        return {number: place.reason for number, place in self.places.items() if place.phase is Phase.FATAL}

    def supervised(self) -> tuple[SupervisedWorker, ...]:
        """The places, and after them the workers that hold none, oldest first: as they are published."""
        holders = {place.worker for place in self.places.values()}
        others = sorted((w for w in self.workers if w not in holders), key=lambda w: w.started)
        return (
            *(place.supervised() for _, place in sorted(self.places.items())),
            *(worker.supervised(0) for worker in others),
        )

    def holds_place(self, worker: Worker) -> Place | None:
        """The place that ``worker`` holds: none if it is about to take one over, or has been relieved."""
        place = self.places.get(worker.number)
        return place if place is not None and place.worker is worker else None

    def due_times(self) -> list[float]:
        """When something has to be done here."""
        kills = [worker.kill_at for worker in self.workers if worker.kill_at is not None]
        return kills + [place.start_at for place in self.places.values() if place.start_at is not None]

    async def due(self, now: float) -> None:
        """Kills whoever has not ended in time, and starts workers in places whose pause is over."""
        for worker in list(self.workers):
            if worker.kill_at is not None and worker.kill_at <= now:
                _kill(worker)
        for place in self.places.values():
            if place.worker is None and place.start_at is not None and place.start_at <= now:
                await self._start_in(place, now)

    # ---------------------------------------------------------------- places

    def fit(self, count: int, now: float) -> list[Place]:
        """Has ``count`` places: the lowest free numbers come, those in trouble and the newest go. Returns those."""
        while len(self.places) < count:
            number = self._free_number()
            self.places[number] = Place(number, start_at=now)
        gone = []
        while len(self.places) > count:
            number = max(self.places, key=lambda n: (self.places[n].worker is None, n))
            gone.append(self.places.pop(number))
        for place in gone:
            if place.worker is not None:
                self.drain(place.worker, now, "no longer wanted")
        return gone

    def _free_number(self) -> int:
        return next(n for n in range(1, len(self.places) + 2) if n not in self.places)

    # ---------------------------------------------------------------- starting

    async def _start_in(self, place: Place, now: float) -> None:
        place.start_at = None
        worker = await self.start(place.number, self.launch, now)
        if worker is None:
            self._judge_exit(place, Exit(None, 0.0, worked=False, cause="it cannot be started"), now)
        else:
            place.worker, place.last_id, place.reason = worker, worker.worker_id, ""

    async def start(self, number: int, launch: Launch, now: float) -> Worker | None:
        """A new worker for place ``number``, which it does not hold yet; None if it cannot be started."""
        worker_id = f"{host_name()}-{number}-{os.urandom(3).hex()}"
        try:
            handle = await self._backend.start(worker_id, number, launch.environ)
        except OSError as error:
            self.tell(f"worker {number} cannot be started: {error}")
            return None
        return self._watch(handle, number, now)

    def take_over(self, handle: Handle, now: float) -> None:
        """Gives a place to a worker of an earlier supervisor."""
        number = self._free_number()
        worker = self._watch(handle, number, now)
        self.places[number] = Place(number, worker, last_id=worker.worker_id)
        self.tell(f"worker {number}: {handle.worker_id} goes on under this supervisor")

    def _watch(self, handle: Handle, number: int, now: float) -> Worker:
        worker = Worker(handle, number, now, self._limits.drawn(self._dice), oom_kills=self._oom_kills())
        self.workers.add(worker)
        self._spawn(self._await_exit(worker))
        return worker

    async def _await_exit(self, worker: Worker) -> None:
        self._ended(worker, await worker.handle.wait())

    # ---------------------------------------------------------------- stopping

    def drain(self, worker: Worker, now: float, reason: str) -> None:
        """Asks a worker to end its jobs and stop; it is killed when it does not in time."""
        if worker.phase is Phase.DRAINING or worker.killed_for is not None:
            return
        worker.phase, worker.reason = Phase.DRAINING, reason
        worker.kill_at = now + self.launch.settings.drain_timeout_s + KILL_AFTER_S
        worker.handle.signal(signal.SIGTERM)

    def drain_all(self, now: float, reason: str) -> None:
        """Asks all to, and starts no more."""
        for place in self.places.values():
            place.start_at = None
        for worker in self.workers:
            self.drain(worker, now, reason)

    def hurry(self) -> None:
        """Has those that drain give their jobs back at once."""
        for worker in self.workers:
            worker.handle.signal(signal.SIGTERM)

    def kill_all(self) -> None:
        """Kills all, at once."""
        for worker in list(self.workers):
            worker.handle.signal(signal.SIGKILL)

    def abort(self, worker: Worker, now: float, why: str) -> None:
        """Has a hung worker write its stack to its log, then kills it."""
        self.tell(f"worker {worker.number} ({worker.worker_id}) is killed: {why}; {self.see_log(worker)}")
        worker.killed_for = why
        worker.kill_at = now + ABORT_GRACE_S
        worker.handle.signal(signal.SIGABRT)

    # ---------------------------------------------------------------- exits

    def bury(self, worker: Worker, status: int | None, now: float) -> Exit:
        """Takes an ended worker off the list, and says how it ended."""
        self.workers.discard(worker)
        self._backend.forget(worker.handle)
        cause = None if worker.killed_for is None else f"killed: {worker.killed_for}"
        kills = self._oom_kills()
        starved = kills is not None and worker.oom_kills is not None and kills > worker.oom_kills
        for other in self.workers:
            other.oom_kills = kills  # this one was not theirs
        return Exit(status, now - worker.started, worker.watch.reported, cause, starved)

    def vacate(self, worker: Worker, ended: Exit, now: float, *, stopping: bool) -> None:
        """Decides what becomes of the place that an ended worker has held, if it has."""
        place = self.holds_place(worker)
        if place is None:
            return
        if stopping or worker.phase is Phase.DRAINING:
            place.empty(Phase.EXITED, worker.reason)
            if not stopping and not place.held:
                place.empty(Phase.BACKOFF, worker.reason, start_at=now)
            return
        self._judge_exit(place, ended, now)

    def _judge_exit(self, place: Place, ended: Exit, now: float) -> None:
        place.quick_deaths = quick_deaths_after(ended, place.quick_deaths)
        decision = after_exit(ended, place.quick_deaths, self._dice)
        if isinstance(decision, GiveUp):
            place.empty(Phase.FATAL, decision.reason)
            self.tell(
                f"worker {place.number} stays down: {decision.reason}; "
                f"see {self._backend.log_of(place.number, place.last_id)}"
            )
            return
        place.empty(Phase.BACKOFF, ended.describe(), start_at=now + decision.pause_s)
        self.tell(
            f"worker {place.number} died ({ended.describe()}); its jobs are given back, "
            f"it starts again in {decision.pause_s:.1f} s"
        )

    def see_log(self, worker: Worker) -> str:
        """Where to look for what a worker has said."""
        return f"see {self._backend.log_of(worker.number, worker.worker_id)}"


def _kill(worker: Worker) -> None:
    worker.kill_at = None
    worker.killed_for = worker.killed_for or "it did not drain in time"
    worker.handle.signal(signal.SIGKILL)
