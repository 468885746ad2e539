"""Another priority for a waiting job, and the end of a delay, by an operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from previewops.errors import JobNotFound, WrongState
from previewops.queue.due_time import NOW
from previewops.queue.retry import FailureCounter
from previewops.states import JobState, Priority
from tests.api_support import JOBS, require_problem, serve_api
from tests.integration.cli_program import Program
from tests.integration.cli_program import payload as driver_payload
from tests.queue_support import QueueFixture, attempt_json, completed_job, payload, queue_fixture

pytestmark = pytest.mark.redis


async def delay(b: QueueFixture, job_id: str) -> None:
    """Submits a job and lets its first attempt fail."""
    await b.queue.submit(payload(job_id))
    claim = await b.claim_one()
    await b.worker().retry(
        claim,
        delay_ms=3_600_000,
        counter=FailureCounter.ATTEMPTS,
        attempt_json=attempt_json(),
        message="x",
    )


async def claimed(b: QueueFixture, count: int) -> list[str]:
    return [claim.job_id for claim in (await b.worker().claim(count)).claims]


async def test_a_job_keeps_its_age_in_its_new_priority(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        for name in ("a", "b", "c"):
            await b.queue.submit(payload(name, priority="low" if name == "a" else "high"))
        state = await b.queue.reschedule("a", priority=Priority.HIGH, who="ana", reason="a customer waits")
        assert state is JobState.WAITING
        assert (await b.queue.status("a")).priority is Priority.HIGH
        assert await claimed(b, 3) == ["a", "b", "c"], "it was submitted first"
        (event,) = [
            event for event in (await b.snapshots.read(events=9)).events if event.kind == "rescheduled"
        ]
        assert (event.fields["priority"], event.fields["why"]) == ("high", "a customer waits")


async def test_a_delayed_job_runs_now_and_keeps_its_attempts(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await delay(b, "a")
        assert await claimed(b, 1) == []
        assert await b.queue.reschedule("a", due=NOW, who="ana") is JobState.DELAYED
        (claim,) = (await b.worker().claim(1)).claims
        assert claim.attempts == 1
        assert claim.wait_ms < 1_000, "it waits since it was rescheduled"


async def test_a_priority_during_a_delay_holds_after_it(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await delay(b, "a")
        await b.queue.reschedule("a", priority=Priority.HIGH, who="ana")
        await b.queue.submit(payload("b"))
        assert await claimed(b, 2) == ["b"]
        await b.queue.reschedule("a", due=NOW, who="ana")
        (claim,) = (await b.worker().claim(1)).claims
        assert claim.priority is Priority.HIGH


async def test_running_ended_and_unknown_jobs_are_rejected(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        claim = await b.claim_one()
        with pytest.raises(WrongState, match="it is active"):
            await b.queue.reschedule("a", due=NOW, who="ana")
        await b.worker().finish([completed_job(claim)], 0)
        with pytest.raises(WrongState, match="it is completed"):
            await b.queue.reschedule("a", priority=Priority.LOW, who="ana")
        with pytest.raises(JobNotFound):
            await b.queue.reschedule("never", due=NOW, who="ana")


async def test_reschedule_on_the_command_line(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    async with queue_fixture(redis_url) as b:
        await delay(b, "a")
        await b.queue.submit(payload("b"))
    assert (
        program.run("reschedule", "a", "--now", "--priority", "high").out
        == "a waits now, with priority high\n"
    )
    assert (
        program.run("reschedule", "b", "--priority", "low").out == "b is still waiting, with priority low\n"
    )
    later = program.run("reschedule", "b", "--not-before", "2099-01-01T00:00:00Z")
    assert later.code == 2
    assert "at most 366 days ahead" in later.err
    assert program.run("reschedule", "b", "--not-before", "+2h").out.startswith("b is delayed until 20")
    neither = program.run("reschedule", "b")
    assert (neither.code, neither.err.splitlines()[0]) == (
        2,
        "previewops: found neither --priority nor --now nor --not-before, allowed one or more",
    )


async def test_reschedule_over_http(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path) as api:
        driver, job = api.queue_driver, f"{JOBS}/a"
        await driver.submit(driver_payload("a"))
        changed = await api.client.patch(
            job, json={"priority": "high", "notBefore": "+2h", "reason": "later"}
        )
        assert changed.status_code == 200
        assert (changed.json()["priority"], changed.json()["status"]) == ("high", "delayed")
        assert changed.json()["dueAt"] > changed.json()["createdAt"]
        now = await api.client.patch(job, json={"now": True})
        assert (now.json()["status"], now.json()["dueAt"]) == ("waiting", None)
        require_problem(await api.client.patch(job, json={}), 422, "bad-form")
        require_problem(await api.client.patch(job, json={"now": True, "notBefore": "+1h"}), 422, "bad-form")
        require_problem(await api.client.patch(job, json={"notBefore": "soon"}), 422, "invalid-due-time")
        require_problem(await api.client.patch(f"{JOBS}/none", json={"now": True}), 404, "not-found")
        await driver.claim()
        require_problem(await api.client.patch(job, json={"priority": "low"}), 409, "wrong-state")
