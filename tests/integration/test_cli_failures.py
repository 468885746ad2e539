"""Failures of commands: message, exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.integration.cli_program import Program, payload, queue_driver
from tests.redis_server import RedisProcess
from tests.strange_redis import strange_redis

MakeServer = Callable[..., RedisProcess]

NEEDS_REDIS = [
    ("status", "job-1"),
    ("jobs",),
    ("cancel", "job-1"),
    ("dlq", "list"),
    ("dlq", "list", "--groups"),
    ("dlq", "show", "job-1"),
    ("dlq", "requeue", "--all"),
    ("dlq", "discard", "--all"),
    ("dlq", "export"),
    ("pause",),
    ("resume",),
    ("stats",),
    ("workers",),
]


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


@pytest.mark.parametrize("arguments", NEEDS_REDIS, ids=" ".join)
def test_redis_unreachable_exits_69(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = Program(tmp_path, "redis://user:s3cret@127.0.0.1:1/0").run(*arguments)
    assert done.code == 69
    assert done.out == ""
    assert "Redis at redis://user:***@127.0.0.1:1/0 cannot be used: connection refused" in done.err
    assert "hint: set REDIS_URL" in done.err
    assert "s3cret" not in done.err


def test_redis_unreachable_as_json(tmp_path: Path) -> None:
    done = Program(tmp_path, "unix:///nonexistent/redis.sock").run("stats", "--json")
    assert done.code == 69
    assert done.json["error"] == "redis-unavailable"
    assert "the socket does not exist" in done.json["message"]


def test_redis_is_full(redis_process: MakeServer, tmp_path: Path) -> None:
    server = redis_process(persistent=False)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1")
    program = Program(tmp_path, server.url)
    done = program.run("submit", program.write("job.json", payload()))
    assert done.code == 69
    assert "out of memory" in done.err


@pytest.mark.parametrize("url", ["http://localhost", "nonsense", "redis://h:notaport"])
def test_invalid_redis_url(tmp_path: Path, url: str) -> None:
    done = Program(tmp_path).run("--redis-url", url, "stats")
    assert done.code == 2
    assert "allowed" in done.err


def test_unexpected_error_is_one_line_and_a_hint(tmp_path: Path) -> None:
    with strange_redis() as url:
        program = Program(tmp_path, url)
        done = program.run("stats")
        verbose = program.run("--verbose", "stats")
    assert done.code == 1
    assert "previewops: unexpected ResponseError: " in done.err
    assert "print the traceback with: previewops --verbose" in done.err
    assert verbose.code == 1
    assert "Traceback (most recent call last)" in verbose.err


@pytest.mark.redis
@pytest.mark.parametrize("arguments", [("jobs",), ("jobs", "--json"), ("dlq", "export"), ("stats",)])
async def test_closed_output_exits_141(program: Program, redis_url: str, arguments: tuple[str, ...]) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters(*(f"job-{number}" for number in range(50)))
    reading, writing = os.pipe()
    os.close(reading)
    with program.start(*arguments, stdout=writing, stderr=-1) as started:
        os.close(writing)
        _, err = started.communicate(timeout=60)
    assert started.returncode == 141
    assert b"Error" not in err
    assert b"Exception" not in err


def test_help_to_closed_output_exits_141(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Program(tmp_path).start("--help", stdout=writing, stderr=-1) as started:
        os.close(writing)
        _, err = started.communicate(timeout=60)
    assert started.returncode == 141
    assert err == b""


@pytest.mark.redis
@pytest.mark.parametrize("arguments", [("stats",), ("stats", "--json")])
def test_output_to_full_disk(program: Program, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full, program.start(*arguments, stdout=full, stderr=-1) as started:
        _, err = started.communicate(timeout=60)
    assert started.returncode == 1
    assert err == b"previewops: cannot write the output: No space left on device\n"


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("api", "--help"), ("completion", "bash")]
)
def test_text_of_the_program_to_full_disk(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        started = Program(tmp_path).start(*arguments, stdout=full, stderr=-1)
    with started:
        _, err = started.communicate(timeout=30)
    assert started.returncode == 1
    assert err == b"previewops: cannot write the output: No space left on device\n"


def test_a_deleted_working_folder_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD"; exec "$0" -m previewops validate -'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        cwd=gone,
        capture_output=True,
        check=False,
        text=True,
        input="{}",
    )
    assert done.returncode == 2
    assert done.stderr.startswith("previewops: the working folder was deleted\n")


@pytest.mark.redis
def test_locale_without_the_characters(program: Program) -> None:
    program.write("jøb.json", payload())
    done = program.run("validate", "jøb.json", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.code == 0
    assert "valid (job job-1)" in done.out


INTERRUPTED_AT_THE_WORST_MOMENT = """
import asyncio, os, signal, sys
from previewops.cli import program

async def work():
    os.kill(os.getpid(), signal.SIGINT)
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(0)
    except TimeoutError:
        print("lost")

program._dispatch = lambda context, args: asyncio.run(work())
program.main()
"""


def test_ctrl_c_right_before_a_timeout_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_THE_WORST_MOMENT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\ninterrupted\n")
