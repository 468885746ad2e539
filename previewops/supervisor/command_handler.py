"""Executes commands, each once, although it may be read several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from previewops.snapshot.fleet import WorkerCountRange
from previewops.supervisor.actions import Action, LogAction
from previewops.supervisor.backend import WorkerBackend
from previewops.supervisor.commands import CommandChannel, FleetCommand, FleetCommandKind
from previewops.supervisor.log_tail import LogUnavailable, read_log_tail
from previewops.supervisor.phases import Phase
from previewops.supervisor.pool import SpawnTask, WorkerPool
from previewops.supervisor.rolling_restart import RollingRestart
from previewops.supervisor.slots import WorkerSlot


class CommandHandler:
    """Executes commands on the pool. ``set_bounds`` is called with the bounds of a SCALE command."""

    def __init__(
        self,
        pool: WorkerPool,
        rolling_restart: RollingRestart,
        *,
        backend: WorkerBackend,
        channel: CommandChannel,
        set_bounds: Callable[[WorkerCountRange], None],
        log_action: LogAction,
        spawn: SpawnTask,
    ) -> None:
        self._pool = pool
        self._rolling_restart = rolling_restart
        self._backend = backend
        self._channel = channel
        self._set_bounds = set_bounds
        self._log_action = log_action
        self._spawn = spawn
        self._results: dict[str, tuple[bool, str]] = {}
        self._log_readings: dict[str, bool] = {}
        """Commands whose log is read (False) or sent (True)."""

    def handle(self, commands: Sequence[FleetCommand], now: float, *, stopping: bool) -> None:
        """Executes the listed commands. One that is listed again, since its result got lost, gets the same result."""
        for command in commands:
            if command.kind is FleetCommandKind.LOG:
                self._start_log_reading(command)
                continue
            if command.command_id not in self._results:
                result = (False, "it is stopping") if stopping else self._execute(command, now)
                self._results[command.command_id] = result
                name = f"{command.kind.value} {command.worker}".rstrip()
                action = Action.COMMAND_EXECUTED if result[0] else Action.COMMAND_REJECTED
                self._log_action(action, f"command {name} of {command.who}: {result[1]}")
            self._spawn(self._send_result(command, *self._results[command.command_id]))
        listed = {command.command_id for command in commands}
        self._log_readings = {
            key: sent for key, sent in self._log_readings.items() if key in listed or not sent
        }
        self._results = {key: result for key, result in self._results.items() if key in listed}

    async def _send_result(self, command: FleetCommand, done: bool, message: str) -> None:
        await self._acknowledge(command, done, message)

    def _start_log_reading(self, command: FleetCommand) -> None:
        """Sends the end of a log, unless that has begun. It changes nothing, so nothing records it."""
        if command.command_id not in self._log_readings:
            self._log_readings[command.command_id] = False
            self._spawn(self._send_log(command))

    async def _send_log(self, command: FleetCommand) -> None:
        if await self._acknowledge(command, *await self._read_log(command.worker)):
            self._log_readings[command.command_id] = True
        else:
            del self._log_readings[command.command_id]

    async def _read_log(self, worker_id: str) -> tuple[bool, str]:
        slots = self._find_slots(worker_id)
        if not worker_id or not slots:
            return False, f"it has no worker {worker_id}".rstrip()
        try:
            return True, await read_log_tail(self._backend.log_source(slots[0].number, worker_id))
        except LogUnavailable as error:
            return False, f"the log cannot be read: {error}"

    async def _acknowledge(self, command: FleetCommand, done: bool, message: str) -> bool:
        """Sends a result. Returns False if that failed: the command stays listed, and is read again."""
        try:
            await self._channel.acknowledge(command, done=done, message=message)
        except (RedisError, OSError):
            return False
        return True

    def _execute(self, command: FleetCommand, now: float) -> tuple[bool, str]:
        if command.kind is FleetCommandKind.SCALE:
            assert command.bounds is not None
            self._set_bounds(command.bounds)
            self._pool.save_drains(None)  # workers that it adds start, even on a drained host
            minimum, maximum = command.bounds.minimum, command.bounds.maximum
            return True, f"{minimum} workers" if minimum == maximum else f"{minimum} to {maximum} workers"
        slots = self._find_slots(command.worker)
        if not slots:
            return False, f"it has no worker {command.worker}".rstrip()
        reason = _drain_reason(command)
        actions: dict[FleetCommandKind, Callable[[WorkerSlot], bool]] = {
            FleetCommandKind.DRAIN: lambda slot: self._drain(slot, reason, now),
            FleetCommandKind.RESTART: lambda slot: self._restart(slot, now),
            FleetCommandKind.RESET: lambda slot: slot.reset(now),
        }
        count = sum(actions[command.kind](slot) for slot in slots)
        host_reason = self._pool.drains.host_reason
        if not command.worker:
            host_reason = reason if command.kind is FleetCommandKind.DRAIN else None
        self._pool.save_drains(host_reason)
        if count == 0:
            return False, f"nothing to {command.kind.value}: {_phases(slots)}"
        return True, f"{command.kind.value} of {count} worker{'' if count == 1 else 's'} begun"

    def _find_slots(self, worker_id: str) -> list[WorkerSlot]:
        return [
            slot
            for _, slot in sorted(self._pool.slots.items())
            if not worker_id or worker_id == (slot.worker.worker_id if slot.worker else slot.last_worker_id)
        ]

    def _drain(self, slot: WorkerSlot, reason: str, now: float) -> bool:
        """Drains the worker; its slot stays empty until a reset or restart, also under the next supervisor."""
        slot.keep_empty = True
        if slot.worker is None:
            changed = slot.phase is not Phase.EXITED
            if changed:
                slot.mark_empty(Phase.EXITED, reason)
            return changed
        if not slot.worker.serving:
            return False
        self._rolling_restart.cancel(slot, now)
        self._pool.drain(slot.worker, now, reason)
        return True

    def _restart(self, slot: WorkerSlot, now: float) -> bool:
        if slot.worker is None:
            return slot.reset(now)
        if not slot.worker.serving:
            return False
        slot.worker.reason = "restarted by command"
        self._rolling_restart.enqueue(slot.worker)
        return True


def _drain_reason(command: FleetCommand) -> str:
    who = f"drained by {command.who}" if command.who else "drained by command"
    return f"{who}: {command.reason}" if command.reason else who


def _phases(slots: list[WorkerSlot]) -> str:
    return ", ".join(sorted({slot.as_supervised_worker().phase for slot in slots}))
