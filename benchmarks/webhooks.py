"""Processor time of webhooks: what a delivery costs the worker that sends it, and Redis.

    python -m benchmarks.webhooks [--deliveries N] [--rate N]

Jobs that have ended, on a private Redis without persistence, and a receiver in a process of its own that keeps
connections open. Once all messages wait, and once they come at a rate, 1,000 a minute by default.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from benchmarks.queue import private_redis
from previewops.contract import validate
from previewops.queue.leases import CompletedJob, Leases
from previewops.queue.queue import Queue
from previewops.queue.webhooks import Webhooks
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.tasks import cancel_and_wait
from previewops.worker.webhooks.delivery import Delivery
from previewops.worker.webhooks.sender import WebhookSender

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BATCH = 100

# Answers every request, and prints its port and then, on a line from standard input, the number of requests.
RECEIVER = """
import asyncio, contextlib, sys
seen = connections = 0
async def handle(reader, writer):
    global seen, connections
    connections += 1
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            size = next(line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(size.split(b":")[1]))
            seen += 1
            writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    writer.close()
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(seen, connections, flush=True)
asyncio.run(main())
"""


def payload(number: int) -> dict[str, object]:
    """A job as applications submit it."""
    return {
        "jobId": f"lesson-{number}",
        "projectId": "lessons",
        "requestId": f"lesson-{number}",
        "dryRun": False,
        "previewRequest": {
            "title": "A lesson",
            "steps": [{"text": "words " * 20}] * 8,
            "assets": [],
            "audio": {},
        },
    }


async def prepare(queue: Queue, settings: Settings, webhooks: Webhooks, count: int) -> list[str]:
    """Ends jobs, and returns the ids of their messages, which are not due."""
    await webhooks.claim(0, all_jobs=True)
    leases = Leases(queue.redis, settings, "bench")
    artifacts = [
        {"path": f"frames/{n:03}.webp", "bytes": 12_345, "sha256": "ab" * 32, "mediaType": "image/webp"}
        for n in range(12)
    ]
    result = json.dumps({"bundle": "/data/previews/lessons/x", "artifacts": artifacts, "durationMs": 12_000})
    for start in range(0, count, BATCH):
        await queue.submit_many([validate(payload(number)) for number in range(start, start + BATCH)])
        claims = (await leases.claim(BATCH)).claims
        await leases.finish([CompletedJob(claim, result, 12.5) for claim in claims], 0)
    ids: list[str] = []
    while messages := (await webhooks.claim(BATCH, all_jobs=True)).messages:
        for message in messages:
            await webhooks.record_failed(message, "")
            ids.append(message.id)
    return ids


async def processor_s(queue: Queue) -> tuple[float, float]:
    """Processor time in s of this process and of Redis."""
    usage = await queue.redis.info("cpu")
    return time.process_time(), usage["used_cpu_user"] + usage["used_cpu_sys"]


async def deliver(
    queue: Queue, webhooks: Webhooks, url: str, ids: Sequence[str], rate: float
) -> tuple[float, ...]:
    """Sends messages. Returns ms of processor time per delivery of this process and of Redis, and the time in s."""
    sender = WebhookSender(webhooks, queue, Delivery(SECRET, url), random.Random(1), all_jobs=True)
    if not rate:
        await webhooks.resend(ids, who="bench")
    before, began = await processor_s(queue), time.perf_counter()
    sending = asyncio.create_task(sender.run())
    for number, message in enumerate(ids if rate else ()):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        await webhooks.resend([message], who="bench")
    while await queue.redis.zcard(queue.keys.webhooks):
        await asyncio.sleep(0.2)
    took, after = time.perf_counter() - began, await processor_s(queue)
    await cancel_and_wait([sending])
    return *((end - start) * 1000 / len(ids) for start, end in zip(before, after, strict=True)), took


async def measure(socket: str, deliveries: int, rate: float) -> None:
    """Prints a row for all at once, for a rate, and for the resends alone, which the row before contains."""
    settings = Settings(queue_max=1_000_000)
    receiver = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", RECEIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert receiver.stdin is not None
    assert receiver.stdout is not None
    url = f"http://127.0.0.1:{int(receiver.stdout.readline())}/hook"
    redis = connect(f"unix://{socket}", role="bench")
    queue, webhooks = Queue(redis, settings), Webhooks(redis, settings)
    ids = await prepare(queue, settings, webhooks, deliveries)
    print(f"{'':<28}{'worker':>12}{'Redis':>12}{'time':>10}")
    few = ids[: int(rate * 20)]
    for name, chosen, at in (
        ("first", ids[:1], 0),
        ("all at once", ids[1:], 0),
        (f"{rate:.1f}/s", few, rate),
    ):
        if at:
            for message in (await webhooks.claim(1, all_jobs=True)).messages:
                await webhooks.record_failed(message, "")
            ids = await prepare_again(queue, webhooks, settings, len(few))
            chosen = ids
        worker, server, took = await deliver(queue, webhooks, url, chosen, at)
        print(f"{name:<28}{worker:>9.2f} ms{server:>9.2f} ms{took:>8.1f} s")
    print("", file=receiver.stdin, flush=True)
    print(f"received, connections: {receiver.stdout.readline().strip()}")
    receiver.terminate()
    receiver.wait()
    await redis.aclose()


async def prepare_again(queue: Queue, webhooks: Webhooks, settings: Settings, count: int) -> list[str]:
    await queue.redis.flushdb()
    return await prepare(queue, settings, webhooks, count)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deliveries", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=1000 / 60)
    options = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.PrintLoggerFactory(open(os.devnull, "w")),
    )
    before = os.getloadavg()[0]
    with private_redis() as socket:
        asyncio.run(measure(str(socket), options.deliveries, options.rate))
    print(
        f"{datetime.now(tz=UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    )


if __name__ == "__main__":
    main()
