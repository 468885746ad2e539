"""status, jobs, cancel, pause, resume, stats and workers as processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli_program import ESCAPES, Program, aligned, payload, queue_driver

pytestmark = pytest.mark.redis

LONG = "asset board (pictures/board.png): there is no such file, although several folders were searched"


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


async def test_status_of_a_completed_job(program: Program, redis_url: str) -> None:
    result = {
        "bundle": "/data/previews/lessons/job-1",
        "artifacts": [{"path": "poster.webp", "bytes": 20480, "mediaType": "image/webp", "sha256": "0" * 64}],
    }
    async with queue_driver(redis_url) as driver:
        await driver.complete("job-1", result=result)
    data = program.run("status", "job-1", "--json").json
    assert {
        "jobId": "job-1",
        "status": "completed",
        "priority": "normal",
        "attemptsMade": 1,
        "progress": 1.0,
        "failedReason": None,
        "artifacts": result["artifacts"],
    }.items() <= data.items()
    assert data["createdAt"] <= data["startedAt"] <= data["finishedAt"]
    done = program.run("status", "job-1")
    assert done.code == 0
    assert "poster.webp  image/webp  20.0 KiB" in done.out
    assert "bundle    /data/previews/lessons/job-1" in done.out
    assert "ago" in done.out or "just now" in done.out


async def test_status_of_an_active_and_of_a_dead_job(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters("dead-1", message=LONG)
        await driver.submit(payload("active-1"))
        await driver.claim()
    assert "state     active" in program.run("status", "active-1").out
    done = program.run("status", "dead-1")
    assert "attempts  1 failed" in done.out
    assert "PermanentJobError / asset-missing" in done.out
    assert aligned(done.out.splitlines())


def test_unknown_job(program: Program) -> None:
    for command in ("status", "cancel"):
        done = program.run(command, "never")
        assert done.code == 1
        assert "no job never in queue preview-jobs" in done.err
    assert program.run("status", "never", "--json").json["error"] == "not-found"


async def test_jobs(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters("dead-1", message=LONG)
        await driver.complete("done-1")
        await driver.submit(payload("a-1"), payload("b-1", project="trials"))
    done = program.run("jobs")
    lines = done.out.splitlines()
    assert lines[0].split() == ["JOB", "STATE", "PRIORITY", "PROJECT", "ACCEPTED", "REASON"]
    assert {tuple(line.split()[:2]) for line in lines[1:]} == {
        ("dead-1", "dead"),
        ("done-1", "completed"),
        ("a-1", "waiting"),
        ("b-1", "waiting"),
    }
    assert aligned(lines)
    assert [item["jobId"] for item in program.run("jobs", "--state", "dead", "--json").json["jobs"]] == [
        "dead-1"
    ]
    assert [item["jobId"] for item in program.run("jobs", "--project", "trials", "--json").json["jobs"]] == [
        "b-1"
    ]
    for query, expected in (("project:tri", ["b-1"]), ("! state:waiting", ["dead-1", "done-1"]), ("!1", [])):
        data = program.run("jobs", "--filter", query, "--json").json["jobs"]
        assert sorted(item["jobId"] for item in data) == expected
    rejected = program.run("jobs", "--filter", "proj:tri")
    assert (rejected.code, "found proj, allowed id, project" in rejected.err) == (2, True)
    assert program.run("dlq", "list", "--filter", "!stat:dead").code == 2
    assert program.run("jobs", "--project", "trial", "--json").json["jobs"] == []
    page = program.run("jobs", "--limit", "1", "--json").json
    assert (len(page["jobs"]), page["more"]) == (1, True)
    assert "more jobs than --limit 1" in program.run("jobs", "--limit", "1").err
    assert "no jobs" in program.run("jobs", "--state", "cancelled").err


async def test_cancel(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.submit(payload("job-1"))
    done = program.run("cancel", "job-1", "--reason", "wrong pictures", SUDO_USER="alice")
    assert (done.code, done.out) == (0, "cancelled job-1; it was waiting\n")
    data = program.run("status", "job-1", "--json").json
    assert data["status"] == "cancelled"
    again = program.run("cancel", "job-1")
    assert again.code == 1
    assert "cannot cancel job job-1: it is cancelled" in again.err


async def test_pause_and_resume(program: Program, redis_url: str) -> None:
    done = program.run("pause", "--reason", f"moving {ESCAPES}", SUDO_USER="alice")
    assert (done.code, done.out) == (0, "paused preview-jobs; resume with `previewops resume`\n")
    async with queue_driver(redis_url) as driver:
        await driver.submit(payload("job-1"))
        assert await driver.claim() == ()
        again = program.run("pause")
        assert again.code == 0
        assert "is already paused, by alice@" in again.out
        assert "moving \\u001b[2Jgone\\u0007" in again.out
        assert "by alice@" in program.run("stats").out
        assert program.run("resume").out == "preview-jobs resumed\n"
        assert program.run("resume").out == "preview-jobs was not paused\n"
        assert len(await driver.claim()) == 1


async def test_stats(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.complete("done-1", "done-2")
        await driver.add_dead_letters("dead-1")
        await driver.submit(payload("a-1"), payload("a-2", priority="high"))
        await driver.heartbeat()
    data = program.run("stats", "--json").json
    queue = data["queue"]
    assert queue["oldestWaitingMs"] >= 0
    assert {
        "name": "preview-jobs",
        "paused": False,
        "waiting": {"high": 1, "normal": 1, "low": 0},
        "delayed": 0,
        "active": 0,
        "completed": 2,
        "dead": 1,
    }.items() <= queue.items()
    (worker,) = data["workers"]
    assert (worker["id"], worker["busy"], worker["rssBytes"], worker["jobs"]) == ("w-1", 1, 45_000_000, [])
    done = program.run("stats")
    assert done.code == 0
    assert "waiting  2 (1 high, 1 normal, 0 low)" in done.out
    assert "run        p50" in done.out
    assert "1 worker\n" in done.out
    assert aligned(done.out.splitlines())


async def test_workers(program: Program, redis_url: str) -> None:
    assert "no worker is running" in program.run("workers").err
    assert program.run("workers", "--json").json["workers"] == []
    async with queue_driver(redis_url) as driver:
        await driver.heartbeat("w-1", jobs=["job-1", f"job{ESCAPES}"])
        store = {"id": "7" * 32, "location": "/d", "problem": f"full{ESCAPES}", "forMs": 200_000}
        await driver.heartbeat("w-2", host="render-2", version="1.2", store=store, clockMs=0, busy=0)
    done = program.run("workers")
    titles, old, new, problem, empty, _, row, *_ = done.out.splitlines()
    assert titles.split() == ["HOST", "WORKERS", "BUSY", "VERSION", "CLOCK", "CONFINEMENT", "STORE"]
    assert old.split() == ["h", "1", "1/2", "-", "-", "-", "-"], "a worker of an earlier version"
    assert (new.split()[:4], new.split()[-1]) == (["render-2", "1", "0/2", "1.2"], "fails")
    assert "render-2 cannot publish for 3 min 2" in problem
    assert empty == ""
    assert row.split()[:7] == ["w-1", "working", "1/2", "0", "0", "42.9", "MiB"]
    assert "just now" in row or " s ago" in row, "the age of the heartbeat"
    assert "\x1b" not in done.out
    listed = program.run("workers", "--json").json
    assert listed["workers"][0]["state"] == "working"
    assert listed["workers"][0]["store"] is None
    assert [host["host"] for host in listed["hosts"]] == ["h", "render-2"]
    assert listed["hosts"][1]["store"]["id"] == "7" * 32
