"""The loop that owns the workers of one host.

Whatever happens is an event in one queue: an exit, a look at Redis, a signal, an order. The loop takes them one
by one, so nothing here needs a lock, and does what has fallen due in between. Nothing that may block is awaited
in it: looks, releases and acknowledgements are tasks of their own.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from redis.exceptions import RedisError

from previewops import __version__
from previewops.clock import Clock, Random
from previewops.errors import PreviewopsError
from previewops.fleetviews import Bounds, SupervisorState
from previewops.lease import Leases
from previewops.notify import Notifier
from previewops.settings import Settings
from previewops.supervisor import hang
from previewops.supervisor.backend import Backend, Handle
from previewops.supervisor.demand import Demand, need
from previewops.supervisor.host import Gauge, host_name
from previewops.supervisor.members import Place, Replacement, Worker
from previewops.supervisor.orders import Act, Order, OrderBook
from previewops.supervisor.phases import Phase
from previewops.supervisor.recycling import Limits, reason_to_recycle
from previewops.supervisor.restarts import Exit, GiveUp, after_exit, quick_deaths_after
from previewops.supervisor.watchtower import Look, Watchtower

LOOK_EVERY_S = 1.0
LOOK_AT_STARTING_S = 0.25
"""Between looks while a worker is starting, so that it is soon known to run."""
KILL_AFTER_S = 5.0
"""How long after its drain deadline a worker may take to end before it is killed."""
ABORT_GRACE_S = 2.0
"""Between the SIGABRT that has a hung worker write its stack to its log, and SIGKILL."""
REPLACE_AGAIN_S = 60.0
RELEASE_PAUSE_S = 0.2

Tell: TypeAlias = Callable[[str], None]
"""Says one line to whoever watches the supervisor."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What workers are started with: the settings, for what the supervisor itself goes by, and the environment."""

    settings: Settings
    environ: Mapping[str, str]


class Wish(Enum):
    """What a signal asks for."""

    STOP = auto()  # a second one has draining workers give their jobs back at once
    RELOAD = auto()
    MORE = auto()
    FEWER = auto()


@dataclass(frozen=True, slots=True)
class _Ended:
    worker: Worker
    status: int | None


@dataclass(frozen=True, slots=True)
class _Blind:
    error: Exception


@dataclass(frozen=True, slots=True)
class _Swept:
    worker_ids: list[str]


@dataclass(frozen=True, slots=True)
class _Broken:
    error: BaseException


_Event: TypeAlias = Wish | _Ended | Look | _Blind | _Swept | _Broken


class Supervisor:
    """Keeps as many workers running as ``bounds`` and the load ask for.

    Args:
        launch: what workers are started with.
        backend: what starts them.
        leases: how jobs of dead workers are given back, and their queue.
        watchtower, book: the supervisor's eyes in Redis and its mouth.
        bounds: the fewest and the most workers.
        limits: at which workers are recycled.
        tell: hears what happens, a line each.
        reload: makes the next launch at a reload; raises PreviewopsError if it must not be.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        backend: Backend,
        leases: Leases,
        watchtower: Watchtower,
        book: OrderBook,
        gauge: Gauge,
        bounds: Bounds,
        limits: Limits,
        tell: Tell,
        reload: Callable[[], Launch],
        notifier: Notifier,
        clock: Clock,
        dice: Random,
    ) -> None:
        self._launch = launch
        self._backend = backend
        self._leases = leases
        self._watchtower = watchtower
        self._book = book
        self._gauge = gauge
        self._bounds = bounds
        self._demand = Demand(bounds.fewest)
        self._limits = limits
        self._tell = tell
        self._reload = reload
        self._notifier = notifier
        self._clock = clock
        self._dice = dice
        self._started_ms = clock.now_ms()
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._places: dict[int, Place] = {}
        self._workers: set[Worker] = set()
        self._to_replace: deque[tuple[Worker, bool]] = deque()
        self._replacement: Replacement | None = None
        self._next_launch: Launch | None = None
        self._look_at = clock.monotonic()
        self._looking = False
        self._looked: float | None = None
        self._failures = 0
        self._stopping = False
        self._notice = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[str, tuple[bool, str]] = {}
        self.fallen = asyncio.Event()
        """Set while every place is FATAL."""

    # ---------------------------------------------------------------- from outside

    def wish(self, wish: Wish) -> None:
        """Asks for something. Only enqueues: safe to call from a signal handler of the loop."""
        self._events.put_nowait(wish)

    @property
    def fatal(self) -> dict[int, str]:
        """The places that are FATAL, each with the reason."""
        return {number: place.reason for number, place in self._places.items() if place.phase is Phase.FATAL}

    def pids(self) -> list[int]:
        """The process ids of the workers that run now."""
        return [worker.handle.pid for worker in self._workers]

    async def run(self) -> None:
        """Supervises until it is asked to stop and no worker is left."""
        try:
            await self._begin()
            while not (self._stopping and not self._workers):
                await self._turn()
            self._notifier.stopping("stopped")
        finally:
            await self._end()

    # ---------------------------------------------------------------- the loop

    async def _begin(self) -> None:
        for handle in await self._backend.adopt():
            self._take_over(handle)
        self._fit(self._clock.monotonic())
        self._spawn(self._sweep())
        await self._due(self._clock.monotonic())
        self._notifier.ready(self._summary())

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self._until_due_s(self._clock.monotonic())):
                event = await self._events.get()
        except TimeoutError:
            event = None
        if event is not None:
            await self._handle(event)
        now = self._clock.monotonic()
        self._fit(now)
        await self._due(now)
        self._notifier.alive()

    async def _handle(self, event: _Event) -> None:
        if isinstance(event, _Ended):
            self._on_exit(event.worker, event.status)
        elif isinstance(event, Look):
            self._on_look(event)
        elif isinstance(event, _Blind):
            self._on_blind(event.error)
        elif isinstance(event, _Broken):
            raise event.error
        elif isinstance(event, _Swept):
            for worker_id in event.worker_ids:
                self._tell(f"{worker_id} was left behind by an earlier supervisor; it is gone")
                self._release(worker_id, "its supervisor died")
        else:
            self._on_wish(event)

    def _until_due_s(self, now: float) -> float:
        times = [worker.kill_at for worker in self._workers if worker.kill_at is not None]
        times += [place.start_at for place in self._places.values() if place.start_at is not None]
        if not self._looking:
            times.append(self._look_at)
        return min(LOOK_EVERY_S, max(0.0, min(times, default=now + LOOK_EVERY_S) - now))

    async def _due(self, now: float) -> None:
        """Does everything whose time has come."""
        for worker in list(self._workers):
            if worker.kill_at is not None and worker.kill_at <= now:
                self._kill(worker)
        for place in self._places.values():
            if place.worker is None and place.start_at is not None and place.start_at <= now:
                await self._start_in(place, now)
        await self._replace_next(now)
        if not self._looking and self._look_at <= now and not self._stopping_done():
            self._looking = True
            self._spawn(self._look(now))

    def _stopping_done(self) -> bool:
        return self._stopping and not self._workers

    async def _end(self) -> None:
        for worker in list(self._workers):  # only when the loop itself has failed
            worker.handle.signal(signal.SIGKILL)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=KILL_AFTER_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # While Redis is away, our silence will tell.
        with suppress(RedisError, OSError):
            async with asyncio.timeout(KILL_AFTER_S):
                await self._book.end()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._events.put_nowait(_Broken(error))

    # ---------------------------------------------------------------- starting and stopping workers

    def _fit(self, now: float) -> None:
        """Has as many places as are aimed at: the lowest free numbers come, those in trouble and the newest go."""
        if self._stopping:
            return
        while len(self._places) < self._demand.count:
            number = next(n for n in range(1, len(self._places) + 2) if n not in self._places)
            self._places[number] = Place(number, start_at=now)
        while len(self._places) > self._demand.count:
            number = max(self._places, key=lambda n: (self._places[n].worker is None, n))
            self._remove(self._places.pop(number), now)
        self.fallen.clear()
        if self._places and len(self.fatal) == len(self._places):
            self.fallen.set()

    def _remove(self, place: Place, now: float) -> None:
        self._cancel_replacement(place, now)
        if place.worker is not None:
            self._drain(place.worker, now, "no longer wanted")

    def _cancel_replacement(self, place: Place, now: float) -> None:
        if self._replacement is not None and self._replacement.place is place:
            self._drain(self._replacement.new, now, "no longer wanted")
            self._replacement = None

    async def _start_in(self, place: Place, now: float) -> None:
        place.start_at = None
        worker = await self._start(place.number, self._launch, now)
        if worker is None:
            self._judge_exit(place, Exit(None, 0.0, worked=False, cause="it cannot be started"), now)
        else:
            place.worker, place.last_id, place.reason = worker, worker.worker_id, ""

    async def _start(self, number: int, launch: Launch, now: float) -> Worker | None:
        worker_id = f"{host_name()}-{number}-{os.urandom(3).hex()}"
        try:
            handle = await self._backend.start(worker_id, number, launch.environ)
        except OSError as error:
            self._tell(f"worker {number} cannot be started: {error}")
            return None
        return self._watch(Worker(handle, number, now, self._limits.drawn(self._dice)))

    def _take_over(self, handle: Handle) -> None:
        number = next(n for n in range(1, len(self._places) + 2) if n not in self._places)
        worker = self._watch(Worker(handle, number, self._clock.monotonic(), self._limits.drawn(self._dice)))
        self._places[number] = Place(number, worker, last_id=worker.worker_id)
        self._demand = Demand(self._bounds.clamp(max(self._demand.count, len(self._places))))
        self._tell(f"worker {number}: {handle.worker_id} goes on under this supervisor")

    def _watch(self, worker: Worker) -> Worker:
        self._workers.add(worker)
        self._spawn(self._await_exit(worker))
        return worker

    async def _await_exit(self, worker: Worker) -> None:
        self._events.put_nowait(_Ended(worker, await worker.handle.wait()))

    def _drain(self, worker: Worker, now: float, reason: str) -> None:
        """Asks a worker to end its jobs and stop; kills it when it does not in time."""
        if worker.phase is Phase.DRAINING or worker.killed_for is not None:
            return
        worker.phase, worker.reason = Phase.DRAINING, reason
        worker.kill_at = now + self._launch.settings.drain_timeout_s + KILL_AFTER_S
        worker.handle.signal(signal.SIGTERM)

    def _abort(self, worker: Worker, now: float, why: str) -> None:
        """Has a hung worker write its stack to its log, then kills it."""
        self._tell(f"worker {worker.number} ({worker.worker_id}) is killed: {why}; {self._see_log(worker)}")
        worker.killed_for = why
        worker.kill_at = now + ABORT_GRACE_S
        worker.handle.signal(signal.SIGABRT)

    def _kill(self, worker: Worker) -> None:
        worker.kill_at = None
        worker.killed_for = worker.killed_for or "it did not drain in time"
        worker.handle.signal(signal.SIGKILL)

    # ---------------------------------------------------------------- exits

    def _on_exit(self, worker: Worker, status: int | None) -> None:
        now = self._look_at = self._clock.monotonic()
        self._workers.discard(worker)
        self._backend.forget(worker.handle)
        cause = None if worker.killed_for is None else f"killed: {worker.killed_for}"
        ended = Exit(status, now - worker.started, worker.watch.reported, cause)
        if not ended.orderly:
            self._release(worker.worker_id, ended.describe())
        if self._replacement is not None and worker in (self._replacement.old, self._replacement.new):
            self._replacement_ended(self._replacement, worker, ended, now)
        place = self._places.get(worker.number)
        if place is None or place.worker is not worker:
            return
        if self._stopping or worker.phase is Phase.DRAINING:
            place.empty(Phase.EXITED, worker.reason)
            if not self._stopping and not place.held:
                place.empty(Phase.BACKOFF, worker.reason, start_at=now)
            return
        self._judge_exit(place, ended, now)

    def _judge_exit(self, place: Place, ended: Exit, now: float) -> None:
        place.quick_deaths = quick_deaths_after(ended, place.quick_deaths)
        decision = after_exit(ended, place.quick_deaths, self._dice)
        if isinstance(decision, GiveUp):
            place.empty(Phase.FATAL, decision.reason)
            self._tell(
                f"worker {place.number} stays down: {decision.reason}; "
                f"see {self._backend.log_of(place.number, place.last_id)}"
            )
            return
        place.empty(Phase.BACKOFF, ended.describe(), start_at=now + decision.pause_s)
        self._tell(
            f"worker {place.number} died ({ended.describe()}); its jobs are given back, "
            f"it starts again in {decision.pause_s:.1f} s"
        )

    def _release(self, worker_id: str, why: str) -> None:
        self._spawn(self._release_until_done(worker_id, why))

    async def _release_until_done(self, worker_id: str, why: str) -> None:
        """Gives the jobs of a dead worker back. While Redis is away it keeps at it until the leases have ended."""
        deadline = self._clock.monotonic() + self._launch.settings.lease_ms / 1000
        while True:
            try:
                await self._leases.end_worker(worker_id, f"the worker died: {why}", lost=True)
            except (RedisError, OSError) as error:
                if self._clock.monotonic() < deadline and not self._stopping:
                    await asyncio.sleep(RELEASE_PAUSE_S)
                    continue
                self._tell(f"the jobs of {worker_id} could not be given back ({error}); their leases end")
            return

    # ---------------------------------------------------------------- replacing workers one by one

    def _queue_replacement(self, worker: Worker, *, rolling: bool) -> None:
        if all(queued is not worker for queued, _ in self._to_replace):
            self._to_replace.append((worker, rolling))

    async def _replace_next(self, now: float) -> None:
        """Starts the next successor, once the replacement before is complete."""
        while self._replacement is None and self._to_replace and not self._stopping:
            old, rolling = self._to_replace.popleft()
            place = self._places.get(old.number)
            if place is None or place.worker is not old or not old.serving:
                continue
            launch = self._next_launch if rolling and self._next_launch is not None else self._launch
            new = await self._start(place.number, launch, now)
            if new is None:
                self._give_up_replacing(place, "its successor cannot be started", rolling, now)
                continue
            self._replacement = Replacement(place, old, new, rolling)
        if self._next_launch is not None and self._replacement is None and not self._rolls_queued():
            self._launch, self._next_launch = self._next_launch, None
            for place in self._places.values():
                if place.phase in (Phase.BACKOFF, Phase.FATAL) and place.worker is None:
                    self._reset_place(place, now)
            self._say_notice("")
            self._tell("the reload is complete")
            self._notifier.ready(self._summary())

    def _rolls_queued(self) -> bool:
        return any(rolling for _, rolling in self._to_replace)

    def _succeed(self, replacement: Replacement, now: float) -> None:
        """The new worker has reported: it takes the place, and the old one drains."""
        place, old, new = replacement.place, replacement.old, replacement.new
        place.worker, place.last_id, place.quick_deaths = new, new.worker_id, 0
        self._drain(old, now, old.reason or "replaced")

    def _replacement_ended(self, replacement: Replacement, worker: Worker, ended: Exit, now: float) -> None:
        self._replacement = None
        if worker is replacement.new and replacement.place.worker is replacement.old:
            why = (
                f"the successor of worker {worker.number} died ({ended.describe()}); {self._see_log(worker)}"
            )
            self._give_up_replacing(replacement.place, why, replacement.rolling, now)
        elif worker is replacement.old and replacement.place.worker is replacement.old:
            # It died before its successor was there, which takes the place as it is.
            replacement.place.worker = replacement.new
            replacement.place.last_id = replacement.new.worker_id

    def _give_up_replacing(self, place: Place, why: str, rolling: bool, now: float) -> None:
        place.quiet_until = now + REPLACE_AGAIN_S
        if place.worker is not None:
            place.worker.reason = ""
        if not rolling:
            self._tell(f"worker {place.number} is not replaced: {why}")
            return
        self._to_replace = deque(entry for entry in self._to_replace if not entry[1])
        if self._next_launch is not None:
            self._next_launch = None
            self._say_notice(f"the reload was given up: {why}; the old settings hold")
            self._notifier.ready(self._summary())
        else:
            self._say_notice(f"the rolling restart was given up: {why}")

    # ---------------------------------------------------------------- looks

    async def _look(self, now: float) -> None:
        # Oldest first, so that what is published is in the order of the places.
        ids = [worker.worker_id for worker in self._workers]
        try:
            self._events.put_nowait(await self._watchtower.look(self._state(), ids, now))
        except Exception as error:
            # Redis is away, or holds what we do not understand: neither is a reason to leave the workers alone.
            self._events.put_nowait(_Blind(error))

    def _on_look(self, look: Look) -> None:
        now = self._clock.monotonic()
        if self._failures:
            self._tell("Redis answers again")
        # A look that was late, because we were held up ourselves, says nothing about the workers' silence.
        passed = 0.0 if self._looked is None else min(now - self._looked, 2 * LOOK_EVERY_S)
        self._looking, self._failures, self._looked = False, 0, now
        starting = any(worker.phase is Phase.STARTING for worker in self._workers)
        self._look_at = look.at + (LOOK_AT_STARTING_S if starting else LOOK_EVERY_S)
        for worker in list(self._workers):
            if worker.worker_id in look.workers:
                self._examine(worker, look, passed, now)
        if not self._stopping:
            self._demand = self._demand.observe(now, need(look.load, self._demand.count), self._bounds)
        for order in look.orders:
            self._obey(order, now)
            self._look_at = now  # who gave it will want to see what came of it
        listed = {order.order_id for order in look.orders}
        self._answers = {key: answer for key, answer in self._answers.items() if key in listed}
        self._notifier.status(self._summary())

    def _on_blind(self, error: Exception) -> None:
        self._failures += 1
        # The first, then ever rarer.
        if self._failures & (self._failures - 1) == 0:
            self._tell(
                f"Redis does not answer ({error}); workers are supervised, jobs and orders are not seen"
            )
        self._looking, self._looked = False, None
        self._look_at = self._clock.monotonic() + LOOK_EVERY_S / 2
        for worker in self._workers:
            worker.watch = worker.watch.blind()

    def _examine(self, worker: Worker, look: Look, passed: float, now: float) -> None:
        seen = look.workers[worker.worker_id]
        worker.watch = worker.watch.looked(seen.heartbeat_ms, passed)
        worker.oldest_run_s, worker.rss_bytes, worker.jobs = seen.oldest_run_s, seen.rss_bytes, seen.jobs
        if worker.killed_for is not None:
            return
        if worker.phase is Phase.STARTING and worker.watch.reported:
            self._on_running(worker, now)
        settings = self._launch.settings
        why = hang.verdict(
            worker.watch,
            heartbeat_ms=settings.heartbeat_ms,
            oldest_run_s=worker.oldest_run_s,
            job_timeout_s=settings.job_timeout_s,
            draining=worker.phase is Phase.DRAINING,
        )
        if why is not None:
            self._abort(worker, now, why)
        elif worker.phase is Phase.RUNNING:
            self._consider_recycling(worker, now)

    def _on_running(self, worker: Worker, now: float) -> None:
        worker.phase = Phase.RUNNING
        if self._replacement is not None and self._replacement.new is worker:
            self._succeed(self._replacement, now)

    def _consider_recycling(self, worker: Worker, now: float) -> None:
        place = self._places.get(worker.number)
        if place is None or place.worker is not worker or now < place.quiet_until or worker.reason:
            return
        why = reason_to_recycle(
            worker.limits, rss_bytes=worker.rss_bytes, jobs=worker.jobs, age_s=now - worker.started
        )
        if why is not None:
            worker.reason = f"recycled: {why}"
            self._tell(f"worker {worker.number} ({worker.worker_id}) is replaced: {why}")
            self._queue_replacement(worker, rolling=False)

    # ---------------------------------------------------------------- wishes and orders

    def _on_wish(self, wish: Wish) -> None:
        now = self._clock.monotonic()
        if wish is Wish.STOP:
            self._stop(now)
        elif self._stopping:
            return
        elif wish is Wish.RELOAD:
            self._begin_reload()
        else:
            step = 1 if wish is Wish.MORE else -1
            count = max(1, self._demand.count + step)
            self._set_bounds(Bounds(count, count))
            self._tell(f"{count} workers are wanted now")

    def _stop(self, now: float) -> None:
        if self._stopping:
            for worker in self._workers:
                worker.handle.signal(signal.SIGTERM)
            return
        self._stopping = True
        self._notifier.stopping("draining the workers")
        self._to_replace.clear()
        for place in self._places.values():
            place.start_at = None
        for worker in self._workers:
            self._drain(worker, now, "the supervisor stops")

    def _begin_reload(self) -> None:
        self._notifier.reloading(int(self._clock.monotonic() * 1_000_000))
        try:
            launch = self._reload()
        except PreviewopsError as error:
            self._say_notice(f"the reload was refused: {error.message}; the old settings hold")
            self._notifier.ready(self._summary())
            return
        self._next_launch = launch
        self._tell("reloading: the workers are replaced one by one")
        self._roll()

    def _roll(self) -> None:
        for number in sorted(self._places):
            worker = self._places[number].worker
            if worker is not None and worker.serving:
                self._queue_replacement(worker, rolling=True)

    def _set_bounds(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._demand = self._demand.rebased(bounds)

    def _obey(self, order: Order, now: float) -> None:
        """Carries an order out, once: one that comes again, because its answer got lost, is answered again."""
        if order.order_id not in self._answers:
            answer = (False, "it is stopping") if self._stopping else self._carry_out(order, now)
            self._answers[order.order_id] = answer
            named = f"{order.act.value} {order.worker}".rstrip()
            self._tell(f"{order.who} orders {named}: {answer[1]}")
        self._spawn(self._acknowledge(order, *self._answers[order.order_id]))

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
        acts = {Act.DRAIN: self._drain_place, Act.RESTART: self._restart_place, Act.RESET: self._reset_place}
        count = sum(acts[order.act](place, now) for place in places)
        if count == 0:
            return False, f"nothing to {order.act.value}: {self._phases(places)}"
        return True, f"{order.act.value} of {count} worker{'' if count == 1 else 's'} begun"

    def _places_named(self, worker_id: str) -> list[Place]:
        return [
            place
            for _, place in sorted(self._places.items())
            if not worker_id or worker_id == (place.worker.worker_id if place.worker else place.last_id)
        ]

    def _phases(self, places: list[Place]) -> str:
        return ", ".join(sorted({place.supervised().phase for place in places}))

    def _drain_place(self, place: Place, now: float) -> bool:
        """The worker ends its jobs and stays away; its place stays empty until it is reset or restarted."""
        place.held = True
        if place.worker is None:
            changed = place.phase is not Phase.EXITED
            place.empty(Phase.EXITED, "drained by order")
            return changed
        if not place.worker.serving:
            return False
        self._cancel_replacement(place, now)
        self._drain(place.worker, now, "drained by order")
        return True

    def _restart_place(self, place: Place, now: float) -> bool:
        if place.worker is None:
            return self._reset_place(place, now)
        if not place.worker.serving:
            return False
        place.worker.reason = "restarted by order"
        self._queue_replacement(place.worker, rolling=False)
        return True

    def _reset_place(self, place: Place, now: float) -> bool:
        place.held = False
        if place.worker is not None:
            return place.worker.phase is Phase.DRAINING
        place.quick_deaths = 0
        place.empty(Phase.BACKOFF, "reset", start_at=now)
        return True

    # ---------------------------------------------------------------- what is said

    def _state(self) -> SupervisorState:
        holders = {place.worker for place in self._places.values()}
        others = sorted((w for w in self._workers if w not in holders), key=lambda w: w.started)
        return SupervisorState(
            host=host_name(),
            pid=os.getpid(),
            version=__version__,
            backend=self._backend.name,
            state="stopping" if self._stopping else "running",
            count=self._demand.count,
            bounds=self._bounds,
            rss_bytes=self._gauge.rss_bytes(),
            started_ms=self._started_ms,
            notice=self._notice,
            workers=(
                *(place.supervised() for _, place in sorted(self._places.items())),
                *(worker.supervised(0) for worker in others),
            ),
        )

    def _say_notice(self, words: str) -> None:
        self._notice = words
        if words:
            self._tell(words)

    def _see_log(self, worker: Worker) -> str:
        return f"see {self._backend.log_of(worker.number, worker.worker_id)}"

    def _summary(self) -> str:
        running = sum(worker.phase is Phase.RUNNING for worker in self._workers)
        words = f"{running} of {self._demand.count} workers run"
        if self.fatal:
            words += f", {len(self.fatal)} FATAL"
        return f"{words}; {self._notice}" if self._notice else words

    async def _sweep(self) -> None:
        self._events.put_nowait(_Swept(await self._backend.sweep()))
