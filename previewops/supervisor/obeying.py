"""Carrying out orders: each once, though it may be read many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from previewops.fleetviews import Bounds
from previewops.supervisor.fleet import Fleet, Spawn, Tell
from previewops.supervisor.members import Place
from previewops.supervisor.orders import Act, Order, OrderBook
from previewops.supervisor.phases import Phase
from previewops.supervisor.replacing import Replacements


class OrderTaker:
    """Does as orders say. ``set_bounds`` takes what a SCALE asks for."""

    def __init__(
        self,
        fleet: Fleet,
        replacements: Replacements,
        *,
        book: OrderBook,
        set_bounds: Callable[[Bounds], None],
        tell: Tell,
        spawn: Spawn,
    ) -> None:
        self._fleet = fleet
        self._replacements = replacements
        self._book = book
        self._set_bounds = set_bounds
        self._tell = tell
        self._spawn = spawn
        self._answers: dict[str, tuple[bool, str]] = {}

    def obey(self, orders: Sequence[Order], now: float, *, stopping: bool) -> None:
        """Carries out what is listed; what comes again, because its answer got lost, is answered again."""
        for order in orders:
            if order.order_id not in self._answers:
                answer = (False, "it is stopping") if stopping else self._carry_out(order, now)
                self._answers[order.order_id] = answer
                named = f"{order.act.value} {order.worker}".rstrip()
                self._tell(f"{order.who} orders {named}: {answer[1]}")
            self._spawn(self._acknowledge(order, *self._answers[order.order_id]))
        listed = {order.order_id for order in orders}
        self._answers = {key: answer for key, answer in self._answers.items() if key in listed}

    async def _acknowledge(self, order: Order, done: bool, message: str) -> None:
        # It stays listed until it is answered, and so comes again if this fails.
        with suppress(RedisError, OSError):
            await self._book.acknowledge(order, done=done, message=message)

    def _carry_out(self, order: Order, now: float) -> tuple[bool, str]:
        if order.act is Act.SCALE:
            assert order.bounds is not None
            self._set_bounds(order.bounds)
            few, most = order.bounds.fewest, order.bounds.most
            return True, f"{few} workers" if few == most else f"{few} to {most} workers"
        places = self._places_named(order.worker)
        if not places:
            return False, f"there is no worker {order.worker or 'at all'}"
        acts = {Act.DRAIN: self._drain, Act.RESTART: self._restart, Act.RESET: Place.reset}
        count = sum(acts[order.act](place, now) for place in places)
        if count == 0:
            return False, f"nothing to {order.act.value}: {_phases(places)}"
        return True, f"{order.act.value} of {count} worker{'' if count == 1 else 's'} begun"

    def _places_named(self, worker_id: str) -> list[Place]:
        return [
            place
            for _, place in sorted(self._fleet.places.items())
            if not worker_id or worker_id == (place.worker.worker_id if place.worker else place.last_id)
        ]

    def _drain(self, place: Place, now: float) -> bool:
        """The worker ends its jobs and stays away; its place stays empty until it is reset or restarted."""
        place.held = True
        if place.worker is None:
            changed = place.phase is not Phase.EXITED
            place.empty(Phase.EXITED, "drained by order")
            return changed
        if not place.worker.serving:
            return False
        self._replacements.call_off(place, now)
        self._fleet.drain(place.worker, now, "drained by order")
        return True

    def _restart(self, place: Place, now: float) -> bool:
        if place.worker is None:
            return place.reset(now)
        if not place.worker.serving:
            return False
        place.worker.reason = "restarted by order"
        self._replacements.queue(place.worker)
        return True


def _phases(places: list[Place]) -> str:
    return ", ".join(sorted({place.supervised().phase for place in places}))
