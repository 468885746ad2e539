"""Replacing workers one by one: the old one works on until its successor has reported, and then drains."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from previewops.supervisor.environment import Launch
from previewops.supervisor.phases import Phase
from previewops.supervisor.pool import LogAction, WorkerPool
from previewops.supervisor.restart_policy import WorkerExit
from previewops.supervisor.slots import PendingReplacement, WorkerProcess, WorkerSlot

REPLACE_RETRY_S = 60.0
"""How long a worker whose successor failed is left alone, unless somebody asks."""


class RollingRestart:
    """The queue of replacements, of which one is under way at a time.

    A reload replaces every worker and starts the new ones with other settings, which hold for all once it is
    complete. ``reloaded`` is called at its end, with why it was given up, or "".
    """

    def __init__(
        self, pool: WorkerPool, *, log_action: LogAction, on_reload_end: Callable[[str], None]
    ) -> None:
        self._fleet = pool
        self._tell = log_action
        self._reloaded = on_reload_end
        self._queue: deque[tuple[WorkerProcess, bool]] = deque()
        self._current: PendingReplacement | None = None
        self._next_launch: Launch | None = None

    def reload(self, launch: Launch) -> None:
        """Replaces all workers by ones that are started with ``launch``."""
        self._next_launch = launch
        for _, place in sorted(self._fleet.slots.items()):
            if place.worker is not None and place.worker.serving:
                self.enqueue(place.worker, rolling=True)

    def enqueue(self, worker: WorkerProcess, *, rolling: bool = False) -> None:
        """Has a worker replaced when its turn comes; ``rolling`` by a reload."""
        if all(queued is not worker for queued, _ in self._queue):
            self._queue.append((worker, rolling))

    def clear(self) -> None:
        """Forgets what has not begun."""
        self._queue.clear()

    def cancel(self, place: WorkerSlot, now: float) -> None:
        """Nobody is wanted in this place any more: if a successor is on its way there, it drains."""
        if self._current is not None and self._current.slot is place:
            self._fleet.drain(self._current.new, now, "no longer wanted")
            self._current = None

    async def step(self, now: float) -> None:
        """Starts the next successor, once the replacement before is complete, and ends a reload that is."""
        while self._current is None and self._queue:
            old, rolling = self._queue.popleft()
            place = self._fleet.slot_of(old)
            if place is not None and old.serving:
                await self._begin(place, old, rolling, now)
        if self._next_launch is not None and self._current is None and not self._rolls_queued():
            self._complete_reload(self._next_launch, now)

    async def _begin(self, place: WorkerSlot, old: WorkerProcess, rolling: bool, now: float) -> None:
        launch = self._next_launch if rolling and self._next_launch is not None else self._fleet.launch
        new = await self._fleet.start(place.number, launch, now)
        if new is None:
            self._give_up(place, "its successor cannot be started", rolling, now)
        else:
            self._current = PendingReplacement(place, old, new, rolling)

    def _rolls_queued(self) -> bool:
        return any(rolling for _, rolling in self._queue)

    def _complete_reload(self, launch: Launch, now: float) -> None:
        self._fleet.launch, self._next_launch = launch, None
        for place in self._fleet.slots.values():
            if place.phase in (Phase.BACKOFF, Phase.FATAL) and place.worker is None:
                place.reset(now)
        self._reloaded("")

    def on_running(self, worker: WorkerProcess, now: float) -> None:
        """A worker has reported. If it is the successor, it takes the place, and the old one drains."""
        if self._current is None or self._current.new is not worker:
            return
        place, old = self._current.slot, self._current.old
        place.worker, place.last_worker_id, place.rapid_exits = worker, worker.worker_id, 0
        self._fleet.drain(old, now, old.reason or "replaced")

    def on_exit(self, worker: WorkerProcess, worker_exit: WorkerExit, now: float) -> None:
        """A worker has ended: with it the replacement under way, if it is part of that."""
        current = self._current
        if current is None or worker not in (current.old, current.new):
            return
        self._current = None
        if current.slot.worker is not current.old:
            return
        if worker is current.new:
            why = (
                f"the successor of worker {worker.number} died ({worker_exit.describe()}); "
                f"{self._fleet.log_hint(worker)}"
            )
            self._give_up(current.slot, why, current.rolling, now)
        else:
            # It died before its successor was there, which takes the place as it is.
            current.slot.worker, current.slot.last_worker_id = current.new, current.new.worker_id

    def _give_up(self, place: WorkerSlot, why: str, rolling: bool, now: float) -> None:
        place.replace_not_before = now + REPLACE_RETRY_S
        if place.worker is not None:
            place.worker.reason = ""
        if not rolling:
            self._tell(f"worker {place.number} is not replaced: {why}")
            return
        self._queue = deque(entry for entry in self._queue if not entry[1])
        self._next_launch = None
        self._reloaded(why)
