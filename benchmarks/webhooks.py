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
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
import uvloop

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
RATE_S = 20
"""Time in s for which messages come at a rate."""

RECEIVER = """
import asyncio, contextlib, sys
seen = connections = 0
async def handle(reader, writer):
    global seen, connections
    connections += 1
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            size = next(line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(size.split(b":")[1]))
            seen += 1
            writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    writer.close()
async def receive():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(seen, connections, flush=True)
asyncio.run(receive())
"""
"""Prints its port, and for each line from standard input the number of requests and of connections."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time per delivery in ms, of this process and of Redis, and the time of all in s."""

    worker: float
    redis: float
    s: float


class NoLog:
    """Logger that drops the lines, which are made as in a worker."""

    def info(self, line: str) -> None:
        """Drops a line."""

    warning = error = info


def payload(number: int) -> dict[str, object]:
    """A job as applications submit it."""
    return {
        "jobId": f"lesson-{number}",
        "projectId": "lessons",
        "requestId": f"lesson-{number}",
        "dryRun": False,
        "previewRequest": {
            "title": "A lesson", "steps": [{"text": "words " * 20}] * 8, "assets": [], "audio": {},
        },
    }  # fmt: skip


async def prepare(queue: Queue, webhooks: Webhooks, count: int) -> list[str]:
    """Ends jobs. Returns the ids of their messages, which are not due."""
    await webhooks.claim(0, all_jobs=True)
    leases = Leases(queue.redis, queue.settings, "bench")
    artifacts = [
        {"path": f"frames/{n:03}.webp", "bytes": 12_345, "sha256": "ab" * 32, "mediaType": "image/webp"}
        for n in range(12)
    ]
    result = json.dumps({"bundle": "/data/previews/lessons/x", "artifacts": artifacts, "durationMs": 12_000})
    for start in range(0, count, BATCH):
        await queue.submit_many([validate(payload(number)) for number in range(start, start + BATCH)])
        claims = (await leases.claim(BATCH)).claims
        await leases.finish([CompletedJob(claim, result, 12.5) for claim in claims], 0)
    return await set_aside(webhooks)


async def set_aside(webhooks: Webhooks) -> list[str]:
    """Lets all messages that are due fail for good, so that they can be queued again. Returns their ids."""
    ids: list[str] = []
    while messages := list((await webhooks.claim(BATCH, all_jobs=True)).messages):
        for message in messages:
            await webhooks.record_failed(message, "")
            ids.append(message.id)
    return ids


async def processor_s(queue: Queue) -> tuple[float, float]:
    """Processor time in s of this process and of Redis."""
    usage = await queue.redis.info("cpu")
    return time.process_time(), usage["used_cpu_user"] + usage["used_cpu_sys"]


async def deliver(queue: Queue, webhooks: Webhooks, url: str, ids: Sequence[str], rate_s: float) -> Cost:
    """Queues messages again, at once or ``rate_s`` per second, and sends them, if there is a ``url``."""
    sender = WebhookSender(webhooks, queue, Delivery(SECRET, url), random.Random(1), all_jobs=True)
    if not rate_s:
        await webhooks.resend(ids, who="bench")
    before, began = await processor_s(queue), time.perf_counter()
    sending = [asyncio.create_task(sender.run())] if url else []
    for number, message in enumerate(ids if rate_s else ()):
        await asyncio.sleep(max(0.0, began + number / rate_s - time.perf_counter()))
        await webhooks.resend([message], who="bench")
    while url and await queue.redis.zcard(queue.keys.webhooks):  # noqa: ASYNC110
        await asyncio.sleep(0.2)  # at most five reads a second, which count
    took, after = time.perf_counter() - began, await processor_s(queue)
    await cancel_and_wait(sending)
    worker, server = ((end - start) * 1000 / len(ids) for start, end in zip(before, after, strict=True))
    return Cost(worker, server, took)


async def measure(queue: Queue, url: str, deliveries: int, rate: float) -> None:
    """Prints a row for one message, for all at once and for a rate."""
    webhooks = Webhooks(queue.redis, queue.settings)
    ids = await prepare(queue, webhooks, deliveries + round(rate / 60 * RATE_S))
    many, some = ids[:deliveries], ids[deliveries:]
    print(f"{'processor time per delivery':<32}{'worker':>10}{'Redis':>13}{'time':>10}")
    show("the first", await deliver(queue, webhooks, url, many[:1], 0))
    show("all at once", await deliver(queue, webhooks, url, many[1:], 0))
    queued = await deliver(queue, webhooks, "", some, rate / 60)
    await set_aside(webhooks)
    sent = await deliver(queue, webhooks, url, some, rate / 60)
    show(f"{rate:,.0f} a minute", Cost(sent.worker - queued.worker, sent.redis - queued.redis, sent.s))


def show(name: str, cost: Cost) -> None:
    """Prints a row."""
    print(f"{name:<32}{cost.worker:>7.2f} ms{cost.redis:>10.2f} ms{cost.s:>8.1f} s")


async def run(socket: str, deliveries: int, rate: float) -> None:
    """Measures with a receiver, and prints how many connections it got."""
    receiver = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", RECEIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert receiver.stdin is not None
    assert receiver.stdout is not None
    redis = connect(f"unix://{socket}", role="bench")
    try:
        url = f"http://127.0.0.1:{int(receiver.stdout.readline())}/hook"
        await measure(Queue(redis, Settings(queue_max=1_000_000)), url, deliveries, rate)
        print("", file=receiver.stdin, flush=True)
        seen, connections = receiver.stdout.readline().split()
        print(f"{seen} requests over {connections} connections")
    finally:
        receiver.terminate()
        receiver.wait()
        await redis.aclose()


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deliveries", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=1000, help="messages a minute")
    options = parser.parse_args()
    structlog.configure(processors=[structlog.processors.JSONRenderer()], logger_factory=lambda *_: NoLog())
    before = os.getloadavg()[0]
    with private_redis() as socket:
        uvloop.run(run(str(socket), options.deliveries, options.rate))
    print(
        f"{datetime.now(tz=UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    )


if __name__ == "__main__":
    main()
