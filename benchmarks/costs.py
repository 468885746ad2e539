"""Costs that need no long run: bytes in Redis a job, submit_many, REST beside a plain application, start of commands.

    python -m benchmarks.costs [--jobs N]

Bytes are of Redis' ``used_memory_dataset``, beside BullMQ with the same payload. ``submit_many`` is compared with
the time that its script takes inside Redis, REST with ``peers/starlette_peer.py``, commands with ``import redis``.
REST and commands are measured by processor time, which depends less on other load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket as sockets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import redis
import uvloop

from benchmarks.api import Load, running_api, send
from benchmarks.peer_programs import PEERS, bullmq_command
from benchmarks.queue import measure, private_redis
from benchmarks.rounds import rounds
from previewops.schemas import example

OURS = [sys.executable, str(PEERS / "previewops_peer.py")]
STATES = ("waiting", "completed", "dead")
COMMANDS = {"version": ["--version"], "health": ["health"], "submit": ["submit", "job.json"]}
CONNECTIONS = 16


def redis_bytes(jobs: int) -> dict[str, dict[str, float]]:
    """Bytes in Redis a job, by peer and state."""
    peers = {"previewops": OURS}
    bullmq = bullmq_command()
    if bullmq is not None:
        peers["BullMQ"] = bullmq
    sizes: dict[str, dict[str, float]] = {name: {} for name in peers}
    for state in STATES:
        for name, command in peers.items():
            with private_redis() as socket, redis.Redis(unix_socket_path=socket) as client:
                measure(command, socket, state, 10, 10)  # the scripts and the queue's own keys
                before = client.info("memory")["used_memory_dataset"]
                client.flushall()
                measure(command, socket, state, 10, jobs)
                sizes[name][state] = (client.info("memory")["used_memory_dataset"] - before) / jobs
    return sizes


def submit_many(jobs: int, most_rounds: int, seconds: float = 60) -> dict[str, float]:
    """Time of the client's submit_many over that of its scripts in Redis, and both in µs a job; medians."""
    with private_redis() as socket:
        reports = [measure(OURS, socket, "submit_many", 1, jobs) for _ in rounds(most_rounds, seconds)]
    return {
        "ratio": statistics.median(report["ms"] / report["scriptMs"] for report in reports),
        "clientCpuUs": statistics.median(report["cpuMs"] for report in reports) * 1000 / jobs,
        "scriptUs": statistics.median(report["scriptMs"] for report in reports) * 1000 / jobs,
    }


def command_starts(most_rounds: int, seconds: float = 60) -> dict[str, float]:
    """Processor time of each command in s, and of ``import redis``: medians of the rounds, which take turns."""
    program = [sys.executable, "-m", "previewops"]
    spent: dict[str, list[float]] = {name: [] for name in ("import redis", *COMMANDS)}
    with tempfile.TemporaryDirectory() as folder, private_redis() as socket:
        Path(folder, "job.json").write_text(json.dumps(example("minimal")), "utf-8")
        env = {"REDIS_URL": f"unix://{socket}", "DATA_DIR": folder, "PATH": "/usr/bin:/bin"}
        for number in rounds(most_rounds + 1, seconds, least=2):
            for name, used in spent.items():
                command = (
                    [sys.executable, "-c", "import redis"]
                    if name not in COMMANDS
                    else [*program, *COMMANDS[name]]
                )
                before = _children_s()
                subprocess.run(
                    command,
                    cwd=folder,
                    env={**env, "PYTHONPATH": str(PEERS.parents[1])},
                    capture_output=True,
                    check=False,
                )
                if number > 0:
                    used.append(_children_s() - before)
    return {name: statistics.median(values) for name, values in spent.items()}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rest(requests: int, most_rounds: int, seconds: float = 60) -> dict[str, dict[str, float]]:
    """Submits per second and processor ms of each, by peer; medians of rounds that take turns."""
    rates: dict[str, list[float]] = {"previewops": [], "Starlette": []}
    spent: dict[str, list[float]] = {"previewops": [], "Starlette": []}
    payload = example("full")
    with (
        running_api() as ours,
        running_peer() as theirs,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        for number in rounds(most_rounds + 1, seconds, least=2):
            for name, (host, port, process) in (("previewops", ours), ("Starlette", theirs)):
                load = Load(host, port, payload, requests, f"r{number}")
                before = sum(process.cpu_times()[:2])
                took_s, _ = runner.run(send(load, CONNECTIONS))
                if set(load.statuses) - {200, 201, 202}:
                    sys.exit(f"{name} answered {dict(load.statuses)}")
                if number > 0:
                    rates[name].append(requests / took_s)
                    spent[name].append((sum(process.cpu_times()[:2]) - before) * 1000 / requests)
    return {
        name: {"perSecond": statistics.median(rates[name]), "cpuMs": statistics.median(spent[name])}
        for name in rates
    }


@contextmanager
def running_peer() -> Iterator[tuple[str, int, psutil.Process]]:
    """Runs the plain application; yields its address and its process."""
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with private_redis() as socket:
        command = [sys.executable, "-m", "benchmarks.peers.starlette_peer", f"unix://{socket}", str(port)]
        process = subprocess.Popen(command, cwd=PEERS.parents[1])
        try:
            while True:
                try:
                    sockets.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield "127.0.0.1", port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for name, sizes in redis_bytes(options.jobs).items():
        print(f"{name:<12}", *(f"{state} {size:7,.0f} B" for state, size in sizes.items()))
    many = submit_many(options.jobs, options.rounds)
    print(
        f"submit_many ÷ its script {many['ratio']:.2f}: processor of the client"
        f" {many['clientCpuUs']:.0f} µs, script {many['scriptUs']:.0f} µs a job"
    )
    for name, figures in rest(options.jobs // 5, options.rounds).items():
        print(f"REST, {name:<12} {figures['perSecond']:,.0f}/s, {figures['cpuMs']:.2f} ms of processor each")
    for name, seconds in command_starts(options.rounds).items():
        print(f"start of {name:<14} {seconds:.3f} s of processor")


if __name__ == "__main__":
    main()
