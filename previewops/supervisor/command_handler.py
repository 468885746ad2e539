"""Carrying out orders: each once, though it may be read many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from previewops.snapshot.fleet import WorkerCountRange
from previewops.supervisor.commands import CommandChannel, FleetCommand, FleetCommandKind
from previewops.supervisor.phases import Phase
from previewops.supervisor.pool import LogAction, SpawnTask, WorkerPool
from previewops.supervisor.rolling_restart import RollingRestart
from previewops.supervisor.slots import WorkerSlot


class CommandHandler:
    """Does as orders say. ``set_bounds`` takes what a SCALE asks for."""

    def __init__(
        self,
        pool: WorkerPool,
        rolling_restart: RollingRestart,
        *,
        channel: CommandChannel,
        set_bounds: Callable[[WorkerCountRange], None],
        log_action: LogAction,
        spawn: SpawnTask,
    ) -> None:
        self._fleet = pool
        self._replacements = rolling_restart
        self._book = channel
        self._set_bounds = set_bounds
        self._tell = log_action
        self._spawn = spawn
        self._answers: dict[str, tuple[bool, str]] = {}

    def handle(self, commands: Sequence[FleetCommand], now: float, *, stopping: bool) -> None:
        """Carries out what is listed; what comes again, because its answer got lost, is answered again."""
        for order in commands:
            if order.command_id not in self._answers:
                answer = (False, "it is stopping") if stopping else self._carry_out(order, now)
                self._answers[order.command_id] = answer
                named = f"{order.kind.value} {order.worker}".rstrip()
                self._tell(f"{order.who} orders {named}: {answer[1]}")
            self._spawn(self._acknowledge(order, *self._answers[order.command_id]))
        listed = {order.command_id for order in commands}
        self._answers = {key: answer for key, answer in self._answers.items() if key in listed}

    async def _acknowledge(self, order: FleetCommand, done: bool, message: str) -> None:
        # It stays listed until it is answered, and so comes again if this fails.
        with suppress(RedisError, OSError):
            await self._book.acknowledge(order, done=done, message=message)

    def _carry_out(self, order: FleetCommand, now: float) -> tuple[bool, str]:
        if order.kind is FleetCommandKind.SCALE:
            assert order.bounds is not None
            self._set_bounds(order.bounds)
            few, most = order.bounds.minimum, order.bounds.maximum
            return True, f"{few} workers" if few == most else f"{few} to {most} workers"
        places = self._places_named(order.worker)
        if not places:
            return False, f"there is no worker {order.worker or 'at all'}"
        acts = {
            FleetCommandKind.DRAIN: self._drain,
            FleetCommandKind.RESTART: self._restart,
            FleetCommandKind.RESET: WorkerSlot.reset,
        }
        count = sum(acts[order.kind](place, now) for place in places)
        if count == 0:
            return False, f"nothing to {order.kind.value}: {_phases(places)}"
        return True, f"{order.kind.value} of {count} worker{'' if count == 1 else 's'} begun"

    def _places_named(self, worker_id: str) -> list[WorkerSlot]:
        return [
            place
            for _, place in sorted(self._fleet.slots.items())
            if not worker_id
            or worker_id == (place.worker.worker_id if place.worker else place.last_worker_id)
        ]

    def _drain(self, place: WorkerSlot, now: float) -> bool:
        """The worker ends its jobs and stays away; its place stays empty until it is reset or restarted."""
        place.keep_empty = True
        if place.worker is None:
            changed = place.phase is not Phase.EXITED
            place.mark_empty(Phase.EXITED, "drained by order")
            return changed
        if not place.worker.serving:
            return False
        self._replacements.cancel(place, now)
        self._fleet.drain(place.worker, now, "drained by order")
        return True

    def _restart(self, place: WorkerSlot, now: float) -> bool:
        if place.worker is None:
            return place.reset(now)
        if not place.worker.serving:
            return False
        place.worker.reason = "restarted by order"
        self._replacements.enqueue(place.worker)
        return True


def _phases(places: list[WorkerSlot]) -> str:
    return ", ".join(sorted({place.as_supervised_worker().phase for place in places}))
