"""Dead letters: filters, groups, bulk acts with a cut-off, export, and pages over many of one moment."""

from __future__ import annotations

from typing import Any

import pytest

from previewops.deadletters import DeadFilter
from previewops.errors import JobNotFound
from previewops.lease import Burial
from previewops.retry import Cause, Counter
from previewops.scripts import ScriptName, Scripts
from previewops.states import Code, JobState, Priority
from tests.queue_support import HOUR_MS, Bench, attempt_json, bench, burial, done, payload

pytestmark = pytest.mark.redis

WHO = {"who": "ann", "why": "the store is back"}


async def bury_many(b: Bench, ids: list[str], why: Burial | None = None, **submit: Any) -> None:
    await b.queue.submit_many([payload(job_id, **submit) for job_id in ids])
    for claim in (await b.worker().claim(len(ids))).jobs:
        await b.worker().bury(
            claim, counter=Counter.ATTEMPTS, attempt_json=attempt_json(), burial=why or burial()
        )


async def at_one_moment(b: Bench, at_ms: int) -> None:
    """Gives all dead letters one time of death."""
    for index in [b.keys.dead, *await b.redis.keys(f"{b.keys.dead_group_prefix}*")]:
        ids = await b.redis.zrange(index, 0, -1)
        await b.redis.zadd(index, dict.fromkeys(ids, at_ms))
        for job_id in ids:
            await b.redis.hset(b.keys.job_prefix + job_id.decode(), "finished", at_ms)


def ids_of(records: tuple[Any, ...]) -> set[str]:
    return {record.job_id for record in records}


async def test_a_dead_letter_keeps_everything_and_is_exported_whole(redis_url: str) -> None:
    async with bench(redis_url) as b:
        why = burial("asset-missing", "no file 'a.png'", error_class="AssetMissing")
        await b.bury_one("a", why, title="kept", project="shop")
        (record,) = [record async for record in b.dead.export(DeadFilter())]
        assert record.payload == payload("a", title="kept", project="shop").raw
        assert (record.error_class, record.code, record.reason, record.cause) == (
            "AssetMissing",
            "asset-missing",
            "no file 'a.png'",
            Cause.PERMANENT.value,
        )
        assert record.fingerprint == why.fingerprint
        (attempt,) = record.history
        assert (attempt.worker, attempt.duration_ms, attempt.traceback) == ("w1", 5, "Traceback: …")
        (listed,) = await b.dead.newest(DeadFilter(), limit=5)
        assert listed.payload is None


async def test_each_filter_means_what_it_says(redis_url: str) -> None:
    async with bench(redis_url) as b:
        missing = burial("asset-missing", "no file 'x.png'", error_class="AssetMissing")
        corrupt = burial("corrupt-image", "cannot read the JPEG", error_class="CorruptImage")
        await bury_many(b, ["m1", "m2"], missing, project="shop")
        await bury_many(b, ["c1"], corrupt, project="school")
        await b.redis.hset(b.keys.job_prefix + "m1", "finished", await b.now_ms() - HOUR_MS)
        await b.redis.zincrby(b.keys.dead, -HOUR_MS, "m1")

        async def meant(**conditions: Any) -> set[str]:
            chosen = DeadFilter(**conditions)
            found = ids_of(await b.dead.newest(chosen, limit=10))
            assert await b.dead.count(chosen) == len(found)
            return found

        assert await meant() == {"m1", "m2", "c1"}
        assert await meant(error="AssetMissing") == {"m1", "m2"}
        assert await meant(error="corrupt-image") == {"c1"}
        assert await meant(error="the jpeg") == {"c1"}
        assert await meant(error="Asset") == set()
        assert await meant(project="shop") == {"m1", "m2"}
        assert await meant(fingerprint=corrupt.fingerprint) == {"c1"}
        assert await meant(fingerprint=corrupt.fingerprint[:5]) == {"c1"}
        assert await meant(fingerprint="000000000000") == set()
        assert await meant(older_than_ms=HOUR_MS // 2) == {"m1"}
        assert await meant(job_ids=("m2", "c1", "unknown")) == {"m2", "c1"}
        assert await meant(project="shop", older_than_ms=HOUR_MS // 2, error="AssetMissing") == {"m1"}
        assert await meant(project="school", error="AssetMissing") == set()


async def test_groups_count_by_cause_largest_first(redis_url: str) -> None:
    async with bench(redis_url) as b:
        for n in range(3):
            await b.bury_one(f"m{n}", burial("asset-missing", f"no file 'x{n}.png' of {n} bytes"))
        await b.bury_one("c0", burial("corrupt-image", "cannot read"))
        large, small = await b.dead.groups()
        assert (large.count, small.count) == (3, 1)
        assert large.example.job_id == "m2"
        assert large.first_ms <= large.last_ms
        assert [group.count for group in await b.dead.groups(limit=1)] == [3]
        await b.dead.discard(DeadFilter(fingerprint=large.fingerprint), **WHO)
        assert [group.fingerprint for group in await b.dead.groups()] == [small.fingerprint]
        assert await b.redis.hgetall(b.keys.dead_groups) == {small.fingerprint.encode(): b"1"}


async def test_a_requeued_job_starts_anew_and_keeps_its_history(redis_url: str) -> None:
    async with bench(redis_url, queue_max=1) as b:
        await b.bury_one("a", priority="low")
        await b.bury_one("b")
        outcome = await b.dead.requeue(DeadFilter(), priority=Priority.HIGH, **WHO)
        assert (outcome.done, outcome.skipped) == (2, 0), "an operator's act is not bounded"
        record = await b.queue.status("a")
        assert (record.state, record.priority, record.attempts, record.crashes, record.requeues) == (
            JobState.WAITING,
            Priority.HIGH,
            0,
            0,
            1,
        )
        assert (record.reason, record.error_class, record.fingerprint) == (None, None, None)
        assert len(record.history) == 1
        assert await b.dead.count(DeadFilter()) == 0
        claim = (await b.worker().claim(1)).jobs[0]
        assert claim.body is not None


async def test_who_held_a_job_before_its_requeue_is_late(redis_url: str) -> None:
    async with bench(redis_url) as b:
        old = await b.bury_one("a")
        await b.dead.requeue(DeadFilter(), **WHO)
        assert (await b.worker().finish([done(old)], 0))[0] == [Code.STALE]
        assert await b.worker().release([old]) == [Code.STALE]
        assert await b.state("a") == "waiting"


async def test_a_job_that_dies_again_at_once_is_touched_once(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, [f"job-{n}" for n in range(250)])

        async def die_again(_through: int) -> None:
            while jobs := (await b.worker().claim(100)).jobs:
                for claim in jobs:
                    await b.worker().bury(
                        claim, counter=Counter.ATTEMPTS, attempt_json=attempt_json(), burial=burial()
                    )

        outcome = await b.dead.requeue(DeadFilter(), progress=die_again, **WHO)
        assert (outcome.done, outcome.skipped) == (250, 0)
        records = await b.dead.newest(DeadFilter(), limit=300)
        assert len(records) == 250
        assert {record.requeues for record in records} == {1}


@pytest.mark.parametrize("script", [ScriptName.REQUEUE, ScriptName.DISCARD])
async def test_a_death_after_the_cut_off_is_left_alone(redis_url: str, script: ScriptName) -> None:
    async with bench(redis_url) as b:
        await b.bury_one("a")
        died_ms = (await b.queue.status("a")).finished_ms
        assert died_ms is not None
        await b.queue.submit(payload("b"))
        options = ("",) if script is ScriptName.REQUEUE else ()
        run = Scripts(b.redis, b.keys).run
        before = await b.dump()
        codes = await run(script, died_ms - 1, *options, "a", "b", "unknown")
        assert codes == [Code.WRONG_STATE, Code.WRONG_STATE, Code.NOT_FOUND]
        assert await b.dump() == before
        assert await run(script, died_ms, *options, "a") == [Code.OK]


async def test_discarding_leaves_nothing_but_the_count(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, ["a", "b"])
        outcome = await b.dead.discard(DeadFilter(job_ids=("a", "a", "gone")), **WHO)
        assert (outcome.done, outcome.skipped) == (1, 0)
        assert not await b.redis.keys("*:a")
        with pytest.raises(JobNotFound):
            await b.queue.status("a")
        snapshot = await b.snapshots.take()
        assert (snapshot.dead, snapshot.counters["discarded"], snapshot.unaccounted) == (1, 1, 0)
        assert (await b.queue.submit(payload("a"))).new is True, "the id is free again"


async def test_bulk_acts_reach_every_one_of_many_that_died_at_one_moment(redis_url: str) -> None:
    async with bench(redis_url) as b:
        ids = [f"job-{n:04}" for n in range(1_203)]
        await bury_many(b, ids)
        await b.bury_one("older")
        await at_one_moment(b, await b.now_ms() - 10)
        await b.redis.zincrby(b.keys.dead, -5_000, "older")
        everything = await b.dead.newest(DeadFilter(), limit=5_000)
        assert len(everything) == 1_204
        assert ids_of(everything) == {*ids, "older"}
        assert everything[-1].job_id == "older"
        seen: list[int] = []

        async def progress(through: int) -> None:
            seen.append(through)

        group = burial().fingerprint
        outcome = await b.dead.requeue(DeadFilter(fingerprint=group), progress=progress, **WHO)
        assert outcome.done == 1_204
        assert seen == [*range(100, 1_201, 100), 1_204]
        assert (await b.snapshots.take()).backlog == 1_204


async def test_an_act_is_an_event_with_who_what_and_why(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, ["a", "b"])
        await b.dead.requeue(DeadFilter(job_ids=("a",)), **WHO)
        await b.dead.discard(DeadFilter(), who="ben", why="useless")
        await b.queue.submit(payload("c"))
        await b.queue.cancel("c", who="cem", why="not needed")
        await b.queue.pause(who="dan", why="upkeep")
        await b.queue.resume(who="eve")
        events = [fields for _, fields in await b.redis.xrange(b.keys.events)]
        told = [
            {name.decode(): value.decode() for name, value in fields.items() if name != b"at"}
            for fields in events
        ]
        assert told[2:] == [
            {
                "kind": "requeued",
                "who": "ann",
                "why": "the store is back",
                "done": "1",
                "skipped": "0",
                "job": "a",
            },
            {"kind": "discarded", "who": "ben", "why": "useless", "done": "1", "skipped": "0"},
            {"kind": "cancelled", "job": "c", "who": "cem", "why": "not needed"},
            {"kind": "paused", "who": "dan", "why": "upkeep"},
            {"kind": "resumed", "who": "eve"},
        ]
        now_ms = await b.now_ms()
        assert all(abs(int(fields[b"at"]) - now_ms) < 60_000 for fields in events)
