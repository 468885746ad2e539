"""A job that has ended runs again under its id, with its stored payload."""

from __future__ import annotations

import json

import pytest

from previewops.contract import validate
from previewops.errors import JobNotFound, PayloadExpired, WrongState
from previewops.snapshot.model import QueueEvent
from previewops.states import JobState, ScriptResult
from tests.queue_support import QueueFixture, completed_job, payload, queue_fixture, stock_pool, strict_json

pytestmark = pytest.mark.redis

UNUSUAL = payload("a", title='Größe "XL" \\ {[', priority="high")


async def complete(b: QueueFixture, job_id: str = "a") -> None:
    claim = await b.claim_one()
    assert claim.job_id == job_id
    await b.worker().finish([completed_job(claim, {"bundle": f"/previews/p/{job_id}"})], 0)


async def events(b: QueueFixture, kind: str) -> list[QueueEvent]:
    return [event for event in (await b.snapshots.read(events=99)).events if event.kind == kind]


async def test_a_completed_job_runs_again_and_readers_keep_its_bundle(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(UNUSUAL)
        await complete(b)
        ended = await b.queue.status("a")
        assert await b.queue.run_again("a", who="ana", reason="a new font") is JobState.COMPLETED
        record = await b.queue.status("a")
        assert (record.state, record.payload, record.digest) == (JobState.WAITING, UNUSUAL.raw, ended.digest)
        assert (record.finished_ms, record.claimed_ms, record.worker, record.result) == (None,) * 4
        assert record.has_bundle
        assert record.previous_ms == ended.finished_ms
        (event,) = await events(b, "run-again")
        assert event.fields == {"job": "a", "was": "completed", "who": "ana", "why": "a new font"}
        claim = await b.claim_one("w2")
        assert claim.body is not None
        body = strict_json(claim.body)
        assert (body["f"], body["a"], body["k"]) == ("render_preview", [UNUSUAL.raw], {"reuse": False})
        assert claim.priority.value == "high"
        await b.worker("w2").finish([completed_job(claim, {"bundle": "/previews/p/a"})], 0)
        record = await b.queue.status("a")
        assert (record.state, record.payload, record.previous_ms) == (JobState.COMPLETED, UNUSUAL.raw, None)
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["completed"], snapshot.unaccounted) == (2, 0)


async def test_a_cancelled_job_runs_again_and_its_old_attempt_publishes_nothing(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        old = await b.claim_one()
        await b.queue.cancel("a", who="ana")
        assert await b.queue.run_again("a", who="ana") is JobState.CANCELLED
        assert not (await b.queue.status("a")).has_bundle
        new = await b.claim_one("w2")
        assert int(new.token) > int(old.token)
        assert await b.worker().renew(old) is ScriptResult.STALE
        codes, _, _ = await b.worker().finish([completed_job(old)], 0)
        assert codes == [ScriptResult.STALE]
        assert await b.worker("w2").renew(new) is ScriptResult.OK


async def test_the_same_submit_is_still_the_same_job(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        await complete(b)
        await b.queue.run_again("a", who="ana")
        receipt = await b.queue.submit(payload("a"))
        assert (receipt.new, receipt.state) == (False, JobState.WAITING)


async def test_a_dry_run_that_runs_again_leaves_no_bundle_to_read(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(validate({**payload("a").raw, "dryRun": True}))
        await complete(b)
        await b.queue.run_again("a", who="ana")
        assert not (await b.queue.status("a")).has_bundle


async def test_only_ended_jobs_run_again(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        with pytest.raises(JobNotFound):
            await b.queue.run_again("never", who="ana")
        await b.add_dead_letter("dead")
        await b.queue.submit(payload("a"))
        for job_id, state in (("dead", "dead"), ("a", "waiting")):
            with pytest.raises(WrongState) as caught:
                await b.queue.run_again(job_id, who="ana")
            assert caught.value.state == state
        await complete(b)
        before = await b.dump()
        with pytest.raises(JobNotFound):
            await b.queue.run_again("a", who="ana", projects=["other"])
        await b.redis.delete("arq:result:a")
        with pytest.raises(PayloadExpired):
            await b.queue.run_again("a", who="ana")
        assert (await b.queue.status("a")).state is JobState.COMPLETED
        assert b"arq:result:a" in before
        assert not await events(b, "run-again")


@pytest.mark.parametrize(
    "body", ["[]", '{"a":[]}', "not JSON", '{"a":{"x":1},"f":"render_preview","k":{},"et":1}']
)
async def test_a_damaged_result_runs_nothing(redis_url: str, body: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        await complete(b)
        await b.redis.set("arq:result:a", body)
        with pytest.raises(PayloadExpired):
            await b.queue.run_again("a", who="ana")


async def test_a_job_of_a_stock_client_runs_again(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as stock:
        await stock.enqueue_job("render_preview", payload("a").raw, _job_id="a")
        await complete(b)
        await b.queue.run_again("a", who="ana")
        claim = await b.claim_one()
        assert claim.body is not None
        assert json.loads(claim.body)["a"] == [payload("a").raw]
