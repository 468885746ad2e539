"""Replaces workers one by one: the old one runs until its successor has sent a heartbeat, and then drains."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from previewops.supervisor.actions import Action, LogAction
from previewops.supervisor.environment import Launch
from previewops.supervisor.phases import Phase
from previewops.supervisor.pool import WorkerPool
from previewops.supervisor.restart_policy import WorkerExit
from previewops.supervisor.slots import PendingReplacement, WorkerProcess, WorkerSlot

REPLACE_RETRY_S = 60.0
"""Time until a worker whose successor failed may be recycled again. A command replaces it at once."""


class RollingRestart:
    """Queue of replacements, of which one runs at a time.

    A reload replaces every worker and starts the new ones with other settings. Those become the settings of the pool
    when the reload is complete. ``on_reload_end`` is called with the reason why a reload was cancelled, or "".
    """

    def __init__(
        self, pool: WorkerPool, *, log_action: LogAction, on_reload_end: Callable[[str], None]
    ) -> None:
        self._pool = pool
        self._log_action = log_action
        self._on_reload_end = on_reload_end
        self._queue: deque[tuple[WorkerProcess, bool]] = deque()
        self._current: PendingReplacement | None = None
        self._next_launch: Launch | None = None

    def reload(self, launch: Launch) -> None:
        """Replaces all workers; the new ones are started with ``launch``."""
        self._next_launch = launch
        for _, slot in sorted(self._pool.slots.items()):
            if slot.worker is not None and slot.worker.serving:
                self.enqueue(slot.worker, rolling=True)

    def enqueue(self, worker: WorkerProcess, *, rolling: bool = False) -> None:
        """Adds a worker to the queue; ``rolling`` for a reload."""
        if all(queued is not worker for queued, _ in self._queue):
            self._queue.append((worker, rolling))

    def clear(self) -> None:
        """Removes the replacements that have not begun."""
        self._queue.clear()

    def cancel(self, slot: WorkerSlot, now: float) -> None:
        """Drains the successor for a slot that is no longer wanted, if one is starting."""
        if self._current is not None and self._current.slot is slot:
            self._pool.drain(self._current.new, now, "no longer wanted")
            self._current = None

    async def step(self, now: float) -> None:
        """Starts the next successor if no replacement is running, and ends a reload without further ones."""
        while self._current is None and self._queue:
            old, rolling = self._queue.popleft()
            slot = self._pool.slot_of(old)
            if slot is not None and old.serving:
                await self._begin(slot, old, rolling, now)
        rolling_queued = any(rolling for _, rolling in self._queue)
        if self._next_launch is not None and self._current is None and not rolling_queued:
            self._complete_reload(self._next_launch, now)

    async def _begin(self, slot: WorkerSlot, old: WorkerProcess, rolling: bool, now: float) -> None:
        launch = self._next_launch if rolling and self._next_launch is not None else self._pool.launch
        try:
            new = await self._pool.start(slot.number, launch, now)
        except OSError as error:
            self._abandon(slot, f"its successor cannot be started: {error}", rolling, now)
        else:
            self._current = PendingReplacement(slot, old, new, rolling)

    def _complete_reload(self, launch: Launch, now: float) -> None:
        self._pool.launch, self._next_launch = launch, None
        for slot in self._pool.slots.values():
            if slot.phase in (Phase.BACKOFF, Phase.FATAL) and slot.worker is None:
                slot.reset(now)
        self._on_reload_end("")

    def on_running(self, worker: WorkerProcess, now: float) -> None:
        """Places a successor that has sent a heartbeat in the slot, and drains the old worker."""
        if self._current is None or self._current.new is not worker:
            return
        slot, old = self._current.slot, self._current.old
        slot.worker, slot.last_worker_id, slot.rapid_exits = worker, worker.worker_id, 0
        self._pool.drain(old, now, old.reason or "replaced")

    def on_exit(self, worker: WorkerProcess, worker_exit: WorkerExit, now: float) -> None:
        """Ends the current replacement if one of its workers has exited."""
        current = self._current
        if current is None or worker not in (current.old, current.new):
            return
        self._current = None
        if current.slot.worker is not current.old:
            return
        if worker is current.new:
            reason = (
                f"the successor of worker {worker.number} exited ({worker_exit.describe()}); "
                f"{self._pool.log_hint(worker)}"
            )
            self._abandon(current.slot, reason, current.rolling, now)
        else:
            # The old one exited first: its successor gets the slot before its first heartbeat.
            current.slot.worker, current.slot.last_worker_id = current.new, current.new.worker_id

    def _abandon(self, slot: WorkerSlot, reason: str, rolling: bool, now: float) -> None:
        slot.replace_not_before = now + REPLACE_RETRY_S
        if slot.worker is not None:
            slot.worker.reason = ""
        if not rolling:
            self._log_action(Action.WORKER_NOT_REPLACED, f"worker {slot.number} is not replaced: {reason}")
            return
        self._queue = deque(entry for entry in self._queue if not entry[1])
        self._next_launch = None
        self._on_reload_end(reason)
