"""Dead letters: filters, groups, bulk acts with a cut-off, export, and pages over many of one moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from previewops.contract.payload import body_digest
from previewops.errors import BodyChanged, JobConflict, JobNotFound, OtherJob, WrongState
from previewops.listviews import BulkOutcome, DeadFilter
from previewops.retry import Cause, Counter
from previewops.scripts import ScriptName, Scripts
from previewops.states import Code, JobState, Priority
from previewops.terms import read_terms
from tests.queue_support import HOUR_MS, Bench, attempt_json, bench, burial, bury_many, done, payload

pytestmark = pytest.mark.redis

WHO = {"who": "ann", "why": "the store is back"}


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
        assert await meant(job_ids=("m1", "m2"), older_than_ms=HOUR_MS // 2) == {"m1"}
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
        found = await b.redis.zrange(b.keys.dead_groups, 0, -1, withscores=True)
        assert found == [(small.fingerprint.encode(), 1)]


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

        async def die_again(_through: int, _total: int) -> None:
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


@pytest.mark.parametrize(
    "chosen", [DeadFilter(), DeadFilter(project="p"), DeadFilter(job_ids=("a", "b", "c"))]
)
async def test_an_act_is_bound_by_the_cut_off_of_its_count(redis_url: str, chosen: DeadFilter) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, ["a", "b"])
        cut_off_ms = await b.passing_ms()
        await bury_many(b, ["c", "d", "e"])
        assert await b.dead.count(chosen, cut_off_ms=cut_off_ms) == 2
        assert ids_of(await b.dead.newest(chosen, limit=10, cut_off_ms=cut_off_ms)) == {"a", "b"}
        outcome = await b.dead.discard(chosen, cut_off_ms=cut_off_ms, **WHO)
        assert (outcome.done, outcome.skipped, outcome.left) == (2, 0, 0)
        assert ids_of(await b.dead.newest(DeadFilter(), limit=10)) == {"c", "d", "e"}


async def test_a_job_that_dies_again_of_another_chosen_cause_is_touched_once(redis_url: str) -> None:
    async with bench(redis_url) as b:
        one, other = burial("asset-missing", "no file"), burial("deadline-exceeded", "too long")
        await b.bury_one("a", one)
        await b.bury_one("b", other)
        await b.passing_ms()

        async def die_of_the_other(through: int, _total: int) -> None:
            if through == 1:
                await b.worker().bury(
                    await b.claim_one(), counter=Counter.ATTEMPTS, attempt_json=attempt_json(), burial=other
                )

        by_cause = [DeadFilter(fingerprint=each.fingerprint) for each in (one, other)]
        outcome = await b.dead.requeue(by_cause[0], also=by_cause[1:], progress=die_of_the_other, **WHO)
        assert outcome == BulkOutcome(2, 0)
        (again,) = await b.dead.newest(DeadFilter(), limit=5)
        assert (again.job_id, again.requeues, again.fingerprint) == ("a", 1, other.fingerprint)


async def test_what_a_cancelled_act_did_not_come_to_is_left_on_record(redis_url: str) -> None:
    async with bench(redis_url) as b:
        causes = [burial(f"code-{n}", f"reason {n}") for n in "abc"]
        for name, size, why in zip("abc", (3, 150, 7), causes, strict=True):
            await bury_many(b, [f"{name}-{n}" for n in range(size)], why)

        async def stop_in_the_second(through: int, total: int) -> None:
            assert total == 160
            if through == 103:
                task.cancel()
                await asyncio.sleep(0)

        first, *also = (DeadFilter(fingerprint=why.fingerprint) for why in causes)
        task = asyncio.create_task(b.dead.discard(first, also=also, progress=stop_in_the_second, **WHO))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await b.dead.count(DeadFilter()) == 57
        told = [event.fields for event in (await b.snapshots.take(events=3)).events]
        assert [(each["fingerprint"], each["done"], each.get("left")) for each in told] == [
            (causes[0].fingerprint, "3", None),
            (causes[1].fingerprint, "100", "50"),
            (causes[2].fingerprint, "0", "7"),
        ]


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
        seen: list[tuple[int, int]] = []

        async def progress(through: int, total: int) -> None:
            seen.append((through, total))

        group = burial().fingerprint
        outcome = await b.dead.requeue(DeadFilter(fingerprint=group), progress=progress, **WHO)
        assert outcome.done == 1_204
        assert seen == [(through, 1_204) for through in (*range(100, 1_201, 100), 1_204)]
        assert (await b.snapshots.take()).backlog == 1_204


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop", {"m1"}),
        ("project:shop !error:jpeg", {"m1"}),
        ("ASSETMISSING", {"m1", "m2"}),
        ("error:corrupt-image", {"c1"}),
        ("! the", {"m1", "m2"}),
        ("priority:low", {"m2"}),
        ("id:c", {"c1"}),
        ("waiting", set()),
    ],
)
async def test_words_choose_dead_letters(redis_url: str, text: str, expected: set[str]) -> None:
    async with bench(redis_url) as b:
        missing = burial("asset-missing", "no file 'x.png'", error_class="AssetMissing")
        await b.bury_one("m1", missing, project="shop")
        await b.bury_one("m2", missing, project="school", priority="low")
        corrupt = burial("corrupt-image", "cannot read the JPEG", error_class="CorruptImage")
        await b.bury_one("c1", corrupt, project="school")
        chosen = DeadFilter(terms=read_terms(text))
        assert ids_of((await b.dead.page(chosen)).rows) == expected
        assert await b.dead.count(chosen) == len(expected)
        assert {record.job_id async for record in b.dead.export(chosen)} == expected
        outcome = await b.dead.discard(chosen, **WHO)
        assert (outcome.done, await b.dead.count(DeadFilter())) == (len(expected), 3 - len(expected))


async def test_counting_what_the_indexes_know_looks_at_no_dead_letter(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, [f"job-{n}" for n in range(30)])
        for chosen, expected in (
            (DeadFilter(), 30),
            (DeadFilter(terms=read_terms("! ")), 30),
            (DeadFilter(fingerprint=burial().fingerprint), 30),
            (DeadFilter(older_than_ms=HOUR_MS), 0),
        ):
            before = await b.calls()
            assert await b.dead.count(chosen) == expected
            after = await b.calls()
            assert after["zcount"] == before.get("zcount", 0) + 1
            assert (after["hmget"], after.get("evalsha")) == (before["hmget"], before.get("evalsha"))


async def test_counting_by_words_goes_in_large_steps_and_tells_how_far_it_is(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, [f"job-{n:04}" for n in range(1_203)])
        seen: list[tuple[int, int]] = []

        async def progress(through: int, total: int) -> None:
            seen.append((through, total))

        await b.dead.count(DeadFilter(error="broken"))
        before = (await b.calls())["evalsha"]
        assert await b.dead.count(DeadFilter(terms=read_terms("job-01")), progress) == 100
        assert (await b.calls())["evalsha"] - before <= 3
        assert seen == [(500, 1_203), (1_000, 1_203), (1_203, 1_203)]


async def test_pages_of_dead_letters_are_one_round_trip_each_and_miss_none(redis_url: str) -> None:
    async with bench(redis_url) as b:
        ids = [f"job-{n:04}" for n in range(700)]
        await bury_many(b, ids)
        await at_one_moment(b, await b.now_ms() - 10)
        await b.dead.page(DeadFilter())
        before = (await b.calls())["evalsha"]
        first = await b.dead.page(DeadFilter(), limit=300)
        assert (await b.calls())["evalsha"] == before + 1
        await b.dead.discard(DeadFilter(job_ids=(first.rows[-1].job_id, "job-0000")), **WHO)
        await b.bury_one("newer")
        second = await b.dead.page(DeadFilter(), cursor=first.cursor, limit=500)
        assert [record.job_id for record in (*first.rows, *second.rows)] == sorted(ids[1:], reverse=True)
        assert second.cursor is None
        rare = await b.dead.page(DeadFilter(terms=read_terms("id:job-0001")))
        assert (rare.rows, rare.examined) == ((), 500)
        assert rare.cursor is not None
        rest = await b.dead.page(DeadFilter(terms=read_terms("id:job-0001")), cursor=rare.cursor)
        assert ids_of(rest.rows) == {"job-0001"}


async def test_named_dead_letters_are_paged_too(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, ["a", "b", "c"])
        chosen = DeadFilter(job_ids=("c", "gone", "a", "c", "b"))
        first = await b.dead.page(chosen, limit=3)
        second = await b.dead.page(chosen, limit=3, cursor=first.cursor)
        assert [record.job_id for record in (*first.rows, *second.rows)] == ["c", "a", "b"]
        assert second.cursor is None


async def test_groups_are_one_round_trip_and_no_more_than_are_wanted_are_read(redis_url: str) -> None:
    async with bench(redis_url) as b:
        for n in range(12):
            await b.bury_one(f"job-{n}", burial(f"code-{chr(97 + n)}"))
        await b.bury_one("again", burial("code-c"))
        await b.dead.groups()
        before = await b.calls()
        found = await b.dead.groups(limit=3)
        after = await b.calls()
        assert [group.count for group in found] == [2, 1, 1]
        assert (found[0].example.job_id, found[0].example.code) == ("again", "code-c")
        spent = {name: after[name] - before.get(name, 0) for name in ("evalsha", "hmget", "zrange", "zcard")}
        assert spent == {"evalsha": 1, "hmget": 3, "zrange": 6, "zcard": 3}


async def test_a_bulk_act_that_is_cancelled_leaves_whole_batches_and_an_event(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, [f"job-{n}" for n in range(350)])

        async def stop_after_two(through: int, _total: int) -> None:
            if through == 200:
                task.cancel()
                await asyncio.sleep(0)

        task = asyncio.create_task(b.dead.requeue(DeadFilter(), progress=stop_after_two, **WHO))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await b.snapshots.take()).backlog == 200
        assert await b.dead.count(DeadFilter()) == 150
        event = (await b.snapshots.take(events=1)).events[0]
        assert (event.kind, event.fields["done"], event.fields["left"]) == ("requeued", "200", "150")
        assert (event.fields["who"], event.fields["why"]) == (WHO["who"], WHO["why"])


async def test_a_batch_under_way_is_counted_when_the_act_is_cancelled(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, [f"job-{n}" for n in range(250)])
        run = b.dead._scripts.run

        async def cancelling(name: ScriptName, *args: Any) -> Any:
            if name is ScriptName.DISCARD:
                task.cancel()
            return await run(name, *args)

        b.dead._scripts.run = cancelling  # type: ignore[method-assign]
        task = asyncio.create_task(b.dead.discard(DeadFilter(), **WHO))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await b.dead.count(DeadFilter()) == 150
        event = (await b.snapshots.take(events=1)).events[0]
        assert (event.fields["done"], event.fields["left"]) == ("100", "150")


async def test_an_edited_dead_letter_runs_again_with_its_new_body_and_its_history(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await b.bury_one("a", project="shop", priority="low")
        before = payload("a", project="shop", priority="low")
        after = payload("a", project="school", priority="high", title="mended")
        await b.dead.requeue_edited("a", after, who="ann", why="a typo")
        record = await b.queue.status("a")
        assert (record.state, record.project_id, record.priority) == (
            JobState.WAITING,
            "school",
            Priority.HIGH,
        )
        assert (record.attempts, record.requeues, len(record.history)) == (0, 1, 1)
        assert record.payload == after.raw
        assert await b.dead.groups() == ()
        event = (await b.snapshots.take(events=1)).events[0]
        assert (event.kind, event.fields) == (
            "requeued",
            {
                "who": "ann",
                "why": "a typo",
                "done": "1",
                "skipped": "0",
                "job": "a",
                "edited": "1",
                "digestBefore": body_digest(before),
                "digestAfter": body_digest(after),
            },
        )
        assert (await b.queue.submit(after)).new is False, "it is that very job now"
        with pytest.raises(JobConflict):
            await b.queue.submit(before)
        claim = await b.claim_one()
        assert claim.body is not None
        await b.worker().finish([done(claim)], 0)
        assert await b.state("a") == "completed"
        assert (await b.snapshots.take()).unaccounted == 0


async def test_only_a_dead_letter_is_given_another_body_and_only_its_own(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await b.bury_one("dead")
        await b.queue.submit(payload("waits"))
        before = await b.dump()
        for job_id, body, error in (
            ("dead", payload("other"), OtherJob),
            ("waits", payload("waits", title="x"), WrongState),
            ("never", payload("never"), JobNotFound),
        ):
            with pytest.raises(error):
                await b.dead.requeue_edited(job_id, body, who="ann")
        assert await b.dump() == before
        with pytest.raises(BodyChanged):
            await b.dead.requeue_edited("dead", payload("dead"), who="ann", instead_of="")
        assert await b.dump() == before
        await b.dead.requeue_edited("dead", payload("dead"), who="ann", priority=Priority.LOW)
        assert (await b.queue.status("dead")).priority is Priority.LOW


async def test_what_was_chosen_is_on_record(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, ["a", "b", "c"])
        chosen = DeadFilter(error="broken", project="p", older_than_ms=0, terms=read_terms('id:a "it broke"'))
        await b.dead.requeue(chosen, **WHO)
        await b.dead.discard(DeadFilter(job_ids=("b", "c")), **WHO)
        told = [event.fields for event in (await b.snapshots.take(events=2)).events]
        assert told[0].items() >= {
            "error": "broken", "project": "p", "olderThanMs": "0", "filter": 'id:a "it broke"', "done": "1"
        }.items()  # fmt: skip
        assert told[1].items() >= {"jobs": "2", "done": "2"}.items()


async def test_an_act_is_an_event_with_who_what_and_why(redis_url: str) -> None:
    async with bench(redis_url) as b:
        await bury_many(b, ["a", "b"])
        await b.dead.requeue(DeadFilter(job_ids=("a",)), **WHO)
        await b.dead.discard(DeadFilter(), who="ben", why="useless")
        await b.queue.submit(payload("c"))
        await b.queue.cancel("c", who="cem", why="not needed")
        await b.queue.pause(who="dan", why="upkeep")
        await b.queue.resume(who="eve", why="upkeep is over")
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
            {"kind": "resumed", "who": "eve", "why": "upkeep is over"},
        ]
        now_ms = await b.now_ms()
        assert all(abs(int(fields[b"at"]) - now_ms) < 60_000 for fields in events)
