"""The REST API under load: submits per second over 64 connections, and 1,000 clients at once.

Everything runs on this machine: a private Redis server, one `previewops api` process with validation, and a
load generator over plain sockets. No worker runs. The API's processor time per request is reported too, because it
depends less on other load.

    python -m benchmarks.api
    python -m benchmarks.api --requests 2000 --rounds 1      a quick run
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import uvloop

from previewops.schemas import example
from tests.redis_server import RedisProcess

PATIENCE_S = 30


@dataclass
class Load:
    """Requests sent one after the other on each connection, and their responses."""

    host: str
    port: int
    payload: dict[str, Any]
    left: int
    name: str
    rate: float = 0.0
    """Requests per second over all connections; 0: as fast as responses arrive."""
    sent: int = 0
    began: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    times_ms: list[float] = field(default_factory=list)

    def next(self) -> bytes | None:
        """Returns the next request, or None when all are sent."""
        if self.left == 0:
            return None
        self.left -= 1
        self.sent += 1
        body = json.dumps({**self.payload, "jobId": f"{self.name}-{self.sent}"}).encode()
        head = (
            f"POST /api/preview/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def due(self, now: float) -> float:
        """When the last created request is due."""
        self.began = self.began or now
        return self.began + self.sent / self.rate if self.rate else now


class Connection(asyncio.Protocol):
    """One connection of the load. ``done`` is set when it has nothing left to send."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._began = 0.0
        self.done = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self._load.times_ms.append((time.perf_counter() - self._began) * 1000)
        self._load.statuses[int(head[9:12])] += 1
        if b"connection: close" in head.lower():
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set()

    def _send(self) -> None:
        request = self._load.next()
        if request is None:
            self._transport.close()
            return
        # The latency of a delayed request counts from when it was due.
        now = time.perf_counter()
        self._began = self._load.due(now)
        if self._began > now:
            self._loop.call_later(self._began - now, self._transport.write, request)
        else:
            self._transport.write(request)


async def send(load: Load, connections: int) -> tuple[float, int]:
    """Sends the load; returns its duration in s and the number of connections that hung."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()

    async def one() -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                _, protocol = await loop.create_connection(lambda: Connection(load), load.host, load.port)
                await protocol.done.wait()
        except TimeoutError:
            return True
        return False

    hung = sum(await asyncio.gather(*(one() for _ in range(connections))))
    return time.perf_counter() - began, hung


@contextmanager
def running_api() -> Iterator[tuple[str, int, psutil.Process]]:
    """Runs an API over an empty queue; yields its address and its process."""
    redis = RedisProcess(persistent=False)
    redis.start()
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            **os.environ,
            "REDIS_URL": redis.url,
            "DATA_DIR": folder,
            "PREVIEW_QUEUE_MAX": "100000000",
            "PREVIEW_API_RATE": "0",
            "PREVIEW_WEBHOOK_HOSTS": "app.example",  # the receiver of the fullest example
        }
        log = Path(folder, "log")
        with log.open("wb") as stream:
            api = subprocess.Popen(
                [sys.executable, "-m", "previewops", "api", "--port", "0"], env=environ, stderr=stream
            )
        try:
            while not (line := log.read_text("utf-8")).endswith("\n"):
                assert api.poll() is None, line
                time.sleep(0.05)
            address = urlsplit(json.loads(line.splitlines()[0])["addresses"][0])
            yield str(address.hostname), int(address.port or 0), psutil.Process(api.pid)
        finally:
            api.send_signal(signal.SIGTERM)
            api.wait(60)
            redis.remove()


def format_row(name: str, load: Load, seconds: float, hung: int, cpu_s: float) -> str:
    """One row of the result."""
    cuts = statistics.quantiles(load.times_ms, n=100)
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(load.statuses.items()))
    return (
        f"{name:<34} {len(load.times_ms) / seconds:>8.0f}/s   p50 {cuts[49]:6.1f} ms   p99 {cuts[98]:7.1f} ms   "
        f"{cpu_s * 1000 / len(load.times_ms):.2f} ms of processor each   hung {hung}   {statuses}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000, help="a round [10000]")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured [3]")
    options = parser.parse_args()
    print(
        f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, Python {sys.version.split()[0]}"
    )
    minimal = {**example("minimal"), "requestId": "bench"}
    full = example("full")
    with running_api() as (host, port, process), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(send(Load(host, port, minimal, 500, "warm"), 8))
        for number in range(options.rounds):
            for name, payload, connections, rate in (
                ("minimal, 1 connection", minimal, 1, 0),
                ("minimal, 64 connections, 1,500/s", minimal, 64, 1_500),
                ("minimal, 64 connections", minimal, 64, 0),
                ("full, 64 connections", full, 64, 0),
                ("minimal, 1,000 clients", minimal, 1_000, 0),
                ("minimal, 1,300 clients", minimal, 1_300, 0),
            ):
                requests = options.requests // (4 if payload is full else 10 if connections == 1 else 1)
                mark = f"{number}-{connections}-{rate}-{len(str(payload))}"
                load = Load(host, port, payload, requests, mark, rate)
                before = sum(process.cpu_times()[:2])
                seconds, hung = runner.run(send(load, connections))
                cpu_s = sum(process.cpu_times()[:2]) - before
                print(format_row(name, load, seconds, hung, cpu_s), flush=True)


if __name__ == "__main__":
    main()
