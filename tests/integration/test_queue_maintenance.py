"""Maintenance after silence, and with ids that no client would write."""

from __future__ import annotations

import json

import pytest

from previewops.queue.projects import set_project_limits
from previewops.queue.retry import FailureCounter
from previewops.states import JobState, Priority
from tests.queue_support import attempt_json, dead_letter_reason, payload, queue_fixture, stock_pool

pytestmark = pytest.mark.redis


async def test_leases_expired_during_an_outage_are_extended_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        w = b.worker()
        await b.queue.submit(payload("a"))
        (claim,) = (await w.claim(1)).claims
        await w.maintain()
        # Redis was unavailable for an hour, and every lease expired.
        await b.expire_leases("a")
        await b.redis.hincrby(b.keys.meta, "upkept", -3_600_000)
        assert (await w.maintain()).recovered == 0
        assert (await w.heartbeat("{}", [(claim, 0.5, "drawing")])).lost_job_ids == ()
        assert (await w.maintain()).recovered == 0
        record = await b.queue.status("a")
        assert (record.state, record.crashes) == (JobState.ACTIVE, 0)


async def test_lease_that_expires_again_is_recovered(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        w = b.worker()
        await b.queue.submit(payload("a"))
        await w.claim(1)
        await w.maintain()
        await b.expire_leases("a")
        await b.redis.hincrby(b.keys.meta, "upkept", -3_600_000)
        await w.maintain()
        await b.expire_leases("a")
        assert (await w.maintain()).recovered == 1
        assert (await b.queue.status("a")).crashes == 1


async def test_a_clock_set_back_delays_no_recovery(redis_url: str) -> None:
    minute_ms = 60_000
    async with queue_fixture(redis_url) as b:
        w = b.worker()
        await b.queue.submit(payload("a"))
        await w.claim(1)
        await w.maintain()
        # As if the server's clock had been a minute ahead until now.
        await b.redis.hincrby(b.keys.meta, "upkept", minute_ms)
        await b.redis.zincrby(b.keys.active, minute_ms, "a")
        await w.maintain()
        left_ms = await b.redis.zscore(b.keys.active, "a") - await b.now_ms()
        assert left_ms <= 2 * w._settings.lease_ms
        assert (await w.maintain()).recovered == 0
        await b.expire_leases("a")
        assert (await w.maintain()).recovered == 1


async def test_waiting_jobs_without_a_wake_up_get_one(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        assert await b.worker().wait_for_work(1)  # by a worker that died
        await b.worker().maintain()
        assert await b.worker().wait_for_work(1)


async def test_a_report_of_new_measurements_alone_is_not_written_each_time(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        w, key = b.worker(), b.keys.worker_prefix + "w1"
        report = {"host": "h", "busy": 0, "rssBytes": 1, "cpu": 0.5, "clockMs": 1, "jobs": []}
        await w.heartbeat(json.dumps(report), [])
        first = await b.redis.hget(key, "info")
        await w.heartbeat(json.dumps({**report, "rssBytes": 2, "cpu": 12.25, "clockMs": 1000}), [])
        assert await b.redis.hget(key, "info") == first
        await w.heartbeat(json.dumps({**report, "busy": 1}), [])
        assert json.loads(await b.redis.hget(key, "info"))["busy"] == 1
        # Five seconds later.
        await b.redis.hset(key, "info", first.replace(b'"atMs":1', b'"atMs":0'))
        await w.heartbeat(json.dumps({**report, "rssBytes": 3}), [])
        assert json.loads(await b.redis.hget(key, "info"))["rssBytes"] == 3


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"\xed\xa0\x80", b"a\nb", b"x" * 513])
async def test_invalid_id_is_rejected_with_an_event(redis_url: str, bad: bytes) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.zadd(b.queue.keys.schedule, {bad: 1})
        await b.queue.submit(payload("good"))
        (claim,) = (await b.worker().claim(2)).claims
        assert claim.job_id == "good"
        assert await b.redis.hget(b.keys.meta, "refused") == b"1"
        (event,) = [
            fields
            for _, fields in await b.redis.xrange(b.keys.events)
            if fields[b"kind"] == b"entry-rejected"
        ]
        assert b"not plain text" in event[b"message"]
        assert (await b.worker().claim(1)).claims == ()


@pytest.mark.parametrize("job_id", ["has space", "\u00fcn\u00ef", "\u68cb"])
async def test_unusual_valid_id_is_admitted(redis_url: str, job_id: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await pool.enqueue_job("render_preview", {}, _job_id=job_id)
        assert (await b.claim_one()).job_id == job_id


async def test_body_of_wrong_type_does_not_stop_others(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.lpush("arq:job:wrong", "a list")
        await b.redis.zadd(b.keys.schedule, {"wrong": 1})
        await b.queue.submit(payload("good"))
        claims = (await b.worker().claim(2)).claims
        assert {claim.job_id: claim.body is None for claim in claims} == {"wrong": True, "good": False}
        wrong = next(claim for claim in claims if claim.job_id == "wrong")
        await b.worker().move_to_dead_letters(
            wrong, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=dead_letter_reason()
        )
        assert await b.state("wrong") == "dead"
        assert {record.job_id for record in await b.list_all()} == {"wrong", "good"}


async def test_invalid_due_time_does_not_stop_others(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.set("arq:job:never", "{}")
        await b.redis.zadd(b.keys.schedule, {"never": "inf"})
        await b.queue.submit(payload("good"))
        assert {record.job_id for record in await b.list_all()} == {"never", "good"}
        claims = await b.worker().claim(2)
        assert [claim.job_id for claim in claims.claims] == ["good"]
        assert claims.next_due_ms is None
        await b.worker().maintain()
        assert await b.redis.zscore(b.keys.schedule, "never") is None
        assert await b.redis.hget(b.keys.meta, "refused") == b"1"


async def test_an_active_job_whose_record_is_lost_keeps_priority_and_project(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await set_project_limits(b.redis, b.settings, "shop", max_active=1, who="ann")
        await b.queue.submit_many([payload(name, project="shop", priority="high") for name in ("a", "b")])
        assert (await b.claim_one()).job_id == "a"
        await b.redis.delete(b.keys.job_prefix + "a")
        await b.expire_leases("a")
        await b.worker().maintain()
        record = await b.queue.status("a")
        assert (record.state, record.priority, record.project_id) == (
            JobState.WAITING,
            Priority.HIGH,
            "shop",
        )
        await b.worker().maintain()
        assert len((await b.worker().claim(2)).claims) == 1, "the maximum of its project"
