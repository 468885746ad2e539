"""``submit --wait``: progress and results."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from previewops.queue.leases import Claim
from tests.integration.cli_program import ESCAPES, Program, QueueDriver, payload, queue_driver
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


async def claimed(driver: QueueDriver, count: int = 1) -> list[Claim]:
    """Claims jobs once the process has submitted them."""
    claims = list(await driver.claim(count))
    while len(claims) < count:
        assert await driver.leases.wait_for_work(30) or claims, "nothing was submitted"
        claims += await driver.claim(count - len(claims))
    return claims


def payload_line(name: str) -> bytes:
    return json.dumps(payload(name)).encode()


async def test_a_completed_job(program: Program, redis_url: str) -> None:
    program.write("job.json", payload())
    with program.start("submit", "job.json", "--wait", stdout=-1, stderr=-1) as started:
        async with queue_driver(redis_url) as driver:
            (claim,) = await claimed(driver)
            await driver.finish(claim, {"bundle": "/data/previews/lessons/job-1"})
        out, err = started.communicate(timeout=60)
    assert started.returncode == 0
    assert "completed job-1  /data/previews/lessons/job-1" in out.decode()
    assert b"no worker is running" in err


async def test_dead_job_exits_1_with_its_reason(program: Program, redis_url: str) -> None:
    program.write("job.json", payload())
    with program.start("submit", "job.json", "--wait", stdout=-1, stderr=-1) as started:
        async with queue_driver(redis_url) as driver:
            (claim,) = await claimed(driver)
            await driver.dead_letter_claim(claim, code="asset-missing", message=f"no such file {ESCAPES}")
        out, err = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "job-1: dead: no such file \\u001b[2Jgone\\u0007" in err.decode()
    assert "previewops dlq show job-1" in err.decode()
    assert b"\x1b" not in out + err


async def test_several_jobs_as_json(program: Program, redis_url: str) -> None:
    program.write("jobs.jsonl", b"\n".join(payload_line(name) for name in ("a", "b")))
    with program.start("submit", "jobs.jsonl", "--wait", "--json", stdout=-1, stderr=-1) as started:
        async with queue_driver(redis_url) as driver:
            for claim in await claimed(driver, 2):
                if claim.job_id == "a":
                    await driver.finish(claim, {"artifacts": [{"path": "poster.webp"}]})
                else:
                    await driver.dead_letter_claim(claim, code="bad", message="bad")
        out, _ = started.communicate(timeout=60)
    assert started.returncode == 1
    ends = {item["jobId"]: item["job"] for item in map(json.loads, out.splitlines())}
    assert ends["a"]["status"] == "completed"
    assert ends["a"]["artifacts"] == [{"path": "poster.webp"}]
    assert (ends["b"]["status"], ends["b"]["failedReason"]) == ("dead", "bad")


async def test_a_cancelled_job_exits_1(program: Program, redis_url: str) -> None:
    program.write("job.json", payload())
    with program.start("submit", "job.json", "--wait", stdout=-1, stderr=-1) as started:
        async with queue_driver(redis_url) as driver:
            await claimed(driver)
        assert program.run("cancel", "job-1").code == 0
        _, err = started.communicate(timeout=60)
    assert started.returncode == 1
    assert b"job-1: cancelled" in err


def test_timeout_exits_75(program: Program) -> None:
    done = program.run("submit", program.write("job.json", payload()), "--wait", "--timeout", "0")
    assert done.code == 75
    assert "job-1: not finished within 0 s; it continues: previewops status job-1" in done.err


async def test_ended_jobs_are_not_awaited(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.complete("job-1")
    done = program.run("submit", program.write("job.json", payload()), "--wait")
    assert done.code == 0
    assert "no worker" not in done.err


def test_paused_queue_is_reported(program: Program) -> None:
    program.run("pause", "--reason", "moving house")
    done = program.run("submit", program.write("job.json", payload()), "--wait", "--timeout", "0")
    assert "note: the queue is paused by " in done.err
    assert "(moving house)" in done.err


async def test_many_jobs_are_one_line_each(program: Program, redis_url: str) -> None:
    names = [f"job-{number}" for number in range(30)]
    program.write("jobs.jsonl", b"\n".join(map(payload_line, names)))
    program.env["PREVIEW_QUEUE_MAX"] = "100"
    with program.start("submit", "jobs.jsonl", "--wait", stdout=-1, stderr=-1) as started:
        async with queue_driver(redis_url) as driver:
            for claim in await claimed(driver, 30):
                await driver.finish(claim)
        out, _ = started.communicate(timeout=60)
    assert started.returncode == 0
    assert out.decode().count("completed job-") == 30


async def test_ctrl_c_ends_the_wait_and_leaves_the_job(program: Program, redis_url: str) -> None:
    program.write("job.json", payload())
    with program.start("submit", "job.json", "--wait", stdout=-1, stderr=-1) as started:
        async with queue_driver(redis_url) as driver:
            await claimed(driver)
        assert started.stderr is not None
        note = started.stderr.readline()  # the wait has begun
        assert b"no worker is running" in note
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
    assert started.returncode == 130, err.decode()
    assert err.split() == [b"interrupted"], err.decode()
    assert program.run("status", "job-1", "--json").json["status"] == "active"


async def test_terminal_shows_a_progress_bar(program: Program, redis_url: str) -> None:
    program.write("job.json", payload())
    program.env["TERM"] = "xterm-256color"
    ours, theirs = pty.openpty()
    try:
        with program.start(
            "submit", "job.json", "--wait", stdout=theirs, stderr=subprocess.DEVNULL
        ) as started:
            os.close(theirs)
            async with queue_driver(redis_url) as driver:
                (claim,) = await claimed(driver)
                await driver.finish(claim)
            shown = b"".join(iter(lambda: read(ours), b"")).decode()
    finally:
        os.close(ours)
    assert started.returncode == 0
    assert "━" in shown
    assert "job-1" in shown


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # EIO: the other end is closed
        return b""


async def test_record_gone_at_the_end_exits_1(program: Program, redis_url: str) -> None:
    program.write("job.json", payload())
    with program.start("submit", "job.json", "--wait", stdout=-1, stderr=-1) as started:
        async with queue_driver(redis_url) as driver:
            driver.settings = replace(driver.settings, keep_completed=0)
            (claim,) = await claimed(driver)
            await driver.finish(claim)
        _, err = started.communicate(timeout=60)
    assert started.returncode == 1
    assert b"job-1: record not found" in err


async def test_wait_survives_a_redis_restart(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    server = redis_process(persistent=True, options=("--appendfsync", "always"))
    program = Program(tmp_path, server.url)
    program.write("job.json", payload())
    with program.start("submit", "job.json", "--wait", stdout=-1, stderr=-1) as started:
        async with queue_driver(server.url) as driver:
            (claim,) = await claimed(driver)
        assert started.stderr is not None
        assert b"no worker is running" in started.stderr.readline()  # the wait has begun
        server.kill()
        assert b"Redis is unavailable" in started.stderr.readline()
        server.start()
        async with queue_driver(server.url) as driver:
            await driver.finish(claim)
        out, _ = started.communicate(timeout=60)
    assert started.returncode == 0
    assert b"completed job-1" in out
