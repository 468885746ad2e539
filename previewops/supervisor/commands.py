"""Orders to supervisors through Redis, and what supervisors publish: one place from which to run every host.

``FleetControl`` is the operator's side, ``OrderBook`` the supervisor's. An order is done once: it stays listed
until its supervisor has acknowledged it, and expires when none does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from previewops.errors import CommandRejected
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts
from previewops.settings import Settings
from previewops.snapshot.fleet import SILENT_AFTER_MS, SupervisorState, SupervisorStatus, WorkerCountRange
from previewops.snapshot.reader import SnapshotReader
from previewops.states import ScriptResult

if TYPE_CHECKING:
    from redis.asyncio import Redis

COMMAND_TTL_MS = 30_000
RESULT_TTL_MS = 600_000
SUPERVISOR_TTL_MS = 24 * 3_600_000
RESULT_TIMEOUT_S = 15.0
_POLL_S = 0.05


class FleetCommandKind(StrEnum):
    """What can be ordered."""

    SCALE = "scale"  # run so many workers, or between so many
    DRAIN = "drain"  # let workers end their jobs and stay away
    RESTART = "restart"  # replace workers, one after the other, jobs unharmed
    RESET = "reset"  # start what is in EXITED, BACKOFF or FATAL at once


@dataclass(frozen=True, slots=True)
class FleetCommand:
    """One order. ``worker`` is "" for all workers of the host; ``bounds`` is given with SCALE."""

    command_id: str
    kind: FleetCommandKind
    worker: str = ""
    bounds: WorkerCountRange | None = None
    who: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class FleetCommandResult:
    """What became of an order: by which supervisor it was done, and what that says."""

    supervisor_id: str
    message: str


@dataclass(frozen=True, slots=True)
class ReportReply:
    """The answer to a report: orders to carry out, and the age in s of each worker's oldest run."""

    commands: tuple[FleetCommand, ...]
    oldest_run_s: Mapping[str, float]


class CommandChannel:
    """The supervisor's side. Calls raise what redis-py raises."""

    def __init__(self, redis: Redis, settings: Settings, supervisor_id: str) -> None:
        self._scripts = Scripts(redis, Keys(settings.queue_name))
        self._id = supervisor_id

    async def report(self, state: SupervisorState, worker_ids: Sequence[str]) -> ReportReply:
        """Publishes the state and takes the orders that are not acknowledged yet."""
        _, orders, ages = await self._scripts.run(
            ScriptName.SUPERVISOR_HEARTBEAT,
            self._id,
            json.dumps(state.as_json()),
            SUPERVISOR_TTL_MS,
            *worker_ids,
        )
        return ReportReply(
            tuple(_order(order_id.decode(), _pairs(flat)) for order_id, flat in orders),
            {worker: int(age_ms) / 1000 for worker, age_ms in zip(worker_ids, ages, strict=True)},
        )

    async def acknowledge(self, command: FleetCommand, *, done: bool, message: str) -> None:
        """Answers an order; the answer is an event on the queue's stream too."""
        outcome = "done" if done else "refused"
        await self._scripts.run(
            ScriptName.ACKNOWLEDGE_COMMAND, self._id, command.command_id, outcome, message, RESULT_TTL_MS
        )

    async def deregister(self) -> None:
        """Takes the supervisor off the list."""
        await self._scripts.run(ScriptName.DEREGISTER_SUPERVISOR, self._id)


class FleetControl:
    """The operator's side: who supervises what, and orders to them. Calls raise what redis-py raises.

    ``who`` and ``why`` go on record with each order. ``host`` is a supervisor's id or its host's name.
    """

    def __init__(self, redis: Redis, settings: Settings, *, who: str) -> None:
        self._keys = Keys(settings.queue_name)
        self._redis = redis
        self._scripts = Scripts(redis, self._keys)
        self._snapshots = SnapshotReader(redis, settings)
        self._who = who

    async def supervisors(self) -> tuple[SupervisorStatus, ...]:
        """Every supervisor that was heard of within a day, sorted by id."""
        return (await self._snapshots.read()).supervisors

    async def scale(
        self, bounds: WorkerCountRange, *, host: str | None = None, why: str = ""
    ) -> FleetCommandResult:
        """Has one host run as many workers as ``bounds`` says: a fixed number, or as many as the load asks for.

        Raises:
            OrderRefused: no such supervisor, or several and none is named; it refuses, or does not answer.
        """
        (view,) = self._only(await self.supervisors(), host)
        return await self._order(view, FleetCommandKind.SCALE, "", why, bounds)

    async def send(
        self, kind: FleetCommandKind, *, worker: str | None = None, host: str | None = None, why: str = ""
    ) -> FleetCommandResult:
        """Drains, restarts or resets one worker, or all workers of one host.

        Raises:
            OrderRefused: no supervisor has such a worker; it refuses, or does not answer.
        """
        views = await self.supervisors()
        if worker is None:
            (view,) = self._only(views, host)
        else:
            view = _holder(views, worker)
        return await self._order(view, kind, worker or "", why, None)

    def _only(self, views: Sequence[SupervisorStatus], host: str | None) -> tuple[SupervisorStatus]:
        alive = [view for view in views if not view.silent]
        found = [view for view in alive if host is None or host in (view.supervisor_id, view.state.host)]
        if len(found) == 1:
            return (found[0],)
        names = ", ".join(view.supervisor_id for view in (found or alive)) or "none"
        where = "" if host is None else f" on {host}"
        raise CommandRejected(
            f"{len(found)} supervisors of queue {self._keys.queue} run{where}; the order is for one",
            hint=f"name one by --host; there are: {names}"
            if alive
            else "start one with `previewops supervise` or `previewops up`",
        )

    async def _order(
        self,
        view: SupervisorStatus,
        act: FleetCommandKind,
        worker: str,
        why: str,
        bounds: WorkerCountRange | None,
    ) -> FleetCommandResult:
        fields = {"act": act.value, "target": worker, "who": self._who, "why": why}
        if bounds is not None:
            fields |= {"min": str(bounds.minimum), "max": str(bounds.maximum)}
        pairs = [part for pair in fields.items() for part in pair]
        code, *rest = await self._scripts.run(
            ScriptName.SEND_COMMAND, view.supervisor_id, SILENT_AFTER_MS, COMMAND_TTL_MS, *pairs
        )
        if code == ScriptResult.NOT_FOUND:
            raise CommandRejected(
                f"the supervisor {view.supervisor_id} has gone", hint="look at `previewops workers`"
            )
        return await self._answer(view.supervisor_id, rest[0].decode())

    async def _answer(self, supervisor_id: str, order_id: str) -> FleetCommandResult:
        deadline = asyncio.get_running_loop().time() + RESULT_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline:
            state, message = await self._redis.execute_command(
                "HMGET", self._keys.command_prefix + order_id, "state", "message"
            )
            if state == b"done":
                return FleetCommandResult(supervisor_id, (message or b"").decode())
            if state == b"refused":
                raise CommandRejected(f"{supervisor_id} refuses: {(message or b'').decode()}")
            await asyncio.sleep(_POLL_S)
        raise CommandRejected(
            f"{supervisor_id} has not answered within {RESULT_TIMEOUT_S:.0f} s",
            hint=f"it may still do so until {COMMAND_TTL_MS // 1000} s have passed; look at `previewops workers`",
        )


def _holder(views: Iterable[SupervisorStatus], worker: str) -> SupervisorStatus:
    for view in views:
        if not view.silent and any(each.worker_id == worker for each in view.state.workers):
            return view
    raise CommandRejected(
        f"no supervisor has a worker {worker}",
        hint="`previewops workers` lists them; one without a supervisor is stopped by SIGTERM on its host",
    )


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode("utf-8", "replace") for i in range(0, len(flat), 2)}


def _order(order_id: str, fields: Mapping[str, str]) -> FleetCommand:
    bounds = WorkerCountRange(int(fields["min"]), int(fields["max"])) if "min" in fields else None
    return FleetCommand(
        order_id,
        FleetCommandKind(fields["act"]),
        fields.get("target", ""),
        bounds,
        fields.get("who", ""),
        fields.get("why", ""),
    )
