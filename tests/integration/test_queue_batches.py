"""Batches: counts by state, one end, one message, retention, repair."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from previewops.doctor.doctor import Doctor
from previewops.queue.batch_errors import BatchClosed, BatchConflict, BatchNotFound
from previewops.queue.batches import Batch, Batches, BatchState
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.queue import Receipt
from previewops.queue.retry import FailureCounter
from previewops.queue.submit_options import SubmitOptions
from previewops.queue.webhooks import Webhooks
from previewops.states import JobState
from tests.queue_support import (
    QueueFixture,
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
)

pytestmark = pytest.mark.redis

OPTIONS = SubmitOptions(batch="b")


async def submit(b: QueueFixture, *job_ids: str, options: SubmitOptions = OPTIONS, **changes: str) -> None:
    payloads = [payload(job_id, **changes) for job_id in job_ids]
    results = await b.queue.submit_many(payloads, options=[options] * len(payloads))
    assert all(isinstance(result, Receipt) and result.new for result in results)


async def end_next(b: QueueFixture, *, dead: bool = False) -> str:
    claim = await b.claim_one()
    if dead:
        await b.worker().move_to_dead_letters(
            claim, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=dead_letter_reason()
        )
    else:
        await b.worker().finish([completed_job(claim)], 0)
    return claim.job_id


def batches(b: QueueFixture) -> Batches:
    return Batches(b.redis, b.settings)


def counts(batch: Batch) -> tuple[int, int, int, int]:
    return batch.pending, batch.completed, batch.dead, batch.cancelled


async def read(b: QueueFixture, batch_id: str = "b") -> tuple[BatchState, tuple[int, int, int, int]]:
    batch = await batches(b).status(batch_id)
    return batch.state, counts(batch)


async def messages(b: QueueFixture) -> list[str]:
    listed = (await Webhooks(b.redis, b.settings).list_messages(failed=False)).messages
    return [message.batch_id or message.job_id for message in listed]


async def test_a_batch_ends_once_when_it_is_closed_and_its_last_job_has_ended(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await Webhooks(b.redis, b.settings).claim(0, all_jobs=True)
        await submit(b, "a", "c", "d")
        assert await end_next(b) == "a"
        assert await end_next(b, dead=True) == "c"
        await b.queue.cancel("d", who="ann")
        assert await read(b) == (BatchState.OPEN, (0, 1, 1, 1)), "more jobs may come"
        assert await messages(b) == ["a", "c", "d"]
        await submit(b, "e")
        batch = await batches(b).close("b")
        assert (batch.state, batch.total, batch.fraction) == (BatchState.RUNNING, 4, 0.75)
        await end_next(b)
        again = await batches(b).close("b")
        assert again.state is BatchState.COMPLETED
        assert again.closed_ms == batch.closed_ms
        assert await messages(b) == ["a", "c", "d", "e", "b"]


async def test_a_job_that_runs_again_reopens_its_batch(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await Webhooks(b.redis, b.settings).claim(0, all_jobs=True)
        await submit(b, "a", "c")
        await batches(b).close("b")
        await end_next(b, dead=True)
        await end_next(b)
        assert await read(b) == (BatchState.COMPLETED, (0, 1, 1, 0))
        await b.dead.requeue(DeadLetterFilter(), who="ann")
        assert await read(b) == (BatchState.RUNNING, (1, 1, 0, 0))
        await end_next(b)
        await b.queue.submit(payload("c", title="new"), SubmitOptions(replaced_by="ann"))
        assert await read(b) == (BatchState.RUNNING, (1, 1, 0, 0))
        await end_next(b, dead=True)
        assert await read(b) == (BatchState.COMPLETED, (0, 1, 1, 0))
        assert (await messages(b)).count("b") == 3, "one for each end"
        await b.dead.discard(DeadLetterFilter(), who="ann")
        assert await read(b) == (BatchState.COMPLETED, (0, 1, 0, 0))
        assert (await messages(b)).count("b") == 3


async def test_who_may_join(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a")
        await batches(b).close("b")
        assert (await b.queue.submit(payload("a"), OPTIONS)).new is False, "it is in the batch already"
        results = await b.queue.submit_many(
            [payload("c"), payload("d", project="q")], options=[OPTIONS, OPTIONS]
        )
        assert [type(result) for result in results] == [BatchClosed, BatchConflict]
        assert await read(b) == (BatchState.RUNNING, (1, 0, 0, 0))
        assert len(await b.list_all()) == 1
        with pytest.raises(BatchNotFound):
            await batches(b).status("b", projects={"q"})
        with pytest.raises(BatchNotFound):
            await batches(b).close("unknown")
        empty = await batches(b).close("empty", project_id="p")
        assert (empty.state, empty.total, empty.fraction) == (BatchState.COMPLETED, 0, 1.0)


async def test_a_replaced_job_stays_in_its_batch_unless_the_submit_names_another(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a", "c")
        await batches(b).close("b")
        await b.queue.cancel("c", who="ann")
        receipt = await b.queue.submit(
            payload("a", title="new"), SubmitOptions(replaced_by="ann", batch="other")
        )
        assert receipt.replaced is JobState.WAITING
        assert await read(b) == (BatchState.COMPLETED, (0, 0, 0, 1)), "its last pending job has left"
        assert await read(b, "other") == (BatchState.OPEN, (1, 0, 0, 0))
        assert (await b.queue.status("a")).batch_id == "other"
        with pytest.raises(BatchClosed):
            await b.queue.submit(payload("a", title="newer"), SubmitOptions(replaced_by="ann", batch="b"))
        assert (await b.queue.status("a")).batch_id == "other"


async def test_cancel_ends_a_batch_of_many_jobs(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await Webhooks(b.redis, b.settings).claim(0, all_jobs=True)
        await submit(b, *(f"j{number}" for number in range(25)))
        await submit(b, "another", options=SubmitOptions(batch="c"))
        await end_next(b)
        await b.claim_one()
        assert await batches(b).cancel("b", who="ann", reason="typo") == 24
        assert await read(b) == (BatchState.COMPLETED, (0, 1, 0, 24))
        assert (await messages(b)).count("b") == 1
        (event,) = await b.redis.xrange(b.keys.actions)
        assert {b"batch": b"b", b"done": b"24", b"who": b"ann", b"why": b"typo"}.items() <= event[1].items()
        assert await b.state("another") == "waiting"
        with pytest.raises(BatchNotFound):
            await batches(b).cancel("b", who="ann", projects=set())


async def test_jobs_of_a_batch_are_listed_in_pages(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a", "c", "d")
        await submit(b, "another", options=SubmitOptions(batch="c"))
        await end_next(b, dead=True)
        first = await batches(b).page("b", limit=2)
        assert [(row.job_id, row.batch_id) for row in first.rows] == [("d", "b"), ("c", "b")]
        second = await batches(b).page("b", limit=2, cursor=first.cursor)
        assert [row.job_id for row in second.rows] == ["a"]
        assert second.cursor is None
        oldest = await batches(b).page("b", newest_first=False)
        assert [row.job_id for row in oldest.rows] == ["a", "c", "d"]
        dead = await batches(b).page("b", state=JobState.DEAD)
        assert [row.job_id for row in dead.rows] == ["a"]
        assert (await batches(b).page("b", projects={"q"})).rows == ()
        assert (await batches(b).page("unknown")).rows == ()


async def make_old(redis: Redis, b: QueueFixture) -> None:
    for index in (b.keys.batches, b.keys.completed):
        for member in await redis.zrange(index, 0, -1):
            await redis.zadd(index, {member: 1})


async def test_a_batch_is_deleted_after_its_jobs(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a", "c")
        await batches(b).close("b")
        await end_next(b)
        await make_old(b.redis, b)
        await b.worker().maintain()
        assert await read(b) == (BatchState.RUNNING, (1, 1, 0, 0)), "a pending job keeps it"
        await end_next(b, dead=True)
        await make_old(b.redis, b)
        await b.worker().maintain()
        assert await read(b) == (BatchState.COMPLETED, (0, 1, 1, 0)), "a dead letter keeps it"
        await b.dead.requeue(DeadLetterFilter(), who="ann")
        await end_next(b)
        await make_old(b.redis, b)
        await b.worker().maintain()
        with pytest.raises(BatchNotFound):
            await batches(b).status("b")
        assert not [key async for key in b.redis.scan_iter(f"{b.keys.queue}:batch*")]


async def test_a_batch_that_stays_open_forgets_jobs_whose_records_are_gone(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=10) as b:
        for number in range(200):
            await submit(b, f"j{number}")
            await end_next(b)
        assert await read(b) == (BatchState.OPEN, (0, 200, 0, 0))
        assert await b.redis.zcard(b.keys.batch_jobs_prefix + "b") < 100
        kept = {raw.decode() for raw in await b.redis.zrange(b.keys.completed, 0, -1)}
        page = await batches(b).page("b")
        assert {record.job_id for record in page.rows} == kept


async def test_doctor_counts_again(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a", "c", "d", "e")
        await batches(b).close("b")
        await end_next(b)
        await end_next(b, dead=True)
        await b.queue.cancel("d", who="ann")
        assert (await Doctor(b.redis, b.settings).examine()).count == 0
        await b.redis.hset(
            b.keys.batch_prefix + "b",
            mapping={"pending": "7", "completed": "x", "dead": "-3", "cancelled": "2"},
        )
        (finding,) = (await Doctor(b.redis, b.settings).examine()).findings
        assert finding.expected == "1 1 1 2", "records of cancelled jobs expire"
        assert (await Doctor(b.redis, b.settings).repair()).left == 0
        assert await read(b) == (BatchState.RUNNING, (1, 1, 1, 2))
        await b.redis.hdel(b.keys.batch_prefix + "b", "created")
        assert (await Doctor(b.redis, b.settings).repair()).left == 0
        await b.redis.delete(b.keys.batch_prefix + "b")
        assert (await Doctor(b.redis, b.settings).repair()).left == 0
        assert await read(b) == (BatchState.OPEN, (1, 1, 1, 1)), (
            "its jobs are counted; it has to be closed again"
        )


async def test_doctor_lists_lost_jobs_of_a_batch_before_it_counts(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await Webhooks(b.redis, b.settings).claim(0, all_jobs=True)
        await submit(b, "a", "c", "d")
        await batches(b).close("b")
        await end_next(b)
        await b.redis.delete(b.keys.batch_jobs_prefix + "b")
        (lost,) = (await Doctor(b.redis, b.settings).examine()).findings
        assert lost.key == b.keys.batch_jobs_prefix + "b"
        assert (await Doctor(b.redis, b.settings).repair()).left == 0
        assert await read(b) == (BatchState.RUNNING, (2, 1, 0, 0))
        assert "b" not in await messages(b)
        assert await batches(b).cancel("b", who="ann") == 2


async def test_doctor_adds_jobs_that_a_batch_does_not_list(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a", "c")
        await batches(b).close("b")
        await end_next(b)
        members = b.keys.batch_jobs_prefix + "b"
        await b.redis.delete(members)
        (finding,) = (await Doctor(b.redis, b.settings).examine()).findings
        assert finding.key == members, "the counts are right"
        assert not await b.redis.exists(members)
        assert (await Doctor(b.redis, b.settings).repair()).left == 0
        assert {row.job_id for row in (await batches(b).page("b")).rows} == {"a", "c"}
        assert await read(b) == (BatchState.RUNNING, (1, 1, 0, 0))
        await b.redis.set(members, "x")
        await b.redis.hset(b.keys.batch_prefix + "b", "pending", "9")
        assert (await Doctor(b.redis, b.settings).repair()).left == 0
        assert await read(b) == (BatchState.RUNNING, (1, 1, 0, 0))
        await end_next(b)
        assert await read(b) == (BatchState.COMPLETED, (0, 2, 0, 0))


async def test_doctor_lists_batches_again_so_that_they_expire(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a")
        await b.redis.delete(b.keys.batches)
        (finding,) = (await Doctor(b.redis, b.settings).examine()).findings
        assert finding.key == b.keys.batches
        assert (await Doctor(b.redis, b.settings).repair()).left == 0
        assert await b.redis.zrange(b.keys.batches, 0, -1) == [b"b"]


async def test_doctor_leaves_a_batch_expired(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a")
        await end_next(b)
        await b.redis.delete(b.keys.batch_prefix + "b", b.keys.batch_jobs_prefix + "b")
        assert (await Doctor(b.redis, b.settings).examine()).count == 0


async def test_deleted_jobs_leave_their_batch(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await submit(b, "a", "c")
        await batches(b).close("b")
        await end_next(b)
        for job_id in ("a", "c"):
            deletion = await b.queue.begin_deletion(job_id, who="ann")
            assert await b.queue.finish_deletion(deletion, who="ann")
        assert await read(b) == (BatchState.COMPLETED, (0, 0, 0, 0))
        assert (await batches(b).page("b")).rows == ()
