"""A state machine that chooses faults at random, while jobs are submitted and rendered."""

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
END_PATIENCE_S = 300.0
LEAST_STEPS = 60
"""On a busy machine the time may pass with too few faults."""
BATCH = 12
POISON: tuple[dict[str, Any], ...] = ({"raises": "at random"}, {"segfault": True}, {"kills_worker": True})
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
    """A sequence of faults on a cluster; the same seed gives the same sequence."""

    def __init__(self, cluster: Cluster, server: RedisProcess, seed: int) -> None:
        self.cluster = cluster
        self.server = server
        self.done: Counter[str] = Counter()
        # Two generators, so that the sequence of faults depends on the seed alone and not on the running workers.
        self._plan = random.Random(seed)
        self._rng = random.Random(seed + 1)
        self._frozen: list[WorkerUnderTest] = []
        self._numbers = iter(range(10**9))

    async def run(self, seconds: float) -> None:
        """Causes faults for a time, then ends them all and waits until no job is pending."""
        until = time.monotonic() + seconds
        await self.cluster.start_workers(WORKERS)
        while time.monotonic() < until or self.done.total() < LEAST_STEPS:
            name = self._plan.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            await getattr(self, f"_{name}")()
            self.done[name] += 1
            self._replace_dead_workers()
            # The pause between faults; it waits for nothing.
            await asyncio.sleep(self._rng.uniform(0, 0.25))
        await self._end_faults()

    async def _end_faults(self) -> None:
        while self._frozen:
            self._frozen.pop().signal(signal.SIGCONT)
        await self._resume()

        async def drained() -> bool:
            self._replace_dead_workers()
            return (await self._retry(self.cluster.snapshot)).pending == 0

        # A job that kills its worker needs five of them, and each of those a second to start.
        await self.cluster.eventually(drained, "nothing is pending", within_s=END_PATIENCE_S)

    async def _retry(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retries a call until Redis is available, as a producer or an operator would."""
        while True:
            try:
                return await call()
            except (RedisError, OSError):
                # Redis is restarting, or the connection is of the time before.
                await asyncio.sleep(0.01)

    def _running_workers(self) -> list[WorkerUnderTest]:
        return [worker for worker in self.cluster.workers if worker.alive and worker not in self._frozen]

    def _replace_dead_workers(self) -> None:
        self._frozen = [worker for worker in self._frozen if worker.alive]
        for _ in range(WORKERS - len(self._running_workers())):
            self.cluster.start_worker()

    # ---------------------------------------------------------------- producers and operators

    async def _submit(self) -> None:
        jobs = []
        for _ in range(self._rng.randint(1, BATCH)):
            fault = self._rng.choice(POISON) if self._rng.random() < 0.1 else {}
            if self._rng.random() < 0.2:
                # Long enough for the fault to happen during the run.
                fault = {**fault, "takes_s": round(self._rng.uniform(0, 1.5), 2)}
            jobs.append(payload(f"job-{next(self._numbers):05}", dry_run=self._rng.random() < 0.1, **fault))
        # Submits are idempotent: one whose reply was lost is repeated.
        await self._retry(lambda: self.cluster.submit(*jobs))

    async def _cancel(self) -> None:
        if not self.cluster.accepted:
            return
        job_id = self._rng.choice(sorted(self.cluster.accepted)[-20:])
        try:
            await self._retry(lambda: self.cluster.queue.cancel(job_id, who="machine"))
        except PreviewopsError:
            # It has ended.
            self.done["cancel-too-late"] += 1

    async def _requeue(self) -> None:
        dead_letters = DeadLetters(self.cluster.redis, self.cluster.settings)
        await self._retry(lambda: dead_letters.requeue(DeadLetterFilter(), who="machine"))

    async def _pause(self) -> None:
        await self._retry(lambda: self.cluster.queue.pause(who="machine"))

    async def _resume(self) -> None:
        await self._retry(lambda: self.cluster.queue.resume(who="machine"))

    # ---------------------------------------------------------------- faults

    def _victim(self) -> WorkerUnderTest | None:
        """Returns a worker that runs, None if all have died since they were last replaced."""
        running = self._running_workers()
        return self._rng.choice(running) if running else None

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
        await asyncio.sleep(self._rng.uniform(0, 1.0))
        await asyncio.to_thread(self.server.start)

    async def _freeze_redis(self) -> None:
        self.server.freeze()
        await asyncio.sleep(self._rng.uniform(0, 3.0))
        self.server.thaw()


async def count_dead_by_cause(cluster: Cluster) -> Counter[str]:
    """Counts the dead jobs by cause."""
    records = [await cluster.status(job_id) for job_id in cluster.accepted]
    return Counter(str(record.cause) for record in records if record.state is JobState.DEAD)
