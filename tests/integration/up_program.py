"""``previewops up`` as a process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.integration.cli_program import Program

TIMEOUT_S = 60.0


@contextmanager
def up(program: Program, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs ``previewops up`` until its workers report; kills it at the end."""
    out = program.folder / "up.log"
    with out.open("ab") as log:
        process = program.start("up", *arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    family: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not running(program):
            assert process.poll() is None, out.read_text()
            assert time.monotonic() < deadline, out.read_text()
        family = psutil.Process(process.pid).children(recursive=True)
        yield process
    finally:
        process.kill()
        process.wait()
        for item in family:
            if item.is_running():
                item.kill()


def running(program: Program) -> list[str]:
    """Returns the ids of running workers from the supervisor's status."""
    response = program.run("workers", "--json")
    supervisors = response.json["supervisors"] if response.code == 0 else []
    return [
        worker["id"] for view in supervisors for worker in view["workers"] if worker["phase"] == "running"
    ]


def is_redis(process: psutil.Process) -> bool:
    """Whether a process is a server that speaks Redis' protocol, whichever program that is here."""
    return process.name().startswith(("redis-server", "valkey-server"))
