"""Dead letters by project, host and hour, and limited to a time of death."""

from __future__ import annotations

import pytest

from previewops.queue.dead_letter_facets import HOUR_MS
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.filter_query import parse_filter
from tests.queue_support import QueueFixture, add_dead_letters, dead_letter_reason, queue_fixture

pytestmark = pytest.mark.redis


async def set_death(b: QueueFixture, job_id: str, at_ms: int, worker: str) -> None:
    """Changes when and where a job died, as if it had."""
    fingerprint = (await b.redis.hget(f"{b.keys.job_prefix}{job_id}", "fingerprint")).decode()  # type: ignore[misc, union-attr]
    await b.redis.hset(f"{b.keys.job_prefix}{job_id}", mapping={"finished": at_ms, "worker": worker})  # type: ignore[misc]
    for index in (b.keys.dead, f"{b.keys.dead_group_prefix}{fingerprint}"):
        await b.redis.zadd(index, {job_id: at_ms})


async def test_facets_of_a_cause_and_of_a_filter(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        hour = (await b.now_ms()) // HOUR_MS * HOUR_MS - 5 * HOUR_MS
        await add_dead_letters(b, ["a-1", "a-2"], project="kids")
        await add_dead_letters(b, ["b-1"], project="trial")
        await add_dead_letters(b, ["other"], dead_letter_reason("other-code"), project="kids")
        await set_death(b, "a-1", hour, "render-1-7-a1")
        await set_death(b, "a-2", hour + HOUR_MS - 1, "render-1-8-b2")
        await set_death(b, "b-1", hour + HOUR_MS, "render-2-9-c3")
        group = next(one for one in await b.dead.groups() if one.count == 3)
        chosen = DeadLetterFilter(fingerprint=group.fingerprint)
        facets = await b.dead.facets(chosen)
        assert (facets.counted, facets.complete) == (3, True)
        assert facets.projects == {"kids": 2, "trial": 1}
        assert facets.hosts == {"render-1": 2, "render-2": 1}
        assert facets.hours == {hour: 2, hour + HOUR_MS: 1}
        filtered = await b.dead.facets(
            DeadLetterFilter(fingerprint=group.fingerprint, query=parse_filter("project:trial"))
        )
        assert filtered.hosts == {"render-2": 1}


async def test_an_hour_limits_lists_counts_and_commands(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        hour = (await b.now_ms()) // HOUR_MS * HOUR_MS - 5 * HOUR_MS
        await add_dead_letters(b, ["before", "first", "last", "after"])
        moments = {"before": hour - 1, "first": hour, "last": hour + HOUR_MS - 1, "after": hour + HOUR_MS}
        for job_id, at_ms in moments.items():
            await set_death(b, job_id, at_ms, "w")
        for query in ("", "project:p"):
            chosen = DeadLetterFilter(
                query=parse_filter(query), died_from_ms=hour, died_before_ms=hour + HOUR_MS
            )
            assert [row.job_id for row in (await b.dead.page(chosen)).rows] == ["last", "first"]
            assert await b.dead.count(chosen) == 2
            assert await b.dead.count(chosen, cut_off_ms=hour) == 1
        named = DeadLetterFilter(job_ids=("before", "first"), died_from_ms=hour)
        assert [row.job_id for row in (await b.dead.page(named)).rows] == ["first"]
        assert (await b.dead.requeue(chosen, who="ann")).done == 2
        assert await b.state("before") == await b.state("after") == "dead"
        (event,) = (await b.snapshots.read(events=1)).events
        assert event.fields["diedFrom"] < event.fields["diedBefore"]


async def test_only_the_newest_of_many_are_counted(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, [f"d-{number}" for number in range(1_100)])
        facets = await b.dead.facets(DeadLetterFilter(), limit=600)
    assert not facets.complete
    assert 600 <= facets.counted < 1_100
