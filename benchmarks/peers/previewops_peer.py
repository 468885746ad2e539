"""previewops doing no-op jobs, all bookkeeping on: previewops_peer.py URL MEASUREMENT CONCURRENCY JOBS [PROJECTS]

MEASUREMENT is throughput, latency, submit_many, or waiting, completed or dead, which leave jobs in that state.
Prints one JSON object. Only the render is left out: claim, lease, heartbeat, counters, results and retention are
those of a real worker. PROJECTS is the number of projects of the jobs that throughput submits, 1 by default.
"""

import asyncio
import json
import sys
import time
from typing import Any

import structlog
import uvloop
from arq.worker import func
from redis.asyncio import Redis

from previewops import AsyncClient
from previewops.contract import Payload, validate
from previewops.job_errors import PermanentJobError
from previewops.queue.queue import Queue
from previewops.queue.records import RENDER_FUNCTION
from previewops.redis_server.connection import connect, connection_pool
from previewops.settings import Settings
from previewops.worker.engine.worker import PreviewWorker


def payload(number: int, projects: int = 1) -> Payload:
    """A small valid job of one of ``projects``."""
    return validate(
        {
            "jobId": f"job-{number}",
            "projectId": "bench" if projects == 1 else f"bench-{number % projects}",
            "requestId": "bench",
            "dryRun": False,
            "previewRequest": {"steps": [], "assets": [], "audio": {}},
        }
    )


async def throughput(url: str, settings: Settings, jobs: int, projects: int = 1) -> dict[str, Any]:
    """Submits all jobs, then measures one worker that completes them."""
    redis = connect(url, role="bench")
    before_ms = await server_ms(redis)
    await Queue(redis, settings).submit_many([payload(number, projects) for number in range(jobs)])
    submit_ms = await server_ms(redis) - before_ms

    async def no_op(_ctx: dict[Any, Any], _payload: Any) -> None:
        return None

    worker = PreviewWorker(
        [func(no_op, name=RENDER_FUNCTION)],
        settings=settings,
        pool=connection_pool(url, role="bench"),
        worker_id="bench",
        burst=True,
    )
    server_before = await server_ms(redis)
    started, before = time.perf_counter(), time.process_time()
    await worker.main()
    seconds, used = time.perf_counter() - started, time.process_time() - before
    spent_ms = await server_ms(redis) - server_before
    assert worker.jobs_complete == jobs
    await worker.close()
    await redis.aclose()
    return {
        "perSecond": jobs / seconds,
        "cpuMs": used * 1000 / jobs,
        "redisMs": spent_ms / jobs,
        "submitRedisMs": submit_ms / jobs,
    }


async def server_ms(redis: Redis) -> float:
    """Processor time that the Redis server has used, in ms."""
    info = await redis.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"]) * 1000


async def latency(url: str, settings: Settings, jobs: int) -> dict[str, Any]:
    """Submits one job at a time to an idle worker; from before the submit to the start of the job."""
    begun: asyncio.Future[float]

    async def no_op(_ctx: dict[Any, Any], _payload: Any) -> None:
        begun.set_result(time.perf_counter())

    worker = PreviewWorker(
        [func(no_op, name=RENDER_FUNCTION)],
        settings=settings,
        pool=connection_pool(url, role="bench"),
        worker_id="bench",
    )
    running = asyncio.create_task(worker.main())
    redis = connect(url, role="bench")
    queue = Queue(redis, settings)
    made = [payload(number) for number in range(jobs)]
    samples = []
    for job in made:
        await asyncio.sleep(0.005)
        begun = asyncio.get_running_loop().create_future()
        submitted = time.perf_counter()
        await queue.submit(job)
        samples.append((await begun - submitted) * 1000)
    worker.drain()
    await running
    await worker.close()
    await redis.aclose()
    return {"ms": samples}


async def submit_many(url: str, settings: Settings, jobs: int) -> dict[str, Any]:
    """The Python client's submit_many, and the time that Redis spent in its scripts; in ms."""
    documents = [payload(number).raw for number in range(jobs)]
    redis = connect(url, role="bench")
    async with AsyncClient(url, settings=settings) as client:
        await client.submit_many(documents[:1])  # loads the scripts
        await redis.config_resetstat()
        began, before = time.perf_counter(), time.process_time()
        await client.submit_many(documents)
        spent_ms, used = (time.perf_counter() - began) * 1000, time.process_time() - before
    stats = await redis.info("commandstats")
    await redis.aclose()
    script_ms = sum(row["usec"] for name, row in stats.items() if "eval" in name or "fcall" in name) / 1000
    return {"ms": spent_ms, "cpuMs": used * 1000, "scriptMs": script_ms}


async def fill(url: str, settings: Settings, jobs: int, state: str) -> dict[str, Any]:
    """Leaves ``jobs`` jobs in ``state``."""
    redis = connect(url, role="bench")
    await Queue(redis, settings).submit_many([payload(number) for number in range(jobs)])
    await redis.aclose()
    if state == "waiting":
        return {}

    async def end(_ctx: dict[Any, Any], _payload: Any) -> None:
        if state == "dead":
            raise PermanentJobError("asset-missing", "asset picture.jpg: the file does not exist")

    worker = PreviewWorker(
        [func(end, name=RENDER_FUNCTION)],
        settings=settings,
        pool=connection_pool(url, role="bench"),
        worker_id="bench",
        burst=True,
    )
    await worker.main()
    await worker.close()
    return {}


def main() -> None:
    """Runs the measurement that the arguments select."""
    url, what, concurrency, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    settings = Settings(queue_max=10_000_000, worker_concurrency=concurrency)
    projects = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    measured = {"latency": latency, "submit_many": submit_many}.get(what)
    if what == "throughput":
        running = throughput(url, settings, jobs, projects)
    else:
        running = measured(url, settings, jobs) if measured else fill(url, settings, jobs, what)
    print(json.dumps(uvloop.run(running)))


if __name__ == "__main__":
    main()
