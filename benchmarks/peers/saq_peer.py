"""SAQ with no-op jobs: saq_peer.py URL throughput|latency CONCURRENCY JOBS. Prints JSON."""

import asyncio
import json
import logging
import sys
import time
from typing import Any

import uvloop
from redis.asyncio import Redis
from saq import Worker
from saq.queue.redis import RedisQueue
from usage import Usage

begun: asyncio.Future[float] | None = None
done = 0
all_done = asyncio.Event()


async def render_preview(_ctx: Any, **_payload: Any) -> None:
    """Records when it starts, if a latency is measured."""
    if begun is not None and not begun.done():
        begun.set_result(time.perf_counter())


async def throughput(url: str, concurrency: int, jobs: int) -> dict[str, Any]:
    """Enqueues all jobs, then measures one worker that completes them."""
    queue = RedisQueue(Redis.from_url(url))
    await queue.connect()
    for number in range(jobs):
        await queue.enqueue("render_preview", key=f"saq-{number}")

    async def count(_ctx: Any) -> None:
        global done  # noqa: PLW0603 - one measurement a process
        done += 1
        if done == jobs:
            all_done.set()

    worker = Worker(queue, functions=[render_preview], concurrency=concurrency, after_process=count)
    usage = Usage(url)
    running = asyncio.create_task(worker.start())
    await all_done.wait()
    report = usage.report(jobs)
    await worker.stop()
    running.cancel()
    return report


async def latency(url: str, concurrency: int, jobs: int) -> dict[str, Any]:
    """Enqueues one job at a time to an idle worker."""
    global begun  # noqa: PLW0603 - one measurement a process
    queue = RedisQueue(Redis.from_url(url))
    await queue.connect()
    worker = Worker(queue, functions=[render_preview], concurrency=concurrency)
    running = asyncio.create_task(worker.start())
    samples = []
    for number in range(jobs):
        await asyncio.sleep(0.005)
        begun = asyncio.get_running_loop().create_future()
        submitted = time.perf_counter()
        await queue.enqueue("render_preview", key=f"saq-{number}")
        samples.append((await begun - submitted) * 1000)
    await worker.stop()
    running.cancel()
    return {"ms": samples}


def main() -> None:
    """Runs the measurement that the arguments select."""
    logging.disable(logging.CRITICAL)
    url, what, concurrency, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    measured = {"throughput": throughput, "latency": latency}[what]
    print(json.dumps(uvloop.run(measured(url, concurrency, jobs))))


if __name__ == "__main__":
    main()
