"""Huey with no-op jobs: huey_peer.py URL throughput|latency CONCURRENCY JOBS. Prints JSON.

One consumer process with CONCURRENCY threads and the default settings: it stores results unless they are None.
"""

import json
import logging
import os
import sys
import threading
import time
from itertools import count
from typing import Any

from huey import RedisHuey
from huey.signals import SIGNAL_COMPLETE
from usage import Usage

PAUSE_S = 0.005


def throughput(url: str, concurrency: int, jobs: int) -> dict[str, Any]:
    """Enqueues all jobs, then measures one consumer that completes them."""
    huey = RedisHuey("bench", url=url)
    all_done = threading.Event()
    numbers = count(1)

    @huey.task()
    def no_op(_number: int) -> None:
        return None

    @huey.signal(SIGNAL_COMPLETE)
    def on_complete(_signal: str, _task: Any) -> None:
        if next(numbers) == jobs:
            all_done.set()

    for number in range(jobs):
        no_op(number)
    consumer = huey.create_consumer(workers=concurrency)
    usage = Usage(url)
    consumer.start()
    all_done.wait()
    return usage.report(jobs)


def latency(url: str, concurrency: int, jobs: int) -> dict[str, Any]:
    """Enqueues one job at a time to an idle consumer."""
    huey = RedisHuey("bench", url=url)
    begun: list[float] = []
    started = threading.Event()

    @huey.task()
    def no_op(_number: int) -> None:
        begun.append(time.perf_counter())
        started.set()

    huey.create_consumer(workers=concurrency).start()
    samples = []
    for number in range(jobs):
        time.sleep(PAUSE_S)
        started.clear()
        submitted = time.perf_counter()
        no_op(number)
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
