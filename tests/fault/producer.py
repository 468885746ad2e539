"""A producer, as a process on a host: ``python -m tests.fault.producer PREFIX PAUSE_S``.

It submits the title cards PREFIX-0, PREFIX-1, …, repeats a failed submit with the same jobId, as producers should,
and prints a line for each reply: ``accepted ID`` or ``failed ID REASON``. It ends with its input.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from previewops.client import AsyncClient
from previewops.errors import RedisUnavailable
from tests.fault.cluster import payload


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that a producer got. ``at_s`` is monotonic."""

    job_id: str
    accepted: bool
    reason: str
    at_s: float


@dataclass(slots=True)
class Producer:
    """A running producer and its replies."""

    replies: list[Reply] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def accepted(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.accepted]

    async def wait_for(self, matches: Callable[[Reply], Any], count: int = 1) -> None:
        """Waits until ``count`` more replies match."""
        start = len(self.replies)
        async with asyncio.timeout(60):
            while sum(bool(matches(reply)) for reply in self.replies[start:]) < count:
                self._changed.clear()
                await self._changed.wait()

    async def read(self, output: asyncio.StreamReader) -> None:
        while line := (await output.readline()).decode().strip():
            kind, job_id, reason, at_s = line.split("\t")
            self.replies.append(Reply(job_id, kind == "accepted", reason, float(at_s)))
            self._changed.set()


@asynccontextmanager
async def producer(prefix: Sequence[str], url: str, name: str, pause_s: float) -> AsyncIterator[Producer]:
    """Runs a producer under the command ``prefix``; the jobs' ids begin with ``name``."""
    process = await asyncio.create_subprocess_exec(
        *prefix,
        *(sys.executable, "-m", "tests.fault.producer", name, str(pause_s)),
        env={
            **os.environ,
            "REDIS_URL": url,
            "PREVIEW_QUEUE_MAX": "100000",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    running = Producer()
    reading = asyncio.create_task(running.read(process.stdout))
    try:
        yield running
    finally:
        process.stdin.close()
        status = await process.wait()
        await reading
    assert status == 0


async def submit_until(ended: asyncio.Event, prefix: str, pause_s: float) -> None:
    """Ends after a submit that was accepted: an unanswered one may have been."""
    async with AsyncClient(os.environ["REDIS_URL"]) as client:
        for number in itertools.count():
            while not await is_accepted(client, f"{prefix}-{number}"):  # noqa: ASYNC110 - a producer's pause
                await asyncio.sleep(pause_s)
            if ended.is_set():
                return
            await asyncio.sleep(pause_s)


async def is_accepted(client: AsyncClient, job_id: str) -> bool:
    try:
        await client.submit(payload(job_id))
    except RedisUnavailable as error:
        print("failed", job_id, error.message, time.monotonic(), sep="\t", flush=True)
        return False
    print("accepted", job_id, "", time.monotonic(), sep="\t", flush=True)
    return True


async def main() -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        # Nothing is ever written: standard input becomes readable when it ends.
        loop.remove_reader(sys.stdin.fileno())
        ended.set()

    loop.add_reader(sys.stdin.fileno(), end)
    await submit_until(ended, sys.argv[1], float(sys.argv[2]))


if __name__ == "__main__":
    asyncio.run(main())
