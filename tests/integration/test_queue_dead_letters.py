"""Dead letters: filters, groups, bulk operations with a cut-off, export, and pages over many of one moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from previewops.cli.status import format_job
from previewops.errors import JobConflict, JobIdMismatch, JobNotFound, PayloadChanged, WrongState
from previewops.queue.dead_letter_filter import BulkResult, DeadLetterFilter
from previewops.queue.filter_query import parse_filter
from previewops.queue.records import Attempt
from previewops.queue.retry import DeadLetterCause, FailureCounter
from previewops.queue.scripts import ScriptName, Scripts
from previewops.states import JobState, Priority, ScriptResult
from tests.queue_support import (
    HOUR_MS,
    QueueFixture,
    add_dead_letters,
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
)

pytestmark = pytest.mark.redis

WHO = {"who": "ann", "reason": "the store is back"}


async def at_one_moment(b: QueueFixture, at_ms: int) -> None:
    """Gives all dead letters the same time of death."""
    for index in [b.keys.dead, *await b.redis.keys(f"{b.keys.dead_group_prefix}*")]:
        ids = await b.redis.zrange(index, 0, -1)
        await b.redis.zadd(index, dict.fromkeys(ids, at_ms))
        for job_id in ids:
            await b.redis.hset(b.keys.job_prefix + job_id.decode(), "finished", at_ms)


def ids_of(records: tuple[Any, ...]) -> set[str]:
    return {record.job_id for record in records}


async def test_export_includes_payload_and_history(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        reason = dead_letter_reason("asset-missing", "no file 'a.png'", error_class="AssetMissing")
        await b.add_dead_letter("a", reason, title="kept", project="shop")
        (record,) = [record async for record in b.dead.export(DeadLetterFilter())]
        assert record.payload == payload("a", title="kept", project="shop").raw
        assert (record.error_class, record.code, record.reason, record.cause) == (
            "AssetMissing",
            "asset-missing",
            "no file 'a.png'",
            DeadLetterCause.PERMANENT.value,
        )
        assert record.fingerprint == reason.fingerprint
        (attempt,) = record.history
        assert (attempt.worker, attempt.duration_ms, attempt.traceback) == ("w1", 5, "Traceback: …")
        (listed,) = await b.dead.newest(DeadLetterFilter(), limit=5)
        assert listed.payload is None


async def test_filter_conditions(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        missing = dead_letter_reason("asset-missing", "no file 'x.png'", error_class="AssetMissing")
        corrupt = dead_letter_reason("corrupt-image", "cannot read the JPEG", error_class="CorruptImage")
        await add_dead_letters(b, ["m1", "m2"], missing, project="shop")
        await add_dead_letters(b, ["c1"], corrupt, project="school")
        await b.redis.hset(b.keys.job_prefix + "m1", "finished", await b.now_ms() - HOUR_MS)
        await b.redis.zincrby(b.keys.dead, -HOUR_MS, "m1")

        async def matching(**conditions: Any) -> set[str]:
            selection = DeadLetterFilter(**conditions)
            ids = ids_of(await b.dead.newest(selection, limit=10))
            assert await b.dead.count(selection) == len(ids)
            return ids

        assert await matching() == {"m1", "m2", "c1"}
        assert await matching(error="AssetMissing") == {"m1", "m2"}
        assert await matching(error="corrupt-image") == {"c1"}
        assert await matching(error="the jpeg") == {"c1"}
        assert await matching(error="Asset") == set()
        assert await matching(project="shop") == {"m1", "m2"}
        assert await matching(fingerprint=corrupt.fingerprint) == {"c1"}
        assert await matching(fingerprint=corrupt.fingerprint[:5]) == {"c1"}
        assert await matching(fingerprint="000000000000") == set()
        assert await matching(older_than_ms=HOUR_MS // 2) == {"m1"}
        assert await matching(job_ids=("m1", "m2"), older_than_ms=HOUR_MS // 2) == {"m1"}
        assert await matching(job_ids=("m2", "c1", "unknown")) == {"m2", "c1"}
        assert await matching(project="shop", older_than_ms=HOUR_MS // 2, error="AssetMissing") == {"m1"}
        assert await matching(project="school", error="AssetMissing") == set()


async def test_groups_are_by_cause_largest_first(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        for n in range(3):
            await b.add_dead_letter(
                f"m{n}", dead_letter_reason("asset-missing", f"no file 'x{n}.png' of {n} bytes")
            )
        await b.add_dead_letter("c0", dead_letter_reason("corrupt-image", "cannot read"))
        large, small = await b.dead.groups()
        assert (large.count, small.count) == (3, 1)
        assert large.example.job_id == "m2"
        assert large.first_ms <= large.last_ms
        assert [group.count for group in await b.dead.groups(limit=1)] == [3]
        await b.dead.discard(DeadLetterFilter(fingerprint=large.fingerprint), **WHO)
        assert [group.fingerprint for group in await b.dead.groups()] == [small.fingerprint]
        groups = await b.redis.zrange(b.keys.dead_groups, 0, -1, withscores=True)
        assert groups == [(small.fingerprint.encode(), 1)]


async def test_requeue_resets_counters_and_keeps_history(redis_url: str) -> None:
    async with queue_fixture(redis_url, queue_max=1) as b:
        await b.add_dead_letter("a", priority="low")
        await b.add_dead_letter("b")
        result = await b.dead.requeue(DeadLetterFilter(), priority=Priority.HIGH, **WHO)
        assert (result.done, result.skipped) == (2, 0), "PREVIEW_QUEUE_MAX does not apply to operators"
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
        assert await b.dead.count(DeadLetterFilter()) == 0
        claim = (await b.worker().claim(1)).claims[0]
        assert claim.body is not None


async def fail_once(b: QueueFixture, traceback: str) -> None:
    """Claims the one job, and makes it a dead letter after one attempt with this traceback."""
    (claim,) = (await b.worker().claim(1)).claims
    attempt_json, traceback_json = Attempt(
        0, 5, "w1", "permanent", "BrokenError", "broken", "it broke", traceback
    ).as_redis()
    await b.worker().move_to_dead_letters(
        claim,
        counter=FailureCounter.ATTEMPTS,
        attempt_json=attempt_json,
        traceback_json=traceback_json,
        reason=dead_letter_reason(),
    )


async def test_history_keeps_the_first_and_the_last_attempts_and_counts_the_others(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        # Every third attempt fails in another way: its traceback is held by one entry, and by the next one when
        # that entry is dropped.
        for n in range(60):
            if n:
                await b.dead.requeue(DeadLetterFilter(), who="ann")
            await fail_once(b, f'Traceback {n % 3}: "{"x" * 1000}"')
        record = await b.queue.status("a")
        assert record.attempts_dropped == 39
        assert [number for number, _ in record.numbered_history] == [1, *range(41, 61)]
        expected = [f"Traceback {(number - 1) % 3}" for number, _ in record.numbered_history]
        assert [str(attempt.traceback)[:11] for attempt in record.history] == expected
        assert await b.redis.memory_usage(b.keys.attempts_prefix + "a") < 12_000
        assert record.as_json()["attemptsDropped"] == 39
        lines = format_job(record, 0)
        assert "  … and 39 earlier attempts, not kept" in lines


async def test_a_dead_letter_of_five_equal_attempts_is_small(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a", title="x" * 20))
        text = "Traceback (most recent call last):\n" + "  File 'render.py', line 12, in render\n" * 28
        for last in (False, False, False, False, True):
            (claim,) = (await b.worker().claim(1)).claims
            attempt_json, traceback_json = Attempt(
                0, 5, "worker-host-1-a1b2c3", "transient", "BrokenError", "broken", "it broke", text
            ).as_redis()
            options: dict[str, Any] = {
                "counter": FailureCounter.ATTEMPTS,
                "attempt_json": attempt_json,
                "traceback_json": traceback_json,
            }
            if last:
                await b.worker().move_to_dead_letters(claim, reason=dead_letter_reason(), **options)
            else:
                await b.worker().retry(claim, delay_ms=0, message="it broke", **options)
        record = await b.queue.status("a")
        assert [attempt.traceback for attempt in record.history] == [text] * 5
        keys = ("arq:job:a", "arq:result:a", f"{b.keys.job_prefix}a", f"{b.keys.attempts_prefix}a")
        assert sum([await b.redis.memory_usage(key) for key in keys]) < 5_000


async def test_old_claim_of_a_requeued_job_is_stale(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        old = await b.add_dead_letter("a")
        await b.dead.requeue(DeadLetterFilter(), **WHO)
        assert (await b.worker().finish([completed_job(old)], 0))[0] == [ScriptResult.STALE]
        assert await b.worker().release([old]) == [ScriptResult.STALE]
        assert await b.state("a") == "waiting"


async def test_requeue_handles_a_job_once_even_if_it_fails_again(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, [f"job-{n}" for n in range(250)])

        async def die_again(_through: int, _total: int) -> None:
            while jobs := (await b.worker().claim(100)).claims:
                for claim in jobs:
                    await b.worker().move_to_dead_letters(
                        claim,
                        counter=FailureCounter.ATTEMPTS,
                        attempt_json=attempt_json(),
                        reason=dead_letter_reason(),
                    )

        result = await b.dead.requeue(DeadLetterFilter(), progress=die_again, **WHO)
        assert (result.done, result.skipped) == (250, 0)
        records = await b.dead.newest(DeadLetterFilter(), limit=300)
        assert len(records) == 250
        assert {record.requeues for record in records} == {1}


@pytest.mark.parametrize("script", [ScriptName.REQUEUE, ScriptName.DISCARD])
async def test_death_after_the_cut_off_is_skipped(redis_url: str, script: ScriptName) -> None:
    async with queue_fixture(redis_url) as b:
        await b.add_dead_letter("a")
        died_ms = (await b.queue.status("a")).finished_ms
        assert died_ms is not None
        await b.queue.submit(payload("b"))
        options = ("",) if script is ScriptName.REQUEUE else ()
        run = Scripts(b.redis, b.keys).run
        before = await b.dump()
        codes = await run(script, died_ms - 1, *options, "a", "b", "unknown")
        assert codes == [ScriptResult.WRONG_STATE, ScriptResult.WRONG_STATE, ScriptResult.NOT_FOUND]
        assert await b.dump() == before
        assert await run(script, died_ms, *options, "a") == [ScriptResult.OK]


@pytest.mark.parametrize(
    "selection",
    [DeadLetterFilter(), DeadLetterFilter(project="p"), DeadLetterFilter(job_ids=("a", "b", "c"))],
)
async def test_count_and_discard_share_a_cut_off(redis_url: str, selection: DeadLetterFilter) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["a", "b"])
        cut_off_ms = await b.wait_for_next_ms()
        await add_dead_letters(b, ["c", "d", "e"])
        assert await b.dead.count(selection, cut_off_ms=cut_off_ms) == 2
        assert ids_of(await b.dead.newest(selection, limit=10, cut_off_ms=cut_off_ms)) == {"a", "b"}
        result = await b.dead.discard(selection, cut_off_ms=cut_off_ms, **WHO)
        assert (result.done, result.skipped, result.left) == (2, 0, 0)
        assert ids_of(await b.dead.newest(DeadLetterFilter(), limit=10)) == {"c", "d", "e"}


async def test_requeue_by_two_filters_handles_a_job_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        one, other = (
            dead_letter_reason("asset-missing", "no file"),
            dead_letter_reason("deadline-exceeded", "too long"),
        )
        await b.add_dead_letter("a", one)
        await b.add_dead_letter("b", other)
        await b.wait_for_next_ms()

        async def die_of_the_other(through: int, _total: int) -> None:
            if through == 1:
                await b.worker().move_to_dead_letters(
                    await b.claim_one(),
                    counter=FailureCounter.ATTEMPTS,
                    attempt_json=attempt_json(),
                    reason=other,
                )

        by_cause = [DeadLetterFilter(fingerprint=reason.fingerprint) for reason in (one, other)]
        result = await b.dead.requeue(
            by_cause[0], other_filters=by_cause[1:], progress=die_of_the_other, **WHO
        )
        assert result == BulkResult(2, 0)
        (again,) = await b.dead.newest(DeadLetterFilter(), limit=5)
        assert (again.job_id, again.requeues, again.fingerprint) == ("a", 1, other.fingerprint)


async def test_cancelled_operation_records_what_is_left(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        causes = [dead_letter_reason(f"code-{n}", f"reason {n}") for n in "abc"]
        for name, size, reason in zip("abc", (3, 150, 7), causes, strict=True):
            await add_dead_letters(b, [f"{name}-{n}" for n in range(size)], reason)

        async def stop_in_the_second(through: int, total: int) -> None:
            assert total == 160
            if through == 103:
                task.cancel()
                await asyncio.sleep(0)

        first, *also = (DeadLetterFilter(fingerprint=reason.fingerprint) for reason in causes)
        task = asyncio.create_task(
            b.dead.discard(first, other_filters=also, progress=stop_in_the_second, **WHO)
        )
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await b.dead.count(DeadLetterFilter()) == 57
        events = [event.fields for event in (await b.snapshots.read(events=3)).events]
        assert [(fields["fingerprint"], fields["done"], fields.get("left")) for fields in events] == [
            (causes[0].fingerprint, "3", None),
            (causes[1].fingerprint, "100", "50"),
            (causes[2].fingerprint, "0", "7"),
        ]


async def test_requeue_of_a_named_job_is_two_round_trips(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["a", "b"])
        before = await b.calls()
        result = await b.dead.requeue(DeadLetterFilter(job_ids=("a", "unknown")), **WHO)
        assert result == BulkResult(1, 0, 0, ("unknown",))
        assert (await b.calls())["evalsha"] == before["evalsha"] + 2
        (event,) = (await b.snapshots.read(events=1)).events
        assert (event.fields["done"], event.fields["skipped"]) == ("1", "0")


@pytest.mark.parametrize("job_ids", [(), (*(f"j{n}" for n in range(25)), "gone")])
async def test_a_bulk_operation_is_sent_in_small_batches(redis_url: str, job_ids: tuple[str, ...]) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, [f"j{n}" for n in range(25)])
        steps: list[tuple[int, int]] = []

        async def progress(done: int, total: int) -> None:
            steps.append((done, total))

        result = await b.dead.requeue(DeadLetterFilter(job_ids=job_ids), progress=progress, **WHO)
        assert result == BulkResult(25, 0, 0, tuple(name for name in job_ids if name == "gone"))
        assert [done for done, _ in steps] == [10, 20, 25]


async def test_discard_leaves_only_the_counter(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["a", "b"])
        result = await b.dead.discard(DeadLetterFilter(job_ids=("a", "a", "gone")), **WHO)
        assert (result.done, result.skipped) == (1, 0)
        assert not await b.redis.keys("*:a")
        with pytest.raises(JobNotFound):
            await b.queue.status("a")
        snapshot = await b.snapshots.read()
        assert (snapshot.dead, snapshot.counters["discarded"], snapshot.unaccounted) == (1, 1, 0)
        assert (await b.queue.submit(payload("a"))).new is True, "the id is free again"


async def test_bulk_requeue_of_many_deaths_at_one_moment(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        ids = [f"job-{n:04}" for n in range(1_203)]
        await add_dead_letters(b, ids)
        await b.add_dead_letter("older")
        await at_one_moment(b, await b.now_ms() - 10)
        await b.redis.zincrby(b.keys.dead, -5_000, "older")
        everything = await b.dead.newest(DeadLetterFilter(), limit=5_000)
        assert len(everything) == 1_204
        assert ids_of(everything) == {*ids, "older"}
        assert everything[-1].job_id == "older"
        seen: list[tuple[int, int]] = []

        async def progress(through: int, total: int) -> None:
            seen.append((through, total))

        group = dead_letter_reason().fingerprint
        result = await b.dead.requeue(DeadLetterFilter(fingerprint=group), progress=progress, **WHO)
        assert result.done == 1_204
        assert seen == [(through, 1_204) for through in (*range(10, 1_201, 10), 1_204)]
        assert (await b.snapshots.read()).backlog == 1_204


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
async def test_filter_query_selects_dead_letters(redis_url: str, text: str, expected: set[str]) -> None:
    async with queue_fixture(redis_url) as b:
        missing = dead_letter_reason("asset-missing", "no file 'x.png'", error_class="AssetMissing")
        await b.add_dead_letter("m1", missing, project="shop")
        await b.add_dead_letter("m2", missing, project="school", priority="low")
        corrupt = dead_letter_reason("corrupt-image", "cannot read the JPEG", error_class="CorruptImage")
        await b.add_dead_letter("c1", corrupt, project="school")
        selection = DeadLetterFilter(query=parse_filter(text))
        assert ids_of((await b.dead.page(selection)).rows) == expected
        assert await b.dead.count(selection) == len(expected)
        assert {record.job_id async for record in b.dead.export(selection)} == expected
        result = await b.dead.discard(selection, **WHO)
        assert (result.done, await b.dead.count(DeadLetterFilter())) == (len(expected), 3 - len(expected))


async def test_indexed_count_reads_no_record(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, [f"job-{n}" for n in range(30)])
        for selection, expected in (
            (DeadLetterFilter(), 30),
            (DeadLetterFilter(query=parse_filter("! ")), 30),
            (DeadLetterFilter(fingerprint=dead_letter_reason().fingerprint), 30),
            (DeadLetterFilter(older_than_ms=HOUR_MS), 0),
        ):
            before = await b.calls()
            assert await b.dead.count(selection) == expected
            after = await b.calls()
            assert after["zcount"] == before.get("zcount", 0) + 1
            assert (after["hmget"], after.get("evalsha")) == (before["hmget"], before.get("evalsha"))


async def test_count_by_query_reports_progress(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, [f"job-{n:04}" for n in range(1_203)])
        seen: list[tuple[int, int]] = []

        async def progress(through: int, total: int) -> None:
            seen.append((through, total))

        await b.dead.count(DeadLetterFilter(error="broken"))
        before = (await b.calls())["evalsha"]
        assert await b.dead.count(DeadLetterFilter(query=parse_filter("job-01")), progress) == 100
        assert (await b.calls())["evalsha"] - before <= 3
        assert seen == [(500, 1_203), (1_000, 1_203), (1_203, 1_203)]


async def test_pages_are_one_round_trip_each_and_complete(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        ids = [f"job-{n:04}" for n in range(700)]
        await add_dead_letters(b, ids)
        await at_one_moment(b, await b.now_ms() - 10)
        await b.dead.page(DeadLetterFilter())
        before = (await b.calls())["evalsha"]
        first = await b.dead.page(DeadLetterFilter(), limit=300)
        assert (await b.calls())["evalsha"] == before + 1
        await b.dead.discard(DeadLetterFilter(job_ids=(first.rows[-1].job_id, "job-0000")), **WHO)
        await b.add_dead_letter("newer")
        second = await b.dead.page(DeadLetterFilter(), cursor=first.cursor, limit=500)
        assert [record.job_id for record in (*first.rows, *second.rows)] == sorted(ids[1:], reverse=True)
        assert second.cursor is None
        rare = await b.dead.page(DeadLetterFilter(query=parse_filter("id:job-0001")))
        assert (rare.rows, rare.examined) == ((), 500)
        assert rare.cursor is not None
        rest = await b.dead.page(DeadLetterFilter(query=parse_filter("id:job-0001")), cursor=rare.cursor)
        assert ids_of(rest.rows) == {"job-0001"}


async def test_named_dead_letters_are_paged(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["a", "b", "c"])
        selection = DeadLetterFilter(job_ids=("c", "gone", "a", "c", "b"))
        first = await b.dead.page(selection, limit=3)
        second = await b.dead.page(selection, limit=3, cursor=first.cursor)
        assert [record.job_id for record in (*first.rows, *second.rows)] == ["c", "a", "b"]
        assert second.cursor is None


async def test_groups_are_one_round_trip_and_limited(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        for n in range(12):
            await b.add_dead_letter(f"job-{n}", dead_letter_reason(f"code-{chr(97 + n)}"))
        await b.add_dead_letter("again", dead_letter_reason("code-c"))
        await b.dead.groups()
        before = await b.calls()
        groups = await b.dead.groups(limit=3)
        after = await b.calls()
        assert [group.count for group in groups] == [2, 1, 1]
        assert (groups[0].example.job_id, groups[0].example.code) == ("again", "code-c")
        spent = {name: after[name] - before.get(name, 0) for name in ("evalsha", "hmget", "zrange", "zcard")}
        assert spent == {"evalsha": 1, "hmget": 4, "zrange": 6, "zcard": 3}


async def test_cancelled_operation_leaves_complete_batches_and_an_event(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, [f"job-{n}" for n in range(350)])

        async def stop_after_two(through: int, _total: int) -> None:
            if through == 200:
                task.cancel()
                await asyncio.sleep(0)

        task = asyncio.create_task(b.dead.requeue(DeadLetterFilter(), progress=stop_after_two, **WHO))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await b.snapshots.read()).backlog == 200
        assert await b.dead.count(DeadLetterFilter()) == 150
        event = (await b.snapshots.read(events=1)).events[0]
        assert (event.kind, event.fields["done"], event.fields["left"]) == ("requeued", "200", "150")
        assert (event.fields["who"], event.fields["why"]) == (WHO["who"], WHO["reason"])


async def test_current_batch_is_counted_on_cancellation(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, [f"job-{n}" for n in range(250)])
        run = b.dead._scripts.run

        async def cancelling(name: ScriptName, *args: Any) -> Any:
            if name is ScriptName.DISCARD:
                task.cancel()
            return await run(name, *args)

        b.dead._scripts.run = cancelling  # type: ignore[method-assign]
        task = asyncio.create_task(b.dead.discard(DeadLetterFilter(), **WHO))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await b.dead.count(DeadLetterFilter()) == 240
        event = (await b.snapshots.read(events=1)).events[0]
        assert (event.fields["done"], event.fields["left"]) == ("10", "240")


async def test_requeue_with_payload_keeps_history(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.add_dead_letter("a", project="shop", priority="low")
        before = payload("a", project="shop", priority="low")
        after = payload("a", project="school", priority="high", title="mended")
        await b.dead.requeue_with_payload("a", after, who="ann", reason="a typo")
        record = await b.queue.status("a")
        assert (record.state, record.project_id, record.priority) == (
            JobState.WAITING,
            "school",
            Priority.HIGH,
        )
        assert (record.attempts, record.requeues, len(record.history)) == (0, 1, 1)
        assert record.payload == after.raw
        assert await b.dead.groups() == ()
        event = (await b.snapshots.read(events=1)).events[0]
        assert (event.kind, event.fields) == (
            "requeued",
            {
                "who": "ann",
                "why": "a typo",
                "done": "1",
                "skipped": "0",
                "job": "a",
                "edited": "1",
                "digestBefore": before.digest,
                "digestAfter": after.digest,
            },
        )
        assert (await b.queue.submit(after)).new is False, "the stored payload is already this one"
        with pytest.raises(JobConflict):
            await b.queue.submit(before)
        claim = await b.claim_one()
        assert claim.body is not None
        await b.worker().finish([completed_job(claim)], 0)
        assert await b.state("a") == "completed"
        assert (await b.snapshots.read()).unaccounted == 0


async def test_requeue_with_payload_rejects_other_jobs_and_states(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.add_dead_letter("dead")
        await b.queue.submit(payload("waits"))
        before = await b.dump()
        for job_id, body, error in (
            ("dead", payload("other"), JobIdMismatch),
            ("waits", payload("waits", title="x"), WrongState),
            ("never", payload("never"), JobNotFound),
        ):
            with pytest.raises(error):
                await b.dead.requeue_with_payload(job_id, body, who="ann")
        assert await b.dump() == before
        with pytest.raises(PayloadChanged):
            await b.dead.requeue_with_payload("dead", payload("dead"), who="ann", expected_digest="")
        assert await b.dump() == before
        await b.dead.requeue_with_payload("dead", payload("dead"), who="ann", priority=Priority.LOW)
        assert (await b.queue.status("dead")).priority is Priority.LOW


async def test_event_records_the_filter(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["a", "b", "c"])
        selection = DeadLetterFilter(
            error="broken", project="p", older_than_ms=0, query=parse_filter('id:a "it broke"')
        )
        await b.dead.requeue(selection, **WHO)
        await b.dead.discard(DeadLetterFilter(job_ids=("b", "c")), **WHO)
        events = [event.fields for event in (await b.snapshots.read(events=2)).events]
        assert events[0].items() >= {
            "error": "broken", "project": "p", "olderThanMs": "0", "filter": 'id:a "it broke"', "done": "1"
        }.items()  # fmt: skip
        assert events[1].items() >= {"jobs": "2", "done": "2"}.items()


async def test_operator_commands_are_events(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["a", "b"])
        await b.dead.requeue(DeadLetterFilter(job_ids=("a",)), **WHO)
        await b.dead.discard(DeadLetterFilter(), who="ben", reason="useless")
        await b.queue.submit(payload("c"))
        await b.queue.cancel("c", who="cem", reason="not needed")
        await b.queue.pause(who="dan", reason="upkeep")
        await b.queue.resume(who="eve", reason="upkeep is over")
        raw_events = [fields for _, fields in await b.redis.xrange(b.keys.events)]
        events = [
            {name.decode(): value.decode() for name, value in fields.items() if name != b"at"}
            for fields in raw_events
        ]
        assert events[2:] == [
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
        assert all(abs(int(fields[b"at"]) - now_ms) < 60_000 for fields in raw_events)
