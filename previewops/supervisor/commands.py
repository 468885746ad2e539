"""Commands to the supervisors of all hosts through Redis, and the state that supervisors publish.

``FleetControl`` is the operator's side, ``CommandChannel`` the supervisor's. A command is executed once: it stays
listed until its supervisor has acknowledged it, or until it expires.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from previewops.disclosure import redact
from previewops.errors import START_WORKERS_HINT, CommandRejected
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts, decode_pairs
from previewops.queue.tolerant_values import StoredFields, UnreadableCollector, UnreadableKeys
from previewops.settings import Settings
from previewops.snapshot.fleet import SILENT_AFTER_MS, SupervisorState, SupervisorStatus, WorkerCountRange
from previewops.snapshot.model import WorkerState
from previewops.snapshot.reader import SnapshotReader
from previewops.snapshot.worker_report import parse_worker
from previewops.states import ScriptResult

if TYPE_CHECKING:
    from redis.asyncio import Redis

COMMAND_TTL_MS = 30_000
RESULT_TTL_MS = 600_000
LOG_TTL_MS = 60_000
"""Time for which the lines of a log stay in Redis."""
SUPERVISOR_TTL_MS = 24 * 3_600_000
RESULT_TIMEOUT_S = 15.0
_POLL_INTERVAL_S = 0.05


class FleetCommandKind(StrEnum):
    """Kind of a command."""

    SCALE = "scale"  # run a number of workers, or between two numbers
    DRAIN = "drain"  # let workers finish their jobs and exit, and keep their slots empty
    RESTART = "restart"  # replace workers one by one, without harm to their jobs
    RESET = "reset"  # start workers in slots that are EXITED, BACKOFF or FATAL
    LOG = "log"  # send the last lines of a worker's log


@dataclass(frozen=True, slots=True)
class FleetCommand:
    """One command. ``worker`` is "" for all workers of the host; ``bounds`` is set for SCALE."""

    command_id: str
    kind: FleetCommandKind
    worker: str = ""
    bounds: WorkerCountRange | None = None
    who: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FleetCommandResult:
    """Result of an executed command: the supervisor, and its message."""

    supervisor_id: str
    message: str


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """What a supervisor needs to know about the queue: jobs, ended attempts since it exists, and all workers.

    ``workers`` is None while their index is damaged: heartbeats succeed, and cannot be read.
    """

    waiting: int
    active: int
    ended: int
    paused: bool
    workers: tuple[WorkerState, ...] | None


@dataclass(frozen=True, slots=True)
class ReportReply:
    """Reply to a report: commands to execute, the age in s of each worker's oldest run, and the queue's load."""

    commands: tuple[FleetCommand, ...]
    oldest_run_s: Mapping[str, float]
    load: QueueLoad


class CommandChannel:
    """The supervisor's side. Calls raise redis-py's errors."""

    def __init__(self, redis: Redis, settings: Settings, supervisor_id: str) -> None:
        self._keys = Keys(settings.queue_name)
        self._scripts = Scripts(redis, self._keys)
        self._id = supervisor_id

    async def report(self, state: SupervisorState, worker_ids: Sequence[str]) -> ReportReply:
        """Publishes the state; returns the commands that are not acknowledged yet, and the load. One round trip.

        Rejects unknown commands.
        """
        info = json.dumps(state.as_json())
        _, commands, ages, *load = await self._scripts.run(
            ScriptName.SUPERVISOR_HEARTBEAT, self._id, info, SUPERVISOR_TTL_MS, *worker_ids
        )
        parsed = [
            (command_id, _parse_command(command_id, decode_pairs(flat))) for command_id, flat in commands
        ]
        for command_id in (command_id for command_id, command in parsed if command is None):
            await self._acknowledge(command_id, "refused", "this version does not know it")
        return ReportReply(
            tuple(command for _, command in parsed if command is not None),
            {worker: int(age_ms) / 1000 for worker, age_ms in zip(worker_ids, ages, strict=True)},
            _parse_load(self._keys, load),
        )

    async def acknowledge(self, command: FleetCommand, *, done: bool, message: str) -> None:
        """Publishes the result of a command, also as an event on the queue's stream, unless it only read a log."""
        ttl_ms = LOG_TTL_MS if command.kind is FleetCommandKind.LOG else RESULT_TTL_MS
        await self._acknowledge(command.command_id, "done" if done else "refused", message, ttl_ms)

    async def _acknowledge(
        self, command_id: str | bytes, state: str, message: str, ttl_ms: int = RESULT_TTL_MS
    ) -> None:
        result = (command_id, state, message)
        await self._scripts.run(ScriptName.ACKNOWLEDGE_COMMAND, self._id, *result, ttl_ms)

    async def deregister(self) -> None:
        """Removes the supervisor from the list."""
        await self._scripts.run(ScriptName.DEREGISTER_SUPERVISOR, self._id)


class FleetControl:
    """The operator's side: lists supervisors and sends them commands. Calls raise redis-py's errors.

    ``who`` and ``reason`` are recorded with each command. ``host`` is a supervisor's id or its host's name.
    """

    def __init__(self, redis: Redis, settings: Settings, *, who: str) -> None:
        self._keys = Keys(settings.queue_name)
        self._redis = redis
        self._scripts = Scripts(redis, self._keys)
        self._snapshots = SnapshotReader(redis, settings)
        self._who = who

    async def supervisors(self) -> tuple[SupervisorStatus, ...]:
        """Returns every supervisor with a report within a day, sorted by id."""
        return (await self._snapshots.read()).supervisors

    async def scale(
        self, bounds: WorkerCountRange, *, host: str | None = None, reason: str = ""
    ) -> FleetCommandResult:
        """Sets the number of workers of one host: fixed, or between a minimum and a maximum by load.

        Raises:
            CommandRejected: no such supervisor, or several without ``host``; the command is rejected or times out.
        """
        supervisor = self._only(await self.supervisors(), host)
        return await self._send(supervisor, FleetCommandKind.SCALE, "", reason, bounds)

    async def send(
        self, kind: FleetCommandKind, *, worker: str | None = None, host: str | None = None, reason: str = ""
    ) -> FleetCommandResult:
        """Drains, restarts or resets one worker, or all workers of one host.

        Raises:
            CommandRejected: no supervisor has such a worker; the command is rejected or times out.
        """
        supervisors = await self.supervisors()
        supervisor = self._only(supervisors, host) if worker is None else _supervisor_of(supervisors, worker)
        return await self._send(supervisor, kind, worker or "", reason, None)

    async def read_log(self, worker: str) -> str:
        """Returns the last lines of a worker's log, on whatever host it is: redacted, one line each.

        Raises:
            CommandRejected: no supervisor has such a worker; it cannot read the log, or is of an earlier version.
        """
        supervisor = _supervisor_of(await self.supervisors(), worker)
        return (await self._send(supervisor, FleetCommandKind.LOG, worker, "", None)).message

    def _only(self, supervisors: Sequence[SupervisorStatus], host: str | None) -> SupervisorStatus:
        alive = [supervisor for supervisor in supervisors if not supervisor.silent]
        matching = [s for s in alive if host is None or host in (s.supervisor_id, s.state.host)]
        if len(matching) == 1:
            return matching[0]
        names = ", ".join(supervisor.supervisor_id for supervisor in (matching or alive)) or "none"
        where = "" if host is None else f" on {host}"
        raise CommandRejected(
            f"found {len(matching)} supervisors of queue {self._keys.queue}{where}, allowed 1",
            hint=f"name one by --host; there are: {names}" if alive else START_WORKERS_HINT,
        )

    async def _send(
        self,
        supervisor: SupervisorStatus,
        kind: FleetCommandKind,
        worker: str,
        reason: str,
        bounds: WorkerCountRange | None,
    ) -> FleetCommandResult:
        fields = {"act": kind.value, "target": worker, "who": self._who, "why": redact(reason)}
        if bounds is not None:
            fields |= {"min": str(bounds.minimum), "max": str(bounds.maximum)}
        pairs = [part for pair in fields.items() for part in pair]
        name = supervisor.supervisor_id
        code, *rest = await self._scripts.run(
            ScriptName.SEND_COMMAND, name, SILENT_AFTER_MS, COMMAND_TTL_MS, *pairs
        )
        if code == ScriptResult.NOT_FOUND:
            raise CommandRejected(f"the supervisor {name} has stopped", hint="see `previewops workers`")
        return await self._wait_for_result(name, rest[0].decode())

    async def _wait_for_result(self, supervisor_id: str, command_id: str) -> FleetCommandResult:
        deadline = asyncio.get_running_loop().time() + RESULT_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline:
            state, message = await self._redis.execute_command(
                "HMGET", self._keys.command_prefix + command_id, "state", "message"
            )
            if state == b"done":
                return FleetCommandResult(supervisor_id, (message or b"").decode("utf-8", "replace"))
            if state == b"refused":
                reason = (message or b"").decode("utf-8", "replace")
                raise CommandRejected(f"{supervisor_id} rejects it: {reason}")
            await asyncio.sleep(_POLL_INTERVAL_S)
        raise CommandRejected(
            f"{supervisor_id} has sent no result within {RESULT_TIMEOUT_S:.0f} s",
            hint=f"it may still do so within {COMMAND_TTL_MS // 1000} s of the command; see `previewops workers`",
        )


def _supervisor_of(supervisors: Iterable[SupervisorStatus], worker_id: str) -> SupervisorStatus:
    for supervisor in supervisors:
        if not supervisor.silent and any(w.worker_id == worker_id for w in supervisor.state.workers):
            return supervisor
    raise CommandRejected(
        f"no supervisor has a worker {worker_id}",
        hint="`previewops workers` lists them; one without a supervisor has its log and takes signals on its host",
    )


def _parse_load(keys: Keys, reply: Sequence[Any]) -> QueueLoad:
    waiting, active, meta, rows, unreadable = reply
    paused, *ended = (value.decode("utf-8", "replace") for value in meta)
    damaged = UnreadableCollector()
    counters = StoredFields(keys.meta, {str(i): value or "0" for i, value in enumerate(ended)}, damaged)
    known = keys.workers not in UnreadableKeys.from_reply(unreadable).keys
    return QueueLoad(
        waiting=waiting,
        active=active,
        ended=sum(counters.integer(name) for name in counters.fields),
        paused=paused != "",
        workers=tuple(parse_worker(keys, damaged, *row) for row in rows) if known else None,
    )


def _parse_command(raw_id: bytes, fields: Mapping[str, str]) -> FleetCommand | None:
    """Parses a stored command; None if it is damaged, or of another version."""
    row = StoredFields(raw_id.decode("utf-8", "replace"), fields, UnreadableCollector())
    kind, bounds = row.choice("act", FleetCommandKind), None
    if kind is FleetCommandKind.SCALE:
        bounds = WorkerCountRange.parse(f"{fields.get('min', '')}-{fields.get('max', '')}")
    if kind is None or (kind is FleetCommandKind.SCALE and bounds is None):
        return None
    return FleetCommand(row.key, kind, row.text("target"), bounds, row.text("who"), row.text("why"))
