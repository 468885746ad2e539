"""Submits: idempotent by id, limited by the backlog, atomic."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from previewops.clock import iso_from_ms
from previewops.errors import JobConflict, QueueFull
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.keys import ARQ_GUARD_SCORE
from previewops.queue.queue import Queue, Receipt
from previewops.queue.retry import FailureCounter as Spent
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.states import JobState
from tests.queue_support import (
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
    strict_json,
)

pytestmark = pytest.mark.redis


async def test_thousand_concurrent_submits_of_one_job_accept_one(
    redis_url: str,
) -> None:
    clients = [connect(redis_url, role="test") for _ in range(50)]
    queues = [Queue(client, Settings()) for client in clients]
    receipts = await asyncio.gather(*(queues[n % 50].submit(payload("one")) for n in range(1000)))
    connections = len(await clients[0].client_list())
    for client in clients:
        await client.aclose()
    assert connections >= 50
    assert Counter(receipt.new for receipt in receipts) == {True: 1, False: 999}
    assert {(receipt.job_id, receipt.state) for receipt in receipts} == {("one", JobState.WAITING)}
    async with queue_fixture(redis_url) as b:
        snapshot = await b.snapshots.read()
        assert snapshot.counters["accepted"] == snapshot.backlog == 1


async def test_concurrent_producers_stay_within_queue_max(redis_url: str) -> None:
    limit = 37
    clients = [connect(redis_url, role="test") for _ in range(8)]

    async def produce(number: int) -> list[Receipt | QueueFull]:
        queue = Queue(clients[number], Settings(queue_max=limit))
        results: list[Receipt | QueueFull] = []
        for n in range(0, 20, 2):
            results += await queue.submit_many([payload(f"p{number}-{n}"), payload(f"p{number}-{n + 1}")])
            assert (await queue.redis.zcount("preview-jobs", f"({ARQ_GUARD_SCORE}", "+inf")) <= limit
        return results

    results = [result for batch in await asyncio.gather(*map(produce, range(8))) for result in batch]
    for client in clients:
        await client.aclose()
    rejected = [result for result in results if isinstance(result, QueueFull)]
    assert len(results) - len(rejected) == limit
    assert all((rejection.backlog, rejection.limit) == (limit, limit) for rejection in rejected)
    async with queue_fixture(redis_url) as b:
        assert (await b.snapshots.read()).backlog == limit
        for rejection in rejected:
            assert not await b.redis.keys(f"*:{rejection.job_id}")


async def test_queue_max_counts_delayed_but_not_active_jobs(redis_url: str) -> None:
    async with queue_fixture(redis_url, queue_max=1) as b:
        await b.queue.submit(payload("a"))
        claim = await b.claim_one()
        await b.queue.submit(payload("b"))
        with pytest.raises(QueueFull) as caught:
            await b.queue.submit(payload("c"))
        assert caught.value.exit_code == 75
        second = await b.claim_one()
        await b.worker().retry(
            second, delay_ms=60_000, counter=Spent.ATTEMPTS, attempt_json=attempt_json(), message="again"
        )
        with pytest.raises(QueueFull):
            await b.queue.submit(payload("c"))
        assert (await b.queue.submit(payload("a"))).new is False, (
            "a known job is reported although the queue is full"
        )
        await b.worker().finish([completed_job(claim)], 0)


async def test_submit_same_body_is_duplicate_and_other_body_conflict(
    redis_url: str,
) -> None:
    async with queue_fixture(redis_url) as b:

        async def meet(state: JobState) -> None:
            receipt = await b.queue.submit(payload("a"))
            assert (receipt.new, receipt.state) == (False, state)
            before = await b.dump()
            with pytest.raises(JobConflict) as caught:
                await b.queue.submit(payload("a", title="another"))
            assert caught.value.state == state.value
            after = await b.dump()
            for dump in (before, after):
                dump.pop(b.queue.keys.totals.encode(), None)  # counted here and nowhere else
            assert after == before

        assert (await b.queue.submit(payload("a"))).new is True
        await meet(JobState.WAITING)
        claim = await b.claim_one()
        await meet(JobState.ACTIVE)
        await b.worker().retry(
            claim, delay_ms=60_000, counter=Spent.ATTEMPTS, attempt_json=attempt_json(), message="again"
        )
        await meet(JobState.DELAYED)
        await b.make_due("a")
        await b.worker().move_to_dead_letters(
            await b.claim_one(),
            counter=Spent.ATTEMPTS,
            attempt_json=attempt_json(),
            reason=dead_letter_reason(),
        )
        await meet(JobState.DEAD)
        await b.add_dead_letter("b")
        await b.queue.submit(payload("c"))
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        assert (await b.queue.submit(payload("c"))).state is JobState.COMPLETED
        await b.queue.submit(payload("d"))
        await b.queue.cancel("d", who="ann")
        assert (await b.queue.submit(payload("d"))).state is JobState.CANCELLED


async def test_receipt_has_free_from_of_an_ended_job(redis_url: str) -> None:
    async with queue_fixture(redis_url, result_ttl_s=3600) as b:
        await b.queue.submit_many([payload("done"), payload("gone"), payload("dead"), payload("waits")])
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        await b.queue.cancel("gone", who="ann")
        await b.worker().move_to_dead_letters(
            await b.claim_one(),
            counter=Spent.ATTEMPTS,
            attempt_json=attempt_json(),
            reason=dead_letter_reason(),
        )
        for job_id in ("done", "gone"):
            ended_ms = (await b.queue.status(job_id)).finished_ms
            assert ended_ms is not None
            receipt = await b.queue.submit(payload(job_id))
            assert receipt.free_from_ms == ended_ms + 3_600_000
            with pytest.raises(JobConflict) as caught:
                await b.queue.submit(payload(job_id, title="another"))
            assert (
                caught.value.reusable_from
                == receipt.as_json()["freeFrom"]
                == iso_from_ms(ended_ms + 3_600_000)
            )
            assert caught.value.reusable_from in str(caught.value.hint)
        assert "another jobId" in str((await b.queue.submit(payload("gone"))).hint)
        assert (await b.queue.submit(payload("done"))).hint is None
        dead = await b.queue.submit(payload("dead"))
        assert "`previewops dlq requeue dead`" in str(dead.hint)
        waits = await b.queue.submit(payload("waits"))
        assert (dead.free_from_ms, waits.free_from_ms, waits.hint) == (None, None, None)
        # The requeued job still has the end of its first run.
        await DeadLetters(b.redis, b.settings).requeue(DeadLetterFilter(job_ids=("dead",)), who="ann")
        assert (await b.queue.submit(payload("dead"))).free_from_ms is None


async def test_batch_results_are_in_order_and_independent(redis_url: str) -> None:
    async with queue_fixture(redis_url, queue_max=3) as b:
        await b.queue.submit(payload("known"))
        results = await b.queue.submit_many(
            [
                payload("x", priority="low"),
                payload("known"),
                payload("known", title="other"),
                payload("x", priority="low"),
                payload("y"),
                payload("z"),
                payload("y"),
            ]
        )
        outcomes = [
            (result.job_id, result.new) if isinstance(result, Receipt) else (result.job_id, result.code)
            for result in results
        ]
        assert outcomes == [
            ("x", True),
            ("known", False),
            ("known", "conflict"),
            ("x", False),
            ("y", True),
            ("z", "queue-full"),
            ("y", False),
        ]


async def test_large_batch_is_split_by_five_hundred(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("warm"))
        before = await b.calls()
        results = await b.queue.submit_many([payload(f"job-{n}") for n in range(1201)])
        after = await b.calls()
        assert len(results) == 1201
        assert after["evalsha"] - before["evalsha"] == 3
        claims = (await b.worker().claim(1000)).claims
        assert [claim.job_id for claim in claims] == ["warm", *(f"job-{n}" for n in range(999))]


async def test_rejection_counters_add_no_cost_to_accepted_submits(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("warm"))
        before = await b.calls()
        await b.queue.submit(payload("a"))
        after = await b.calls()
        assert after["evalsha"] - before["evalsha"] == 1
        assert after["hincrby"] - before["hincrby"] == 2  # accepted jobs, in total and in the recent buckets
        await b.queue.submit_many([payload("b"), payload("a", title="other")], invalid=4)
        again = await b.calls()
        assert again["evalsha"] - after["evalsha"] == 1


async def test_empty_batch_sends_no_command(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        assert await b.queue.submit_many([]) == []
        assert "evalsha" not in await b.calls()


async def test_body_is_stored_in_arq_format(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a", title='Grüße \\ " % {}'))
        record = strict_json(await b.redis.get("arq:job:a"))
        assert (record["t"], record["f"], record["k"]) == (None, "render_preview", {})
        assert record["a"] == [payload("a", title='Grüße \\ " % {}').raw]
        assert record["a"][0]["previewRequest"]["steps"] == []
        assert abs(record["et"] - await b.now_ms()) < 60_000


async def test_id_of_another_queue_is_a_conflict(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, queue_fixture(redis_url, queue_name="other") as other:
        await other.queue.submit(payload("shared"))
        with pytest.raises(JobConflict, match="in another queue"):
            await b.queue.submit(payload("shared"))
        await other.worker().finish([completed_job(await other.claim_one())], 0)
        with pytest.raises(JobConflict, match="in another queue"):
            await b.queue.submit(payload("shared"))
        assert (await b.snapshots.read()).counters["accepted"] == 0
