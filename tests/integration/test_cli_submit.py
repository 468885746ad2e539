"""submit and validate as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from previewops.metrics.lifetime_counters import REJECTION_REASONS, LifetimeCounters
from previewops.queue.keys import ARQ_GUARD
from tests.integration.cli_program import Program, payload, queue_driver

pytestmark = pytest.mark.redis

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


def waiting(url: str) -> set[str]:
    with redis.Redis.from_url(url) as client:
        members = set(client.zrange("preview-jobs", 0, -1)) - {ARQ_GUARD}
    return {job_id.decode() for job_id in members}


def test_a_job_from_a_file(program: Program, redis_url: str) -> None:
    done = program.run("submit", program.write("job.json", payload()))
    assert (done.code, done.out.split()) == (0, ["accepted", "job-1", "waiting"])
    assert waiting(redis_url) == {"job-1"}


def test_a_job_from_standard_input(program: Program, redis_url: str) -> None:
    done = program.run("submit", "-", "--json", stdin=json.dumps(payload()).encode())
    assert done.code == 0
    assert done.json_lines == [{"source": "stdin", "jobId": "job-1", "status": "waiting", "new": True}]
    assert waiting(redis_url) == {"job-1"}


def test_the_same_job_again_is_the_same_job(program: Program, redis_url: str) -> None:
    program.write("job.json", payload())
    program.run("submit", "job.json")
    done = program.run("submit", "job.json", "--json")
    assert done.code == 0
    assert done.json_lines[0]["new"] is False
    assert "the same job" in program.run("submit", "job.json").out
    assert waiting(redis_url) == {"job-1"}


def test_another_payload_with_the_same_id_is_a_conflict(program: Program) -> None:
    program.run("submit", program.write("job.json", payload()))
    done = program.run("submit", program.write("other.json", payload(priority="high")), "--json")
    assert done.code == 1
    assert done.json_lines[0]["error"] == "conflict"
    assert "other.json: job job-1 already exists (waiting) with a different payload" in done.err
    assert "hint: " in done.err
    assert "submit such a job with --import again" in done.err


@pytest.mark.parametrize("arguments", [("jobs.jsonl",), ("--jsonl", "jobs.txt")])
def test_json_lines(program: Program, redis_url: str, arguments: tuple[str, ...]) -> None:
    lines = b"\n".join(json.dumps(payload(f"job-{number}")).encode() for number in range(250))
    program.write(arguments[-1], lines + b"\n\n")
    done = program.run("submit", *arguments, PREVIEW_QUEUE_MAX="1000")
    assert done.code == 0
    assert len(done.out.splitlines()) == 250
    assert waiting(redis_url) == {f"job-{number}" for number in range(250)}


def test_every_payload_is_reported_and_valid_ones_are_submitted(program: Program, redis_url: str) -> None:
    program.write("good.json", payload("good"))
    program.write("bad.json", payload("bad", priority="urgent"))
    program.write("mixed.jsonl", b'{"jobId":\n' + json.dumps(payload("also-good")).encode())
    done = program.run("submit", "bad.json", "nowhere.json", "mixed.jsonl", "good.json", "--json")
    assert done.code == 2
    assert [(item["source"], item.get("error")) for item in done.json_lines] == [
        ("bad.json", "invalid-payload"),
        ("nowhere.json", "unreadable"),
        ("mixed.jsonl:1", "invalid-payload"),
        ("mixed.jsonl:2", None),
        ("good.json", None),
    ]
    assert waiting(redis_url) == {"good", "also-good"}


def test_full_queue_exits_75(program: Program, redis_url: str) -> None:
    for name in ("a", "b", "c"):
        program.write(f"{name}.json", payload(name))
    done = program.run("submit", "a.json", "b.json", "c.json", PREVIEW_QUEUE_MAX="1")
    assert done.code == 75
    assert done.out.split() == ["accepted", "a", "waiting"]
    assert "b.json: queue full: found 1 waiting and delayed jobs, allowed 1; b was not accepted" in done.err
    assert done.err.count("hint:") == 1
    assert waiting(redis_url) == {"a"}


def test_most_severe_exit_code_is_returned(program: Program) -> None:
    program.write("a.json", payload("a"))
    program.write("b.json", payload("b"))
    program.write("bad.json", payload("bad", priority="urgent"))
    assert program.run("submit", "a.json", "b.json", "bad.json", PREVIEW_QUEUE_MAX="1").code == 65


def test_rejections_are_counted(program: Program, redis_url: str) -> None:
    program.write("a.json", payload("a"))
    program.write("other.json", payload("a", priority="high"))
    program.write("bad.json", {})
    program.run("submit", "a.json", "bad.json", "other.json")
    assert program.run("submit", "bad.json").code == 65
    with redis.Redis.from_url(redis_url) as client:
        totals = LifetimeCounters.parse(client.hgetall("preview-jobs:totals"))
    assert {reason: totals.rejections(reason) for reason in REJECTION_REASONS} == {
        "invalid": 2,
        "conflict": 1,
        "full": 0,
        "quota": 0,
    }


def test_redis_failure_is_reported_for_each_job(program: Program) -> None:
    program.write("a.json", payload("a"))
    program.write("b.json", payload("b"))
    url = "redis://user:s3cret@127.0.0.1:1"
    done = program.run("--redis-url", url, "submit", "a.json", "b.json", "--wait", "--json")
    assert done.code == 69
    assert [item["error"] for item in done.json_lines] == ["redis-unavailable"] * 2
    assert "a.json: job a may not have been accepted: Redis at redis://user:***@127.0.0.1:1" in done.err
    assert "s3cret" not in done.err + done.out


def test_another_queue(program: Program, redis_url: str) -> None:
    program.write("job.json", payload())
    assert program.run("--queue", "other", "submit", "job.json").code == 0
    assert waiting(redis_url) == set()
    assert "job-1" in program.run("jobs", PREVIEW_QUEUE_NAME="other").out


def test_absolute_uri_must_be_under_an_asset_root(program: Program) -> None:
    job = payload(previewRequest={"steps": [], "assets": [{"id": "a", "uri": "/etc/hostname"}], "audio": {}})
    done = program.run("submit", program.write("job.json", job))
    assert done.code == 65
    assert "/previewRequest/assets/0/uri" in done.err
    assert str(program.folder / "data" / "assets") in done.err
    assert program.run("submit", "job.json", PREVIEW_ASSET_ROOTS="/etc").code == 0


def test_validate_reports_valid_and_invalid(program: Program, redis_url: str) -> None:
    program.write("good.json", payload())
    program.write("bad.json", payload(priority="urgent"))
    done = program.run("validate", "good.json", "bad.json")
    assert done.code == 65
    lines = done.out.splitlines()
    assert lines[:2] == ["good.json: valid (job job-1)", "bad.json: 1 violation"]
    assert lines[2].startswith("  /priority  ")
    assert lines[3:] == ['      found    "urgent"', "      allowed  low, normal, high", "1 valid, 1 invalid"]
    assert waiting(redis_url) == set()


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_the_valid_examples_are_valid_without_redis(program: Program, name: str) -> None:
    done = program.run("validate", str(EXAMPLES / f"{name}.json"), "--json", REDIS_URL="redis://127.0.0.1:1")
    assert done.code == 0
    assert done.json_lines[0]["valid"] is True


def test_timeout_requires_wait(program: Program) -> None:
    done = program.run("submit", program.write("job.json", payload()), "--timeout", "3")
    assert done.code == 2
    assert "--timeout requires --wait" in done.err


async def test_resubmitting_a_dead_job_gives_its_state_and_hint(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters("job-1")
    done = program.run("submit", program.write("job.json", payload()), "--json")
    assert done.json_lines[0]["status"] == "dead"
    assert (
        done.json_lines[0]["hint"] == "the job is a dead letter: `previewops dlq requeue job-1` runs it again"
    )


def test_resubmitting_a_cancelled_job_gives_a_hint(program: Program) -> None:
    program.run("submit", program.write("job.json", payload()))
    program.run("cancel", "job-1")
    done = program.run("submit", "job.json")
    assert (done.code, done.out.split()[:3]) == (0, ["known", "job-1", "cancelled"])
    assert "job.json: the job was cancelled, so its jobId renders nothing before 2" in done.err
    assert "under another jobId" in done.err
