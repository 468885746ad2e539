"""A state machine of faults: what may go wrong next, chosen by dice, while jobs are submitted and rendered."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.exceptions import RedisError

from previewops.errors import PreviewopsError
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters
from previewops.states import JobState
from tests.fault.cluster import Cluster, WorkerUnderTest, payload
from tests.redis_server import RedisProcess

T = TypeVar("T")

WORKERS = 3
BATCH = 12
POISON: tuple[dict[str, Any], ...] = ({"raises": "by the dice"}, {"segfault": True}, {"kills_worker": True})
WEIGHTS = {
    "submit": 8,
    "kill_worker": 3,
    "freeze_worker": 2,
    "thaw_worker": 3,
    "stop_worker": 2,
    "kill_redis": 1,
    "freeze_redis": 1,
    "pause": 1,
    "resume": 2,
    "cancel": 2,
    "requeue": 1,
}


class FaultMachine:
    """One sequence of faults over one cluster; the same seed gives the same sequence."""

    def __init__(self, cluster: Cluster, server: RedisProcess, seed: int) -> None:
        self.cluster = cluster
        self.server = server
        self.done: Counter[str] = Counter()
        # Two, so that which faults come, and in what order, hangs on the seed alone and not on what is alive.
        self._plan = random.Random(seed)
        self._dice = random.Random(seed + 1)
        self._frozen: list[WorkerUnderTest] = []
        self._numbers = iter(range(10**9))

    async def run(self, seconds: float) -> None:
        """Lets faults come for that long, then ends them all and waits until no job is pending."""
        until = time.monotonic() + seconds
        await self.cluster.start_workers(WORKERS)
        while time.monotonic() < until:
            name = self._plan.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            await getattr(self, f"_{name}")()
            self.done[name] += 1
            self._replace_the_dead()
            # The rhythm of the faults, not a wait for anything.
            await asyncio.sleep(self._dice.uniform(0, 0.25))
        await self._calm()

    async def _calm(self) -> None:
        while self._frozen:
            self._frozen.pop().signal(signal.SIGCONT)
        await self._resume()

        async def drained() -> bool:
            self._replace_the_dead()
            return (await self._insist(self.cluster.snapshot)).pending == 0

        await self.cluster.eventually(drained, "nothing is pending", within_s=120)

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """As a producer or an operator would: again, until Redis has answered."""
        while True:
            try:
                return await call()
            except (RedisError, OSError):
                # Redis is between two lives, or the connection is of the one before.
                await asyncio.sleep(0.01)

    def _upright(self) -> list[WorkerUnderTest]:
        return [worker for worker in self.cluster.workers if worker.alive and worker not in self._frozen]

    def _replace_the_dead(self) -> None:
        self._frozen = [worker for worker in self._frozen if worker.alive]
        for _ in range(WORKERS - len(self._upright())):
            self.cluster.start_worker()

    # ---------------------------------------------------------------- producers and operators

    async def _submit(self) -> None:
        jobs = []
        for _ in range(self._dice.randint(1, BATCH)):
            fault = self._dice.choice(POISON) if self._dice.random() < 0.1 else {}
            if self._dice.random() < 0.2:
                # Long enough for the fault to find it at work.
                fault = {**fault, "takes_s": round(self._dice.uniform(0, 1.5), 2)}
            jobs.append(payload(f"job-{next(self._numbers):05}", dry_run=self._dice.random() < 0.1, **fault))
        # Submits are idempotent: one whose answer was lost is made again.
        await self._insist(lambda: self.cluster.submit(*jobs))

    async def _cancel(self) -> None:
        if not self.cluster.accepted:
            return
        job_id = self._dice.choice(sorted(self.cluster.accepted)[-20:])
        try:
            await self._insist(lambda: self.cluster.queue.cancel(job_id, who="machine"))
        except PreviewopsError:
            # It has ended.
            self.done["cancel-too-late"] += 1

    async def _requeue(self) -> None:
        letters = DeadLetters(self.cluster.redis, self.cluster.settings)
        await self._insist(lambda: letters.requeue(DeadLetterFilter(), who="machine"))

    async def _pause(self) -> None:
        await self._insist(lambda: self.cluster.queue.pause(who="machine"))

    async def _resume(self) -> None:
        await self._insist(lambda: self.cluster.queue.resume(who="machine"))

    # ---------------------------------------------------------------- faults

    def _victim(self) -> WorkerUnderTest | None:
        """One that is upright; None where all have fallen since they were last replaced."""
        upright = self._upright()
        return self._dice.choice(upright) if upright else None

    async def _kill_worker(self) -> None:
        if worker := self._victim():
            worker.kill()

    async def _stop_worker(self) -> None:
        if worker := self._victim():
            worker.signal(signal.SIGTERM)

    async def _freeze_worker(self) -> None:
        if worker := self._victim():
            worker.signal(signal.SIGSTOP)
            self._frozen.append(worker)

    async def _thaw_worker(self) -> None:
        if self._frozen:
            self._frozen.pop(0).signal(signal.SIGCONT)

    async def _kill_redis(self) -> None:
        self.server.kill()
        await asyncio.sleep(self._dice.uniform(0, 1.0))
        await asyncio.to_thread(self.server.start)

    async def _freeze_redis(self) -> None:
        self.server.freeze()
        await asyncio.sleep(self._dice.uniform(0, 3.0))
        self.server.thaw()


async def dead_by_dice(cluster: Cluster) -> Counter[str]:
    """Of what causes jobs are dead."""
    records = [await cluster.status(job_id) for job_id in cluster.accepted]
    return Counter(str(record.cause) for record in records if record.state is JobState.DEAD)
