"""The program as process 1 of a container without an init."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.cli_program import Program, payload
from tests.integration.up_program import TIMEOUT_S, running

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(
        subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0,
        reason="needs the right to make PID namespaces",
    ),
]


@pytest.fixture
def first_process(redis_url: str, tmp_path: Path) -> Iterator[tuple[Program, psutil.Process]]:
    """`supervise` as process 1 of its own PID namespace."""
    program = Program(tmp_path, redis_url)
    with (tmp_path / "log").open("wb") as log:
        unshare = subprocess.Popen(
            [*UNSHARE, *program.command("supervise", "--workers", "1")],
            cwd=tmp_path,
            env=program.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        while not running(program):
            assert unshare.poll() is None, (tmp_path / "log").read_text()
        (init,) = psutil.Process(unshare.pid).children()
        yield program, init
    finally:
        unshare.kill()
        unshare.wait()


async def test_process_1_reaps_and_forwards(first_process: tuple[Program, psutil.Process]) -> None:
    program, init = first_process
    (supervisor,) = init.children()
    (before,) = running(program)
    worker = next(child for child in supervisor.children() if "worker" in child.cmdline())
    server = next(child for child in worker.children() if "fork_server" in " ".join(child.cmdline()))
    os.kill(worker.pid, signal.SIGKILL)
    await asyncio.to_thread(psutil.wait_procs, [worker, server], timeout=TIMEOUT_S)
    assert not server.is_running(), "it is reaped although its parent is dead"
    while running(program) in ([], [before]):
        assert supervisor.is_running()
    assert "SIGKILL" in (program.folder / "log").read_text(), "the supervisor got the worker's exit status"
    program.write("job.json", payload())
    assert program.run("submit", "job.json", "--wait").code == 0
    family = [init, *init.children(recursive=True)]
    init.send_signal(signal.SIGTERM)
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=TIMEOUT_S)
    assert alive == []
    assert (
        "draining" in program.folder.joinpath("data").joinpath("logs").rglob("*.log").__next__().read_text()
    )


def test_the_exit_status_is_that_of_the_program(tmp_path: Path) -> None:
    program = Program(tmp_path)
    done = program.run_under(UNSHARE, "worker", PREVIEW_LEASE_MS="nonsense")
    assert done.code == 2
    assert "PREVIEW_LEASE_MS" in done.err
