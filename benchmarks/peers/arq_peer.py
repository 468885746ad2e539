"""Stock arq with no-op jobs: arq_peer.py URL throughput|latency CONCURRENCY JOBS. Prints JSON."""

import asyncio
import json
import logging
import sys
import time
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func
from usage import Usage

QUEUE = "bench-arq"


def as_json(record: dict[str, Any]) -> bytes:
    """The serializer that previewops uses too."""
    return json.dumps(record).encode()


def worker_of(redis: RedisSettings, function: Any, concurrency: int, *, burst: bool) -> Worker:
    """A worker with arq's defaults, except for the number of concurrent jobs."""
    return Worker(
        [func(function, name="render_preview")],
        redis_settings=redis,
        queue_name=QUEUE,
        max_jobs=concurrency,
        burst=burst,
        handle_signals=False,
        job_serializer=as_json,
        job_deserializer=json.loads,
    )


async def throughput(url: str, concurrency: int, jobs: int) -> dict[str, Any]:
    """Enqueues all jobs, then measures one worker that completes them."""
    redis = RedisSettings.from_dsn(url)
    pool = await create_pool(redis, job_serializer=as_json)
    for number in range(jobs):
        await pool.enqueue_job("render_preview", {}, _job_id=f"arq-{number}", _queue_name=QUEUE)

    async def no_op(_ctx: dict[Any, Any], _payload: Any) -> None:
        return None

    worker = worker_of(redis, no_op, concurrency, burst=True)
    usage = Usage(url)
    await worker.async_run()
    report = usage.report(jobs)
    await pool.aclose()
    return report


async def latency(url: str, concurrency: int, jobs: int) -> dict[str, Any]:
    """Enqueues one job at a time to an idle worker."""
    begun: asyncio.Future[float]

    async def no_op(_ctx: dict[Any, Any], _payload: Any) -> None:
        begun.set_result(time.perf_counter())

    redis = RedisSettings.from_dsn(url)
    pool = await create_pool(redis, job_serializer=as_json)
    running = asyncio.create_task(worker_of(redis, no_op, concurrency, burst=False).async_run())
    samples = []
    for number in range(jobs):
        # Its poll comes every half second: spread the submits over that half second.
        await asyncio.sleep(0.5 * number / jobs)
        begun = asyncio.get_running_loop().create_future()
        submitted = time.perf_counter()
        await pool.enqueue_job("render_preview", {}, _job_id=f"arq-{number}", _queue_name=QUEUE)
        samples.append((await begun - submitted) * 1000)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await pool.aclose()
    return {"ms": samples}


def main() -> None:
    """Runs the measurement that the arguments select."""
    logging.disable(logging.CRITICAL)
    url, what, concurrency, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    measured = {"throughput": throughput, "latency": latency}[what]
    print(json.dumps(uvloop.run(measured(url, concurrency, jobs))))


if __name__ == "__main__":
    main()
