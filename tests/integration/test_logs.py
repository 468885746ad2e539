"""Log lines of real processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli_program import Program, payload, queue_driver

pytestmark = pytest.mark.redis

SECRET = "hunter2"


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


async def test_every_line_of_a_job_has_its_ids(program: Program, redis_url: str) -> None:
    good = payload("good")
    good["previewRequest"]["title"] = "Not for logs"
    bad = payload("bad")
    bad["previewRequest"]["assets"] = [{"id": "a", "uri": "gone.png", "title": "Not for logs"}]
    async with queue_driver(redis_url) as driver:
        await driver.submit(good, bad)
    done = program.run("worker", "--burst", "--name", "w-7")
    assert done.code == 0
    lines = lines_of(done.err)
    assert {line["worker"] for line in lines} == {"w-7"}
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    of_jobs = {line["event"]: line for line in lines if "jobId" in line}
    assert set(of_jobs) == {"job.rendered", "job.dead-lettered"}
    for name, line in (("good", of_jobs["job.rendered"]), ("bad", of_jobs["job.dead-lettered"])):
        assert (line["jobId"], line["projectId"], line["requestId"]) == (name, "lessons", f"{name}-request")
        assert line["attempt"] == 1
    assert of_jobs["job.dead-lettered"]["error"] == "asset-missing"
    assert "Not for logs" not in done.err
    assert [line["event"] for line in lines if "jobId" not in line][-1] == "worker.stopped"


async def test_secrets_of_addresses_are_redacted(program: Program, redis_url: str) -> None:
    stranger = payload("stranger")
    stranger["previewRequest"]["assets"] = [{"id": "a", "uri": f"https://cdn.example/a.png?sig={SECRET}"}]
    async with queue_driver(redis_url) as driver:
        await driver.submit(stranger)
    done = program.run("worker", "--burst")
    assert "job.dead-lettered" in done.err
    assert SECRET not in done.err


async def test_format_and_level(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.submit(payload("a"))
    text = program.run("worker", "--burst", PREVIEW_LOG_FORMAT="text")
    assert "job.rendered" in text.err
    assert "projectId=lessons" in text.err
    assert "\x1b" not in text.err, "colours are for terminals"
    assert program.run("worker", "--burst", PREVIEW_LOG_LEVEL="error").err == ""
    wrong = program.run("worker", PREVIEW_LOG_LEVEL="loud", PREVIEW_LOG_FORMAT="xml")
    assert wrong.code == 2
    assert "PREVIEW_LOG_LEVEL: found 'loud', allowed one of debug, info, warning, error" in wrong.err
    assert "PREVIEW_LOG_FORMAT: found 'xml', allowed one of json, text, auto" in wrong.err


LIBRARIES = """
import asyncio, logging
from previewops.logs.setup import JobLogContext, configure_logging, job_log_context, log, bind_payload
from previewops.settings import Settings

configure_logging(Settings())
configure_logging(Settings())  # twice is once
arq = logging.getLogger("arq.worker")
arq.info("0.01s -> job(%s)", {"title": "Not for logs"})

async def job(name):
    with job_log_context(JobLogContext(name, 2, "w")):
        bind_payload({"projectId": "p", "requestId": "r\\x1b", "title": "Not for logs"})
        await asyncio.sleep(0)
        arq.warning("job %s expired at redis://:hunter2@h", name)
        try:
            raise ValueError("first\\nsecond")
        except ValueError:
            arq.exception("deserializing failed")

async def both():
    await asyncio.gather(job("a"), job("b"))

asyncio.run(both())
arq.log(35, "between levels")
log.info("worker.stopped")
"""


def test_libraries_log_structured_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIBRARIES], capture_output=True, text=True, check=True
    )
    expired_a, broken_a, expired_b, broken_b, between, last = lines_of(done.stderr)
    assert (expired_a["jobId"], broken_a["jobId"], expired_b["jobId"], broken_b["jobId"]) == (
        "a",
        "a",
        "b",
        "b",
    )
    assert {name: expired_a[name] for name in ("event", "level", "logger", "message")} == {
        "event": "library.logged",
        "level": "warning",
        "logger": "arq.worker",
        "message": "job a expired at redis://:***@h",
    }
    assert (expired_a["projectId"], expired_a["requestId"], expired_a["attempt"]) == ("p", "r\\u001b", 2)
    assert broken_b["level"] == "error"
    assert broken_b["exception"].startswith("Traceback (most recent call last):\n")
    assert (between["level"], between["message"]) == ("warning", "between levels")
    assert "jobId" not in last
    assert "Not for logs" not in done.stderr


SENDING = """
import asyncio
from previewops.clock import system_rng
from previewops.queue.leases import Claim, CompletedJob, FinishReply
from previewops.logs.setup import JobLogContext, configure_logging, job_log_context, log
from previewops.settings import Settings
from previewops.states import ScriptResult, Priority
from previewops.worker.engine.claims import ClaimChannel
from previewops.worker.engine.redis_retry import wait_for_timeout

class Leases:
    calls = 0
    async def finish(self, completed, max_claims, **options):
        self.calls += 1
        if self.calls == 1:
            raise ConnectionError("gone")
        return FinishReply([ScriptResult.OK], (), False)
    async def release_unknown_claims(self, held):
        return 0

class Worker:
    def held_claims(self):
        return []
    def accepts_jobs(self):
        return False
    def wanted_ahead(self):
        return 0

async def main():
    configure_logging(Settings())
    exchange = ClaimChannel(
        Leases(), max_calls=1, batch_size=9, holder=Worker(), rng=system_rng(), wait=wait_for_timeout
    )
    claim = Claim("a", b"", "1", 0, 0, 0, 0, 0.0, Priority.NORMAL)
    with job_log_context(JobLogContext("a", 1, "w")):
        await exchange.finish(CompletedJob(claim, "{}", 1.0), print)
        log.info("job.rendered")

asyncio.run(main())
"""


def test_lines_about_several_jobs_have_no_job_id() -> None:
    done = subprocess.run([sys.executable, "-c", SENDING], capture_output=True, text=True, check=True)
    away, back, rendered = lines_of(done.stderr)
    assert (away["event"], "jobId" in away) == ("redis.unavailable", False)
    assert (back["event"], back["level"], back["failures"]) == ("redis.available", "info", 1)
    assert rendered["jobId"] == "a"


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"], ids=["full disk", "closed"])
async def test_a_line_that_cannot_be_written_ends_no_worker(
    program: Program, redis_url: str, redirection: str
) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.submit(payload("a"))
    shell = ("sh", "-c", f'exec "$@" {redirection}', "sh")
    done = program.run_under(shell, "worker", "--burst")
    assert done.code == 0
    assert "completed" in program.run("status", "a").out
    # An error that cannot be written keeps its exit code.
    assert program.run_under(shell, "status", "unknown").code == program.run("status", "unknown").code


@pytest.mark.parametrize("arguments", [("api", "--port", "0"), ("supervise", "--workers", "0")])
def test_a_full_disk_ends_no_service(program: Program, arguments: tuple[str, ...]) -> None:
    ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = program.folder / "notify"
    with ready, Path("/dev/full").open("wb") as full:
        ready.bind(str(address))
        ready.settimeout(60)
        with subprocess.Popen(
            program.command(*arguments),
            env={**program.environ, "NOTIFY_SOCKET": str(address)},
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stderr=full,
        ) as process:
            assert ready.recv(4096).startswith(b"READY=1")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
