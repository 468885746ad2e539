"""Faults of the operator's screen: Redis without replies, and a terminal that is closed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from previewops.states import JobState
from tests.fault.cluster import payload
from tests.redis_server import RedisProcess
from tests.terminal import needs_tmux
from tests.tui.terminal_session import open_session

pytestmark = [needs_tmux, pytest.mark.redis]


async def test_row_8_the_screen_keeps_its_last_picture_while_redis_is_frozen(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    async with open_session(redis_process, tmp_path) as session:
        await session.cluster.start_workers(1)
        await session.cluster.submit(payload("before"))
        await session.cluster.until("before", JobState.COMPLETED)
        screen = session.open_screen()
        await screen.shows("healthy", "completed 1 ")
        session.server.freeze()
        shown = await screen.shows("STALE", "connection lost", "try 2")
        assert "completed 1 " in shown, "the last state stays"
        screen.press("2")  # keys still work
        await screen.shows("STALE", "Jobs")
        screen.press("1")
        session.server.thaw()
        await screen.hides("STALE")
        await session.cluster.submit(payload("after"))
        await screen.shows("healthy", "completed 2 ")
        await session.cluster.judge()


async def test_row_22_the_terminal_goes_away_and_the_queue_does_not_notice(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    async with open_session(redis_process, tmp_path) as session:
        await session.cluster.start_workers(1)
        screen = session.open_screen()
        await screen.shows("1 worker")
        await session.cluster.submit(*(payload(f"job-{number}", takes_s=0.1) for number in range(20)))
        process = psutil.Process(screen.pid)
        screen.drop()
        await asyncio.to_thread(process.wait, 20)
        await session.cluster.drained()
        await session.cluster.judge()


@pytest.mark.parametrize("hangup", ["heeded", "ignored"])
async def test_row_22_the_line_is_cut_and_no_process_is_left(
    redis_process: Callable[..., RedisProcess], tmp_path: Path, hangup: str
) -> None:
    server = redis_process()
    master, slave = os.openpty()
    command = [sys.executable, "-m", "previewops", "tui"]
    if hangup == "ignored":
        command = ["sh", "-c", f"trap '' HUP; exec {' '.join(command)}"]
    environ = {**os.environ, "REDIS_URL": server.url, "DATA_DIR": str(tmp_path), "TERM": "xterm-256color"}
    screen = _on_line(command, slave, environ)
    try:
        os.close(slave)
        output = b""
        while b"no workers" not in output:
            output += await asyncio.to_thread(os.read, master, 65536)
        os.close(master)
        await asyncio.to_thread(screen.wait, 20)
    finally:
        screen.kill()
        screen.wait()


def _on_line(command: list[str], slave: int, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starts a program whose terminal is the pseudo-terminal ``slave``."""
    return subprocess.Popen(
        ["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave, env=environ
    )
