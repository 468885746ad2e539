"""`previewops up` as a process: supervision, and no process left after it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from previewops.redis_server.embedded import EmbeddedRedis
from tests.integration.cli_program import Program
from tests.integration.up_program import TIMEOUT_S, running, up
from tests.redis_server import RedisProcess


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_up_leaves_no_process_after_any_signal(tmp_path: Path, signum: signal.Signals) -> None:
    program = Program(tmp_path)
    with up(program, "--workers", "1") as process:
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 4, "Redis, a worker, its fork server and renders"
        process.send_signal(signum)
        code = await asyncio.to_thread(process.wait, TIMEOUT_S)
        assert code == (-signal.SIGKILL if signum is signal.SIGKILL else 0), program.folder / "up.log"
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=TIMEOUT_S)
        assert not [item for item in alive if item.status() != psutil.STATUS_ZOMBIE]


async def test_fleet_commands_reach_the_supervisor_of_up(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with up(program, "--workers", "1") as process:
        (worker,) = running(program)
        scaled = program.run("scale", "2", "--reason", "more of them")
        assert (scaled.code, scaled.err) == (0, "")
        assert scaled.out.endswith(": 2 workers\n")
        drained = program.run("drain", worker, "--json")
        assert drained.json["done"] == "drain of 1 worker begun"
        rejected = program.run("drain", "nobody", "--json")
        assert rejected.code == 1
        assert rejected.json["error"] == "order-refused"
        listed = program.run("workers")
        assert f"pid {process.pid}" in listed.out
        assert "2 wanted" in listed.out
        second = program.run("supervise")
        assert second.code == 1
        assert f"process {process.pid} already supervises the workers of queue" in second.err


async def test_up_ends_when_no_worker_can_start(tmp_path: Path) -> None:
    program = Program(tmp_path)
    async with EmbeddedRedis(tmp_path / "data") as server:
        # Valid for `up`, but the workers need a folder of this name.
        (tmp_path / "data" / "assets").write_text("a file")
        done = program.run("up", REDIS_URL=server.url)
    assert done.code == 1
    assert "is not restarted: " in done.err
    assert "hint: see its log in" in done.err
    (path,) = (tmp_path / "data" / "logs").rglob("worker-1.log")
    log = path.read_text()
    assert "DATA_DIR" in log


@pytest.mark.redis
def test_fleet_commands_without_a_supervisor_give_a_hint(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    for arguments in (("scale", "2"), ("restart", "--host", "h"), ("reset", "w")):
        done = program.run(*arguments)
        assert done.code == 1
        assert "hint: " in done.err
    for arguments in (
        ("scale", "9-1"),
        ("scale", "many"),
        ("scale", "257"),
        ("drain",),
        ("drain", "w", "--host", "h"),
    ):
        assert program.run(*arguments).code == 2
    assert json.loads(program.run("workers", "--json").out)["supervisors"] == []


async def test_up_survives_a_frozen_redis(tmp_path: Path, redis_process: Callable[..., RedisProcess]) -> None:
    server = redis_process()
    program = Program(tmp_path, server.url)
    with up(program, "--workers", "1", "--no-tui") as process:
        log = tmp_path / "up.log"
        server.freeze()
        try:
            await asyncio.to_thread(wait_for_log, log, "cannot be used")
        finally:
            server.thaw()
        await asyncio.to_thread(wait_for_log, log, "waiting 0", after="cannot be used")
        assert process.poll() is None
        assert len(running(program)) == 1
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, TIMEOUT_S) == 0, log.read_text()


def wait_for_log(log: Path, expected: str, *, after: str = "") -> None:
    """Waits until a log contains ``expected``, after ``after`` if given."""
    deadline = time.monotonic() + TIMEOUT_S
    while expected not in (text := log.read_text())[max(0, text.rfind(after)) if after else 0 :]:
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
