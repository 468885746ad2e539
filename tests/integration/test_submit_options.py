"""Replaced payloads and earliest starts, from the doors to the queue."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from previewops.client import AsyncClient, BadArgument, Client
from previewops.errors import WrongState
from previewops.queue.due_time import DueTime, InvalidDueTime
from previewops.queue.submit_options import SubmitOptions
from previewops.settings import Settings
from previewops.states import JobState
from tests.api_support import JOBS, require_problem, serve_api
from tests.integration.cli_program import Program, queue_driver
from tests.integration.cli_program import payload as raw_payload
from tests.queue_support import payload, queue_fixture

pytestmark = pytest.mark.redis

LATER = "2026-12-24T18:00:00+01:00"


def write_bundle(folder: Path, text: bytes) -> Path:
    """Writes the bundle of the job "a" as if it had been published."""
    bundle = folder / "previews" / "lessons" / "a"
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / "poster.webp").write_bytes(text)
    entry = {
        "path": "poster.webp",
        "bytes": len(text),
        "sha256": hashlib.sha256(text).hexdigest(),
        "mediaType": "image/webp",
    }
    (bundle / "container.json").write_text(json.dumps({"version": 1, "files": [entry]}))
    return bundle


async def test_readers_see_the_old_bundle_until_the_new_one_is_complete(
    redis_url: str, tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path, b"old")
    result = {"bundle": str(bundle), "artifacts": []}
    async with serve_api(redis_url, tmp_path) as api:
        await api.queue_driver.complete("a", result=result)
        changed = raw_payload("a", requestId="changed")
        require_problem(await api.client.post(JOBS, json=changed), 409, "conflict")
        response = await api.client.post(
            f"{JOBS}?replace=true", json=changed, headers={"X-Preview-User": "ana"}
        )
        assert (response.status_code, response.json()["replaced"]) == (202, "completed")
        poster = f"{JOBS}/a/artifacts/poster.webp"
        assert (await api.client.get(poster)).content == b"old"
        assert (await api.client.get(f"{JOBS}/a/artifacts")).json()["files"][0]["path"] == "poster.webp"
        status = (await api.client.get(f"{JOBS}/a/status")).json()
        assert (status["status"], status["artifacts"]) == ("waiting", [])
        assert status["previousBundleAt"] is not None
        (claim,) = await api.queue_driver.claim()
        write_bundle(tmp_path, b"new")
        await api.queue_driver.finish(claim, result)
        assert (await api.client.get(poster)).content == b"new"
        assert (await api.client.get(f"{JOBS}/a/status")).json()["previousBundleAt"] is None
        events = (await api.client.get("/api/preview/events?only=operators")).json()["events"]
        assert [event["fields"]["who"] for event in events if event["kind"] == "replaced"] == ["ana"]
        same = await api.client.post(f"{JOBS}?replace=1", json=changed)
        assert (same.status_code, same.json()["new"]) == (200, False)


async def test_jobs_for_later_over_rest(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path) as api:
        response = await api.client.post(f"{JOBS}?notBefore={LATER}", json=raw_payload("a"))
        assert response.json() == {"jobId": "a", "status": "delayed", "new": True}
        assert (await api.client.get(f"{JOBS}/a/status")).json()["dueAt"] == "2026-12-24T17:00:00.000Z"
        lines = "".join(json.dumps(raw_payload(name)) + "\n" for name in ("b", "c"))
        headers = {"content-type": "application/jsonl"}
        batch = await api.client.post(f"{JOBS}?notBefore=%2B2h", content=lines, headers=headers)
        assert [json.loads(line)["job"]["status"] for line in batch.text.splitlines()] == ["delayed"] * 2
        listed = (await api.client.get(f"{JOBS}?state=delayed")).json()["jobs"]
        assert len(listed) == 3
        assert all(job["dueAt"] is not None for job in listed)
        past = await api.client.post(f"{JOBS}?notBefore=2020-01-01T00:00:00Z", json=raw_payload("d"))
        assert past.json()["status"] == "waiting"
        for value in ("2026-12-24T18:00:00", "tomorrow", "2099-01-01T00:00:00Z", "%2B367d", "+2h+2h"):
            problem = await api.client.post(f"{JOBS}?notBefore={value}", json=raw_payload("e"))
            assert require_problem(problem, 422, "invalid-due-time")["detail"].startswith("notBefore: found ")
        (claim,) = await api.queue_driver.claim(9)
        assert claim.job_id == "d", "nothing starts early"
        assert (await api.client.delete(f"{JOBS}/b")).json()["was"] == "delayed"


async def test_a_job_runs_when_its_time_has_come(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        due = SubmitOptions(due=DueTime(3_600_000, relative=True))
        assert (await b.queue.submit(payload("a"), due)).state is JobState.DELAYED
        assert (await b.worker().claim(1)).next_due_ms is not None, "a worker sleeps until then"
        assert await b.redis.llen(b.keys.wake) == 1, "a sleeping worker learns of it"
        await b.make_due("a")
        assert (await b.claim_one()).job_id == "a"
        assert (await b.queue.submit(payload("a"), due)).state is JobState.ACTIVE, "it is the same job"
        assert (await b.snapshots.read()).unaccounted == 0


async def test_options_of_the_client(redis_url: str, tmp_path: Path) -> None:
    async with AsyncClient(redis_url, settings=Settings(data_dir=tmp_path), name="app") as previews:
        soon = datetime.now(UTC) + timedelta(hours=1)
        assert (await previews.submit(raw_payload("a"), not_before=soon)).state is JobState.DELAYED
        due_ms = (await previews.status("a")).due_ms
        assert due_ms is not None
        assert abs(due_ms - soon.timestamp() * 1000) < 1
        assert await previews.reschedule("a", not_before="+2h", priority="high") is JobState.DELAYED
        receipt = await previews.submit(raw_payload("a", requestId="new"), replace=True)
        assert (receipt.state, receipt.replaced) == (JobState.DELAYED, JobState.DELAYED)
        with pytest.raises(InvalidDueTime, match="allowed a date and time with a zone"):
            await previews.submit(raw_payload("b"), not_before=datetime(2026, 12, 24))
        with pytest.raises(BadArgument, match="priority"):
            await previews.reschedule("a", priority="urgent")
        await previews.cancel("a")
        with pytest.raises(WrongState):
            await previews.reschedule("a", now=True)
        assert await previews.run_again("a", reason="a new font") is JobState.CANCELLED
        with pytest.raises(WrongState):
            await previews.run_again("a")
        with pytest.raises(BadArgument, match="job_id"):
            await previews.run_again(7)  # type: ignore[arg-type]
        with Client(redis_url, settings=Settings(data_dir=tmp_path)) as client:
            assert client.cancel("a") is JobState.WAITING
            assert client.run_again("a") is JobState.CANCELLED


async def test_options_on_the_command_line(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    old, new = (
        program.write("old.json", raw_payload("a")),
        program.write("new.json", raw_payload("a", requestId="n")),
    )
    async with queue_driver(redis_url):
        assert program.run("submit", old, "--not-before", LATER).out == "accepted  a  delayed\n"
        assert "due       2026-12-24T17:00:00.000Z" in program.run("status", "a").out
        assert program.run("submit", new).code == 1
        replaced = program.run("submit", new, "--replace")
        assert replaced.out == "replaced  a  delayed  (it was delayed, with another payload)\n"
