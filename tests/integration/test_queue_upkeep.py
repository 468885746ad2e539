"""Upkeep in unusual times: after silence, and before ids that no door of ours would let in."""

from __future__ import annotations

import pytest

from previewops.states import JobState
from tests.queue_support import bench, payload

pytestmark = pytest.mark.redis


async def test_leases_that_ended_while_nobody_was_heard_are_given_one_more(redis_url: str) -> None:
    async with bench(redis_url) as b:
        w = b.worker()
        await b.queue.submit(payload("a"))
        (claim,) = (await w.claim(1)).jobs
        await w.maintain()
        # Redis was away for an hour, and every lease ended meanwhile.
        await b.expire("a")
        await b.redis.hincrby(b.keys.meta, "upkept", -3_600_000)
        assert (await w.maintain()).recovered == 0
        assert await w.heartbeat("{}", [(claim, 0.5, "drawing")]) == []
        assert (await w.maintain()).recovered == 0
        record = await b.queue.status("a")
        assert (record.state, record.crashes) == (JobState.ACTIVE, 0)


async def test_a_lease_that_ends_again_after_that_is_recovered(redis_url: str) -> None:
    async with bench(redis_url) as b:
        w = b.worker()
        await b.queue.submit(payload("a"))
        await w.claim(1)
        await w.maintain()
        await b.expire("a")
        await b.redis.hincrby(b.keys.meta, "upkept", -3_600_000)
        await w.maintain()
        await b.expire("a")
        assert (await w.maintain()).recovered == 1
        assert (await b.queue.status("a")).crashes == 1


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"a b", b"a\nb", b"x" * 513])
async def test_an_id_that_could_break_a_worker_is_turned_away_and_told_of(redis_url: str, bad: bytes) -> None:
    async with bench(redis_url) as b:
        await b.redis.zadd(b.queue.keys.schedule, {bad: 1})
        await b.queue.submit(payload("good"))
        (claim,) = (await b.worker().claim(2)).jobs
        assert claim.job_id == "good"
        assert await b.redis.hget(b.keys.meta, "refused") == b"1"
        (event,) = [
            fields for _, fields in await b.redis.xrange(b.keys.events) if fields[b"kind"] == b"turned-away"
        ]
        assert b"not printable ASCII" in event[b"message"]
        assert (await b.worker().claim(1)).jobs == ()
