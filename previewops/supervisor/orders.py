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

from previewops.errors import OrderRefused
from previewops.fleetviews import GONE_AFTER_MS, Bounds, SupervisorState, SupervisorView
from previewops.keys import Keys
from previewops.scripts import ScriptName, Scripts
from previewops.settings import Settings
from previewops.snapshot import Snapshots
from previewops.states import Code

if TYPE_CHECKING:
    from redis.asyncio import Redis

ORDER_TTL_MS = 30_000
ANSWER_TTL_MS = 600_000
FORGOTTEN_AFTER_MS = 24 * 3_600_000
ANSWER_TIMEOUT_S = 15.0
_POLL_S = 0.05


class Act(StrEnum):
    """What can be ordered."""

    SCALE = "scale"  # run so many workers, or between so many
    DRAIN = "drain"  # let workers end their jobs and stay away
    RESTART = "restart"  # replace workers, one after the other, jobs unharmed
    RESET = "reset"  # start what is in EXITED, BACKOFF or FATAL at once


@dataclass(frozen=True, slots=True)
class Order:
    """One order. ``worker`` is "" for all workers of the host; ``bounds`` is given with SCALE."""

    order_id: str
    act: Act
    worker: str = ""
    bounds: Bounds | None = None
    who: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an order: by which supervisor it was done, and what that says."""

    supervisor_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a report: orders to carry out, and the age in s of each worker's oldest run."""

    orders: tuple[Order, ...]
    oldest_run_s: Mapping[str, float]


class OrderBook:
    """The supervisor's side. Calls raise what redis-py raises."""

    def __init__(self, redis: Redis, settings: Settings, supervisor_id: str) -> None:
        self._scripts = Scripts(redis, Keys(settings.queue_name))
        self._id = supervisor_id

    async def report(self, state: SupervisorState, worker_ids: Sequence[str]) -> Reply:
        """Publishes the state and takes the orders that are not acknowledged yet."""
        _, orders, ages = await self._scripts.run(
            ScriptName.REPORT, self._id, json.dumps(state.as_json()), FORGOTTEN_AFTER_MS, *worker_ids
        )
        return Reply(
            tuple(_order(order_id.decode(), _pairs(flat)) for order_id, flat in orders),
            {worker: int(age_ms) / 1000 for worker, age_ms in zip(worker_ids, ages, strict=True)},
        )

    async def acknowledge(self, order: Order, *, done: bool, message: str) -> None:
        """Answers an order; the answer is an event on the queue's stream too."""
        outcome = "done" if done else "refused"
        await self._scripts.run(
            ScriptName.ACKNOWLEDGE, self._id, order.order_id, outcome, message, ANSWER_TTL_MS
        )

    async def end(self) -> None:
        """Takes the supervisor off the list."""
        await self._scripts.run(ScriptName.END_SUPERVISOR, self._id)


class FleetControl:
    """The operator's side: who supervises what, and orders to them. Calls raise what redis-py raises.

    ``who`` and ``why`` go on record with each order. ``host`` is a supervisor's id or its host's name.
    """

    def __init__(self, redis: Redis, settings: Settings, *, who: str) -> None:
        self._keys = Keys(settings.queue_name)
        self._redis = redis
        self._scripts = Scripts(redis, self._keys)
        self._snapshots = Snapshots(redis, settings)
        self._who = who

    async def supervisors(self) -> tuple[SupervisorView, ...]:
        """Every supervisor that was heard of within a day, sorted by id."""
        return (await self._snapshots.take()).supervisors

    async def scale(self, bounds: Bounds, *, host: str | None = None, why: str = "") -> Answer:
        """Has one host run as many workers as ``bounds`` says: a fixed number, or as many as the load asks for.

        Raises:
            OrderRefused: no such supervisor, or several and none is named; it refuses, or does not answer.
        """
        (view,) = self._only(await self.supervisors(), host)
        return await self._order(view, Act.SCALE, "", why, bounds)

    async def act(
        self, act: Act, *, worker: str | None = None, host: str | None = None, why: str = ""
    ) -> Answer:
        """Drains, restarts or resets one worker, or all workers of one host.

        Raises:
            OrderRefused: no supervisor has such a worker; it refuses, or does not answer.
        """
        views = await self.supervisors()
        if worker is None:
            (view,) = self._only(views, host)
        else:
            view = _holder(views, worker)
        return await self._order(view, act, worker or "", why, None)

    def _only(self, views: Sequence[SupervisorView], host: str | None) -> tuple[SupervisorView]:
        alive = [view for view in views if not view.silent]
        found = [view for view in alive if host is None or host in (view.supervisor_id, view.state.host)]
        if len(found) == 1:
            return (found[0],)
        names = ", ".join(view.supervisor_id for view in (found or alive)) or "none"
        where = "" if host is None else f" on {host}"
        raise OrderRefused(
            f"{len(found)} supervisors of queue {self._keys.queue} run{where}; the order is for one",
            hint=f"name one by --host; there are: {names}"
            if alive
            else "start one with `previewops supervise` or `previewops up`",
        )

    async def _order(
        self, view: SupervisorView, act: Act, worker: str, why: str, bounds: Bounds | None
    ) -> Answer:
        fields = {"act": act.value, "target": worker, "who": self._who, "why": why}
        if bounds is not None:
            fields |= {"min": str(bounds.fewest), "max": str(bounds.most)}
        pairs = [part for pair in fields.items() for part in pair]
        code, *rest = await self._scripts.run(
            ScriptName.ORDER, view.supervisor_id, GONE_AFTER_MS, ORDER_TTL_MS, *pairs
        )
        if code == Code.NOT_FOUND:
            raise OrderRefused(
                f"the supervisor {view.supervisor_id} has gone", hint="look at `previewops workers`"
            )
        return await self._answer(view.supervisor_id, rest[0].decode())

    async def _answer(self, supervisor_id: str, order_id: str) -> Answer:
        deadline = asyncio.get_running_loop().time() + ANSWER_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline:
            state, message = await self._redis.execute_command(
                "HMGET", self._keys.order_prefix + order_id, "state", "message"
            )
            if state == b"done":
                return Answer(supervisor_id, (message or b"").decode())
            if state == b"refused":
                raise OrderRefused(f"{supervisor_id} refuses: {(message or b'').decode()}")
            await asyncio.sleep(_POLL_S)
        raise OrderRefused(
            f"{supervisor_id} has not answered within {ANSWER_TIMEOUT_S:.0f} s",
            hint=f"it may still do so until {ORDER_TTL_MS // 1000} s have passed; look at `previewops workers`",
        )


def _holder(views: Iterable[SupervisorView], worker: str) -> SupervisorView:
    for view in views:
        if not view.silent and any(each.worker_id == worker for each in view.state.workers):
            return view
    raise OrderRefused(
        f"no supervisor has a worker {worker}",
        hint="`previewops workers` lists them; one without a supervisor is stopped by SIGTERM on its host",
    )


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode("utf-8", "replace") for i in range(0, len(flat), 2)}


def _order(order_id: str, fields: Mapping[str, str]) -> Order:
    bounds = Bounds(int(fields["min"]), int(fields["max"])) if "min" in fields else None
    return Order(
        order_id,
        Act(fields["act"]),
        fields.get("target", ""),
        bounds,
        fields.get("who", ""),
        fields.get("why", ""),
    )
