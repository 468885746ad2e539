"""What a measurement used: wall time, processor time of the peer's processes, and of Redis. For all Python peers.

Imports nothing of previewops: peers run in an environment of their own.
"""

from __future__ import annotations

import os
import time

import redis


class Usage:
    """Measures from its creation to ``report``."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._server_ms, self._own_ms = self._redis_ms(), _processor_ms()
        self._started = time.perf_counter()

    def report(self, jobs: int) -> dict[str, float]:
        """Jobs per second, and processor ms a job of this process with its children and of Redis."""
        seconds = time.perf_counter() - self._started
        own_ms = _processor_ms() - self._own_ms
        server_ms = self._redis_ms() - self._server_ms
        return {"perSecond": jobs / seconds, "cpuMs": own_ms / jobs, "redisMs": server_ms / jobs}

    def _redis_ms(self) -> float:
        info = self._client.info("cpu")
        return 1000 * float(info["used_cpu_user"] + info["used_cpu_sys"])


def _processor_ms() -> float:
    used = os.times()
    return 1000 * (time.process_time() + used.children_user + used.children_system)
