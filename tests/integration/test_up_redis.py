"""The private server of `up`: restarted until it runs, taken over from a process that ends."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import psutil

from previewops.redis_server.binary import find_server_binary
from tests.integration.cli_program import Program, payload
from tests.integration.test_up import wait_for_log
from tests.integration.up_program import TIMEOUT_S, is_redis, up


def kill_server(pid: int) -> None:
    (server,) = filter(is_redis, psutil.Process(pid).children())
    server.kill()


async def test_a_server_that_does_not_start_is_tried_until_it_does(tmp_path: Path) -> None:
    server = find_server_binary()
    assert server is not None
    broken, tries, path = tmp_path / "broken", tmp_path / "tries", tmp_path / "bin" / "redis-server"
    path.parent.mkdir()
    # Like Redis, with its process id and the time in front.
    line = "$$:M 28 Nov 2026 19:58:55.$(date +%3N) # Bad file format"
    path.write_text(
        f'#!/bin/sh\n[ -e {broken} ] && echo "{line}" && echo x >>{tries} && exit 1\nexec {server} "$@"\n'
    )
    path.chmod(0o755)
    program = Program(tmp_path, env={"PATH": f"{path.parent}:/usr/bin:/bin"})
    log = tmp_path / "up.log"
    with up(program, "--workers", "1", "--no-tui") as process:
        broken.touch()
        kill_server(process.pid)
        await asyncio.to_thread(wait_for_log, log, "Bad file format; trying again until it starts")
        await asyncio.to_thread(wait_for_log, tries, "x\n" * 6)
        broken.unlink()
        await asyncio.to_thread(wait_for_log, log, "Redis runs again")
        assert log.read_text().count("trying again until it starts") == 1, "an error is reported once"
        program.write("job.json", payload())
        assert program.run("submit", "job.json", "--wait").code == 0
        broken.touch()
        kill_server(process.pid)
        await asyncio.to_thread(wait_for_log, log, "Bad file format; trying again", after="Redis runs again")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, TIMEOUT_S) == 69
    assert (
        "previewops: the embedded Redis server exited at once with status 1: Bad file format"
        in log.read_text()
    )


async def test_a_second_process_takes_the_server_over(tmp_path: Path) -> None:
    first = Program(tmp_path, env={"PREVIEW_QUEUE_NAME": "first"})
    folder = tmp_path / "second"
    folder.mkdir()
    data_dir = str(tmp_path / "data")
    second = replace(first, folder=folder, env={"DATA_DIR": data_dir, "PREVIEW_QUEUE_NAME": "second"})
    with up(first, "--workers", "1") as owner, up(second, "--workers", "1") as joined:
        owner.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(owner.wait, TIMEOUT_S) == 0
        await asyncio.to_thread(wait_for_log, folder / "up.log", "Redis ended with the process that ran it")
        second.write("job.json", payload())
        while second.run("submit", "job.json").code != 0:  # until the server listens
            assert joined.poll() is None
        assert second.run("submit", "job.json", "--wait").code == 0
        joined.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(joined.wait, TIMEOUT_S) == 0


async def test_up_survives_a_hang_up_that_is_ignored(tmp_path: Path) -> None:
    program = Program(tmp_path)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with up(program, "--workers", "1", "--no-tui") as process:
            process.send_signal(signal.SIGHUP)
            program.write("job.json", payload())
            assert program.run("submit", "job.json", "--wait").code == 0
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, TIMEOUT_S) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
