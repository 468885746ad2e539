"""What an object store costs: mixed jobs through one worker into DATA_DIR, and into a bucket, by turns.

    python -m benchmarks.stores 's3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1' --server PID

The provider's environment variables hold the credentials. Ratios of one run are comparable, figures of two are not.
``--server`` names the processes of a store on this machine. They take processor time from the renders, which a store
elsewhere does not: so the processor time of the worker with its render processes is compared too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.pipeline import MIX, mixed, photograph, private_redis, queue, worker
from previewops.bucket_addresses import parse_bucket_address
from previewops.settings import Settings
from previewops.stores.objects.client import connect

LINKS = 1_000


@contextmanager
def environment(store: str) -> Iterator[None]:
    """Sets PREVIEW_STORE for the workers that start meanwhile; "" is DATA_DIR."""
    os.environ["PREVIEW_STORE"] = store
    try:
        yield
    finally:
        del os.environ["PREVIEW_STORE"]


@dataclass
class Rounds:
    """Time and processor time of each round, in s: of the worker's processes, and of the store's."""

    spent: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)

    def line(self, name: str, jobs: int) -> str:
        """The rounds as text."""
        rounds = " ".join(f"{value:7.2f}" for value in self.spent)
        ours, theirs = (statistics.median(values) / jobs * 1000 for values in (self.worker, self.server))
        return f"  {name}  {rounds}   processor a job: worker {ours:.0f} ms, store {theirs:.0f} ms"


def processor_s(processes: list[psutil.Process]) -> float:
    """Processor time of processes, with that of their children which have ended."""
    times = [process.cpu_times() for process in processes]
    return sum(time.user + time.system + time.children_user + time.children_system for time in times)


def workers() -> list[psutil.Process]:
    """The worker and its render processes."""
    workers = [
        child
        for child in psutil.Process().children()
        if child.cmdline()[1:4] == ["-m", "previewops", "worker"]
    ]
    return workers + [child for process in workers for child in process.children(recursive=True)]


def measure(
    url: str, settings: Settings, store: str, label: str, rounds: Rounds, options: argparse.Namespace
) -> None:
    """Runs one round."""
    servers = [psutil.Process(pid) for pid in options.server]
    pictures = (settings.asset_roots or ())[0]
    with environment(store), worker(url, settings, settings.data_dir.parent / "worker.log"):
        asyncio.run(queue(url, settings, mixed(2 * len(MIX), pictures, f"warm-{label}")))
        jobs = mixed(options.jobs, pictures, label)
        before = processor_s(workers()), processor_s(servers)
        rounds.spent.append(asyncio.run(queue(url, settings, jobs)))
        rounds.worker.append(processor_s(workers()) - before[0])
        rounds.server.append(processor_s(servers) - before[1])


def link_ms(address: str) -> float:
    """Time to sign one link, in ms."""
    client = connect(parse_bucket_address(address))
    began = time.perf_counter()
    for number in range(LINKS):
        client.sign(f"previews/project/job/1-00000000/frames/{number}.webp", 60)
    return (time.perf_counter() - began) / LINKS * 1000


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", help="value of PREVIEW_STORE")
    parser.add_argument("--server", type=int, nargs="*", default=[], metavar="PID")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    folder_rounds, bucket_rounds = Rounds(), Rounds()
    with tempfile.TemporaryDirectory() as name, private_redis() as socket:
        folder = Path(name)
        pictures = folder / "pictures"
        pictures.mkdir()
        for number in range(4):
            photograph(1600, 1000, number).save(pictures / f"p{number}.jpg", quality=88)
        url = f"unix://{socket}"
        settings = replace(
            Settings(),
            redis_url=url,
            data_dir=folder / "data",
            asset_roots=(pictures,),
            worker_concurrency=options.slots,
            queue_max=options.jobs,
        )
        settings.data_dir.mkdir()
        for number in range(options.rounds):
            measure(url, settings, "", f"{number}-folder", folder_rounds, options)
            measure(url, settings, options.store, f"{number}-bucket", bucket_rounds, options)
    when, load = f"{datetime.now(tz=UTC):%Y-%m-%d}", os.getloadavg()[0]
    print(f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load:.1f} after")
    print(f"{options.jobs} mixed jobs, {options.slots} slots, s a round")
    print(folder_rounds.line("folder", options.jobs))
    print(bucket_rounds.line("bucket", options.jobs))
    for what, one, other in (
        ("throughput", folder_rounds.spent, bucket_rounds.spent),
        ("jobs for each second of the worker's processor time", folder_rounds.worker, bucket_rounds.worker),
    ):
        ratio = statistics.median(a / b for a, b in zip(one, other, strict=True))
        print(f"  {what}: the bucket has {ratio:.2f} of the folder's (wanted at least 0.95)")
    print(f"  a signed link takes {link_ms(options.store):.3f} ms (wanted at most 1)")


if __name__ == "__main__":
    main()
