"""Celery with no-op jobs: celery_peer.py URL throughput|latency CONCURRENCY JOBS. Prints JSON.

One worker process with CONCURRENCY threads, Redis as the broker, no result backend, and default settings. Time counts
from when the worker is ready: it first greets other workers for a second.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from celery import Celery
from celery.signals import task_postrun, worker_ready
from usage import Usage

PAUSE_S = 0.005


def make_app(url: str) -> Celery:
    """The application; ``url`` is that of a unix socket."""
    app = Celery("bench", broker=url.replace("unix://", "redis+socket://"))
    app.conf.worker_redirect_stdouts = False  # the report goes there
    return app


def serve(app: Celery, concurrency: int, measure: Callable[[], dict[str, Any]]) -> None:
    """Runs a worker in the main thread; ``measure`` runs in another one when it is ready, and ends the process."""

    def report() -> None:
        ready.wait()
        print(json.dumps(measure()), flush=True)
        os._exit(0)

    ready = threading.Event()
    worker_ready.connect(lambda **_: ready.set(), weak=False)
    threading.Thread(target=report, daemon=True).start()
    app.Worker(pool="threads", concurrency=concurrency, loglevel="CRITICAL", quiet=True).start()


def throughput(url: str, concurrency: int, jobs: int) -> None:
    """Enqueues all jobs, then measures one worker that completes them."""
    app = make_app(url)
    all_done = threading.Event()
    numbers = count(1)

    @app.task
    def no_op(_number: int) -> None:
        return None

    def on_end(**_: Any) -> None:
        if next(numbers) == jobs:
            all_done.set()

    def measure() -> dict[str, Any]:
        usage = Usage(url)
        all_done.wait()
        return usage.report(jobs)

    task_postrun.connect(on_end, weak=False)
    with app.connection_for_write() as connection:
        for number in range(jobs):
            no_op.apply_async((number,), connection=connection)
    serve(app, concurrency, measure)


def latency(url: str, concurrency: int, jobs: int) -> None:
    """Enqueues one job at a time to an idle worker."""
    app = make_app(url)
    begun: list[float] = []
    started = threading.Event()

    @app.task
    def no_op(_number: int) -> None:
        begun.append(time.perf_counter())
        started.set()

    def measure() -> dict[str, Any]:
        samples = []
        with app.connection_for_write() as connection:
            for number in range(jobs):
                time.sleep(PAUSE_S)
                started.clear()
                submitted = time.perf_counter()
                no_op.apply_async((number,), connection=connection)
                started.wait()
                samples.append((begun[-1] - submitted) * 1000)
        return {"ms": samples}

    serve(app, concurrency, measure)


def main() -> None:
    """Runs the measurement that the arguments select."""
    logging.disable(logging.CRITICAL)
    url, what, concurrency, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    {"throughput": throughput, "latency": latency}[what](url, concurrency, jobs)


if __name__ == "__main__":
    main()
