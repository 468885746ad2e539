"""Pool of worker processes on this host: start, drain, kill, reap."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from previewops.clock import Rng
from previewops.snapshot.fleet import FAILING_AFTER_EXITS, SupervisedWorker
from previewops.supervisor.actions import Action, LogAction
from previewops.supervisor.backend import WorkerBackend, WorkerHandle
from previewops.supervisor.environment import Launch
from previewops.supervisor.host import host_name
from previewops.supervisor.log_tail import describe_log
from previewops.supervisor.phases import Phase
from previewops.supervisor.records import DrainedWorker, Drains, SupervisorRecords
from previewops.supervisor.recycle_policy import RecycleLimits
from previewops.supervisor.restart_policy import (
    HEALTHY_UPTIME_S,
    Fatal,
    WorkerExit,
    count_rapid_exits,
    decide_restart,
    is_failure_logged,
)
from previewops.supervisor.slots import WorkerProcess, WorkerSlot

KILL_AFTER_S = 5.0
"""Time from the end of a drain's timeout to SIGKILL."""
ABORT_GRACE_S = 2.0
"""Time from SIGABRT, which makes a hung worker write its stack to its log, to SIGKILL."""

SpawnTask: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine beside the loop. An error in it ends the supervisor."""


class WorkerPool:
    """The workers and their slots. Times are monotonic seconds.

    ``launch`` is used for the next starts. ``oom_kills`` returns the kernel's count of processes killed for memory,
    None where it has none. ``on_worker_exit`` is called with each worker that has exited and its status; ``on_exit``
    then decides about its slot.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        backend: WorkerBackend,
        limits: RecycleLimits,
        records: SupervisorRecords,
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
        self._records = records
        self._drains = records.read_drains()
        self.log_action = log_action
        self._rng = rng
        self._spawn = spawn
        self._on_worker_exit = on_worker_exit
        self._oom_kills = oom_kills

    @property
    def fatal(self) -> dict[int, str]:
        """Numbers of the slots that are FATAL, with their reasons."""
        return {number: slot.reason for number, slot in self.slots.items() if slot.phase is Phase.FATAL}

    def supervised_workers(self) -> tuple[SupervisedWorker, ...]:
        """Returns the published state: the slots, then the workers without a slot, oldest first."""
        in_slots = {slot.worker for slot in self.slots.values()}
        others = sorted((w for w in self.workers if w not in in_slots), key=lambda w: w.started)
        return (
            *(slot.as_supervised_worker() for _, slot in sorted(self.slots.items())),
            *(worker.as_supervised_worker(0) for worker in others),
        )

    def slot_of(self, worker: WorkerProcess) -> WorkerSlot | None:
        """Returns the slot that a worker is in, None for a successor that waits and a predecessor that drains."""
        slot = self.slots.get(worker.number)
        return slot if slot is not None and slot.worker is worker else None

    def due_times(self) -> list[float]:
        """Returns the times at which ``run_due`` has something to do."""
        kills = [worker.kill_at for worker in self.workers if worker.kill_at is not None]
        return kills + [slot.start_at for slot in self.slots.values() if slot.start_at is not None]

    async def run_due(self, now: float) -> None:
        """Kills workers that did not drain in time, and starts workers in slots whose backoff is over."""
        for worker in list(self.workers):
            if worker.kill_at is not None and worker.kill_at <= now:
                _kill(worker)
        for slot in self.slots.values():
            if slot.worker is None and slot.start_at is not None and slot.start_at <= now:
                await self._start_in(slot, now)

    # ---------------------------------------------------------------- slots

    def resize(self, count: int, now: float) -> list[WorkerSlot]:
        """Adds slots with the lowest free numbers, or removes empty and then new ones. Returns the removed slots."""
        while len(self.slots) < count:
            number = self._free_number()
            self.slots[number] = slot = WorkerSlot(number, start_at=now)
            drained = self._drains.of_slot(number)
            if drained is not None:
                slot.keep_drained(drained.worker_id, drained.reason)
        removed = []
        while len(self.slots) > count:
            number = max(self.slots, key=lambda n: (self.slots[n].worker is None, n))
            removed.append(self.slots.pop(number))
        for slot in removed:
            if slot.worker is not None:
                self.drain(slot.worker, now, "no longer wanted")
        if removed:
            self.save_drains(self._drains.host_reason)
        return removed

    def _free_number(self) -> int:
        return next(n for n in range(1, len(self.slots) + 2) if n not in self.slots)

    # ---------------------------------------------------------------- drains

    @property
    def drains(self) -> Drains:
        """The drained slots, as the next supervisor finds them."""
        return self._drains

    def save_drains(self, host_reason: str | None) -> None:
        """Stores which slots are drained. ``host_reason`` is set while the whole host is."""
        slots = {
            number: DrainedWorker(
                *(
                    (slot.worker.worker_id, slot.worker.reason)
                    if slot.worker
                    else (slot.last_worker_id, slot.reason)
                )
            )
            for number, slot in self.slots.items()
            if slot.keep_empty
        }
        drains = Drains(slots, host_reason if slots or not self.slots else None)
        if drains != self._drains:
            self._drains = drains
            self._records.write_drains(drains)

    # ---------------------------------------------------------------- starting

    async def _start_in(self, slot: WorkerSlot, now: float) -> None:
        slot.start_at = None
        try:
            worker = await self.start(slot.number, self.launch, now)
        except OSError as error:
            failure = WorkerExit(None, 0.0, reported=False, reason=f"it cannot be started: {error}")
            self._apply_restart_policy(slot, failure, now)
        else:
            slot.worker, slot.last_worker_id, slot.reason = worker, worker.worker_id, ""

    async def start(self, number: int, launch: Launch, now: float) -> WorkerProcess:
        """Starts a worker for slot ``number``, without placing it there. Raises OSError if it cannot be started."""
        worker_id = f"{host_name()}-{number}-{os.urandom(3).hex()}"
        return self._watch(await self._backend.start(worker_id, number, launch.environ), number, now)

    def adopt(self, handle: WorkerHandle, now: float) -> None:
        """Places a worker of an earlier supervisor in a slot."""
        number = self._free_number()
        worker = self._watch(handle, number, now)
        self.slots[number] = WorkerSlot(number, worker, last_worker_id=worker.worker_id)
        message = f"worker {number}: adopted {handle.worker_id} of an earlier supervisor"
        self.log_action(Action.WORKER_ADOPTED, message)

    def _watch(self, handle: WorkerHandle, number: int, now: float) -> WorkerProcess:
        limits = self._limits.jittered(self._rng)
        worker = WorkerProcess(handle, number, now, limits, oom_kills=self._oom_kills())
        self.workers.add(worker)
        self._spawn(self._await_exit(worker))
        return worker

    async def _await_exit(self, worker: WorkerProcess) -> None:
        self._on_worker_exit(worker, await worker.handle.wait())

    # ---------------------------------------------------------------- stopping

    def drain(self, worker: WorkerProcess, now: float, reason: str) -> None:
        """Asks a worker to finish its jobs and exit; sets the time of its SIGKILL."""
        if worker.phase is Phase.DRAINING or worker.kill_reason is not None:
            return
        worker.phase, worker.reason = Phase.DRAINING, reason
        worker.kill_at = now + self.launch.settings.drain_timeout_s + KILL_AFTER_S
        worker.handle.signal(signal.SIGTERM)

    def drain_all(self, now: float, reason: str) -> None:
        """Drains all workers and cancels all starts."""
        for slot in self.slots.values():
            slot.start_at = None
        for worker in self.workers:
            self.drain(worker, now, reason)

    def force_drain(self) -> None:
        """Makes draining workers return their jobs at once."""
        for worker in self.workers:
            worker.handle.signal(signal.SIGTERM)

    def kill_all(self) -> None:
        """Kills all workers at once."""
        for worker in list(self.workers):
            worker.handle.signal(signal.SIGKILL)

    def abort(self, worker: WorkerProcess, now: float, reason: str) -> None:
        """Makes a hung worker write its stack to its log, and sets the time of its SIGKILL."""
        name = f"worker {worker.number} ({worker.worker_id})"
        self.log_action(Action.WORKER_HUNG, f"{name} is killed: {reason}; {self.log_hint(worker)}")
        worker.kill_reason = reason
        worker.kill_at = now + ABORT_GRACE_S
        worker.handle.signal(signal.SIGABRT)

    # ---------------------------------------------------------------- exits

    def remove_exited(self, worker: WorkerProcess, status: int | None, now: float) -> WorkerExit:
        """Removes a worker that has exited, and returns how it exited."""
        self.workers.discard(worker)
        self._backend.forget(worker.handle)
        reason = None if worker.kill_reason is None else f"killed: {worker.kill_reason}"
        kills = self._oom_kills()
        oom_kill_seen = kills is not None and worker.oom_kills is not None and kills > worker.oom_kills
        for other in self.workers:
            other.oom_kills = kills  # so that this kill is not counted for them
        return WorkerExit(status, now - worker.started, worker.heartbeats.reported, reason, oom_kill_seen)

    def on_exit(self, worker: WorkerProcess, worker_exit: WorkerExit, now: float, *, stopping: bool) -> None:
        """Decides about the slot of a worker that has exited, if it was in one."""
        slot = self.slot_of(worker)
        if slot is None:
            return
        if stopping or (worker.phase is Phase.DRAINING and slot.keep_empty):
            slot.mark_empty(Phase.EXITED, worker.reason)
        elif worker.phase is Phase.DRAINING:
            slot.mark_empty(Phase.BACKOFF, worker.reason, start_at=now)
        else:
            self._apply_restart_policy(slot, worker_exit, now)

    def _apply_restart_policy(self, slot: WorkerSlot, worker_exit: WorkerExit, now: float) -> None:
        slot.rapid_exits = count_rapid_exits(worker_exit, slot.rapid_exits)
        decision = decide_restart(worker_exit, slot.rapid_exits, self._rng)
        log_hint = f"see {describe_log(self._backend.log_source(slot.number, slot.last_worker_id))}"
        if isinstance(decision, Fatal):
            slot.mark_empty(Phase.FATAL, decision.reason)
            message = f"worker {slot.number} is fatal: {decision.reason}; {log_hint}"
            self.log_action(Action.WORKER_FATAL, message)
            return
        exited, delay = worker_exit.describe(), f"{decision.delay_s:.1f} s"
        failing = slot.rapid_exits >= FAILING_AFTER_EXITS
        if failing:
            exited = f"failed {slot.rapid_exits} times in a row soon after its start; the last time: {exited}"
        slot.mark_empty(Phase.BACKOFF, exited, start_at=now + decision.delay_s)
        if not is_failure_logged(slot.rapid_exits):
            return
        if failing:
            message = f"worker {slot.number} {exited}; {log_hint}; it is tried again until it works"
            self.log_action(Action.WORKER_FAILING, message)
        else:
            message = (
                f"worker {slot.number} exited ({exited}); its jobs are requeued, it starts again in {delay}"
            )
            self.log_action(Action.WORKER_EXITED, message)

    def note_uptime(self, worker: WorkerProcess, now: float) -> None:
        """Forgets the failed starts of a slot whose worker has run long enough."""
        slot = self.slot_of(worker)
        if slot is None or slot.rapid_exits == 0 or now - worker.started < HEALTHY_UPTIME_S:
            return
        if slot.rapid_exits >= FAILING_AFTER_EXITS:
            message = f"worker {slot.number} works again after {slot.rapid_exits} failed starts"
            self.log_action(Action.WORKER_RECOVERED, message)
        slot.rapid_exits = 0

    def log_hint(self, worker: WorkerProcess) -> str:
        """Returns where an operator finds the log of a worker."""
        return f"see {describe_log(self._backend.log_source(worker.number, worker.worker_id))}"


def _kill(worker: WorkerProcess) -> None:
    worker.kill_at = None
    worker.kill_reason = worker.kill_reason or "it did not drain in time"
    worker.handle.signal(signal.SIGKILL)
