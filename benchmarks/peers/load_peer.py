"""A queue under a steady load of no-op jobs: load_peer.py URL JOBS_PER_SECOND SECONDS"""

import asyncio
import sys
import time
from typing import Any

import structlog
import uvloop
from arq.worker import func

from benchmarks.peers.previewops_peer import payload
from previewops.queue.queue import Queue
from previewops.queue.records import RENDER_FUNCTION
from previewops.redis_server.connection import connect, connection_pool
from previewops.settings import Settings
from previewops.worker.engine.worker import PreviewWorker

TICK_S = 0.1


async def load(url: str, per_second: int, seconds: float) -> None:
    """Submits jobs at the given rate while a real worker completes them."""
    settings = Settings(queue_max=10_000_000, worker_concurrency=10)

    async def no_op(_ctx: dict[Any, Any], _payload: Any) -> None:
        return None

    worker = PreviewWorker(
        [func(no_op, name=RENDER_FUNCTION)],
        settings=settings,
        pool=connection_pool(url, role="bench"),
        worker_id="bench",
    )
    running = asyncio.create_task(worker.main())
    redis = connect(url, role="bench")
    queue = Queue(redis, settings)
    began, number = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * per_second)
        await queue.submit_many([payload(job_number) for job_number in range(number, due)])
        number = due
        await asyncio.sleep(TICK_S)
    worker.drain()
    await running
    await worker.close()
    await redis.aclose()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    uvloop.run(load(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
