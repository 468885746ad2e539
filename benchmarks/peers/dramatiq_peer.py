"""Dramatiq with no-op jobs: dramatiq_peer.py URL throughput|latency CONCURRENCY JOBS. Prints JSON.

One worker process with CONCURRENCY threads and the default middleware, which stores no results.
"""

import json
import logging
import os
import sys
import threading
import time
from itertools import count
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from usage import Usage

PAUSE_S = 0.005


class CountAcknowledged(dramatiq.Middleware):
    """Sets ``all_done`` when ``jobs`` messages are acknowledged."""

    def __init__(self, jobs: int) -> None:
        self.all_done = threading.Event()
        self._jobs = jobs
        self._numbers = count(1)

    def after_ack(self, _broker: Any, _message: Any) -> None:
        """Counts a message; threads take turns in ``next``."""
        if next(self._numbers) == self._jobs:
            self.all_done.set()


def throughput(url: str, concurrency: int, jobs: int) -> dict[str, Any]:
    """Enqueues all jobs, then measures one worker that completes them."""
    broker = RedisBroker(url=url)
    acknowledged = CountAcknowledged(jobs)
    broker.add_middleware(acknowledged)
    dramatiq.set_broker(broker)

    @dramatiq.actor
    def no_op(_number: int) -> None:
        return None

    for number in range(jobs):
        no_op.send(number)
    worker = dramatiq.Worker(broker, worker_threads=concurrency)
    usage = Usage(url)
    worker.start()
    acknowledged.all_done.wait()
    return usage.report(jobs)


def latency(url: str, concurrency: int, jobs: int) -> dict[str, Any]:
    """Enqueues one job at a time to an idle worker."""
    broker = RedisBroker(url=url)
    dramatiq.set_broker(broker)
    begun: list[float] = []
    started = threading.Event()

    @dramatiq.actor
    def no_op(_number: int) -> None:
        begun.append(time.perf_counter())
        started.set()

    worker = dramatiq.Worker(broker, worker_threads=concurrency)
    worker.start()
    samples = []
    for number in range(jobs):
        time.sleep(PAUSE_S)
        started.clear()
        submitted = time.perf_counter()
        no_op.send(number)
        started.wait()
        samples.append((begun[-1] - submitted) * 1000)
    return {"ms": samples}


def main() -> None:
    """Runs the measurement that the arguments select."""
    logging.disable(logging.CRITICAL)
    url, what, concurrency, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    measured = {"throughput": throughput, "latency": latency}[what]
    print(json.dumps(measured(url, concurrency, jobs)), flush=True)
    os._exit(0)  # its threads end after seconds


if __name__ == "__main__":
    main()
