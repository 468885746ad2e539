"""How a worker claims: woken instead of polling, many jobs a round trip; and its status in the heartbeat."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from previewops.queue.records import JobRecord
from previewops.snapshot.model import WorkerState
from previewops.states import JobState
from previewops.worker.engine import worker as worker_module
from tests.integration.worker_support import (
    HOUR_MS,
    PATIENCE_S,
    CountingRunner,
    JobLog,
    enqueue,
    make_settings,
    make_worker,
    poll_until,
    run_burst,
    running_worker,
    wait_for_blocked_clients,
    wait_for_end,
    wait_for_event,
)
from tests.queue_support import QueueFixture, queue_fixture, stock_pool

pytestmark = [pytest.mark.redis]

NEVER_S = 3_600.0


async def noop(_ctx: dict[Any, Any], _argument: Any) -> None:
    return None


class BlockingFunction:
    """A function whose jobs run until released."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[str] = asyncio.Queue()
        self.let_go = asyncio.Event()

    async def held(self, ctx: dict[Any, Any], _argument: Any) -> None:
        ctx["run"].report_progress(0.25, "held")
        self.started.put_nowait(ctx["job_id"])
        await self.let_go.wait()

    async def next_start(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return await self.started.get()


def make_waiting_worker(
    url: str, queue: QueueFixture, function: Any, name: str = "w1", **settings: Any
) -> worker_module.PreviewWorker:
    """A worker that does not poll during this test."""
    return make_worker(
        url,
        make_settings(queue, **{"heartbeat_ms": HOUR_MS, "lease_ms": 3 * HOUR_MS, **settings}),
        function,
        worker_id=name,
        socket_timeout_s=NEVER_S,
    )


@pytest.fixture
def never_idle_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "IDLE_WAIT_S", NEVER_S)


@pytest.mark.usefixtures("never_idle_over")
async def test_an_idle_worker_is_woken_by_a_submit(redis_url: str) -> None:
    held = BlockingFunction()
    async with (
        queue_fixture(redis_url) as queue,
        running_worker(make_waiting_worker(redis_url, queue, held.held)),
    ):
        await wait_for_blocked_clients(queue.redis, 1)
        await enqueue(queue.redis, "held", "job")
        assert await held.next_start() == "job"
        held.let_go.set()
        await wait_for_end(queue, "job")


@pytest.mark.usefixtures("never_idle_over")
async def test_a_worker_that_leaves_jobs_waiting_wakes_the_next(redis_url: str) -> None:
    held = BlockingFunction()
    async with (
        queue_fixture(redis_url) as queue,
        running_worker(make_waiting_worker(redis_url, queue, held.held, "w1")),
        running_worker(make_waiting_worker(redis_url, queue, held.held, "w2")),
    ):
        await wait_for_blocked_clients(queue.redis, 2)
        await enqueue(queue.redis, "held", "a", "b")
        assert {await held.next_start(), await held.next_start()} == {"a", "b"}
        workers = {(await queue.queue.status(job_id)).worker for job_id in ("a", "b")}
        assert workers == {"w1", "w2"}
        held.let_go.set()


@pytest.mark.usefixtures("never_idle_over")
async def test_a_paused_queue_is_not_claimed_from_and_a_resume_wakes(redis_url: str) -> None:
    held = BlockingFunction()
    async with queue_fixture(redis_url) as queue:
        await queue.queue.pause(who="test")
        async with running_worker(make_waiting_worker(redis_url, queue, held.held)):
            await wait_for_blocked_clients(queue.redis, 1)
            await enqueue(queue.redis, "held", "job")

            # The submit wakes it; it finds the pause and blocks again.
            async def wake_taken() -> bool:
                return not await queue.redis.llen(queue.keys.wake)

            await poll_until(wake_taken)
            await wait_for_blocked_clients(queue.redis, 1)
            assert await queue.state("job") == "waiting"
            assert held.started.empty()
            await queue.queue.resume(who="test")
            assert await held.next_start() == "job"
            held.let_go.set()


async def test_a_stock_client_s_job_starts_without_a_wake_up(redis_url: str) -> None:
    async with (
        queue_fixture(redis_url) as queue,
        running_worker(make_worker(redis_url, make_settings(queue), noop)),
    ):
        await wait_for_blocked_clients(queue.redis, 1)
        async with stock_pool(redis_url) as stock:
            await stock.enqueue_job("noop", None, _job_id="job")

        async def completed() -> float | None:
            return await queue.redis.zscore(queue.keys.completed, "job")

        await poll_until(completed)


@pytest.mark.usefixtures("never_idle_over")
async def test_a_job_in_backoff_becomes_due_without_a_wake_up(redis_url: str) -> None:
    tries = 0

    async def heals(_ctx: dict[Any, Any], _argument: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RuntimeError

    async with (
        queue_fixture(redis_url) as queue,
        running_worker(make_waiting_worker(redis_url, queue, heals, backoff_base_ms=30, backoff_max_ms=30)),
    ):
        await enqueue(queue.redis, "heals", "job")
        assert (await wait_for_end(queue, "job")).state is JobState.COMPLETED


async def test_a_finish_claims_the_next_job_in_the_same_round_trip(redis_url: str) -> None:
    jobs = 60
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", *(f"job-{n}" for n in range(jobs)))
        worker = make_worker(redis_url, make_settings(queue, heartbeat_ms=HOUR_MS), noop, burst=True)
        before = await queue.calls()
        await run_burst(worker)
        after = await queue.calls()
        scripts = sum(after.get(name, 0) - before.get(name, 0) for name in ("eval", "evalsha"))
        # At most one per job, and a few to register, claim, maintain and deregister. Commands of a script that the
        # server does not have are counted twice.
        assert scripts <= jobs + 16
        assert after.get("blpop", 0) - before.get("blpop", 0) <= 2
        assert (await queue.snapshots.read()).counters["completed"] == jobs


async def test_concurrent_finishes_are_sent_together(redis_url: str) -> None:
    jobs = 64
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", *(f"job-{n}" for n in range(jobs)))
        worker = make_worker(redis_url, make_settings(queue, worker_concurrency=16), noop, burst=True)
        counting = worker.leases.fast_runner = CountingRunner(worker.leases.fast_runner)
        await run_burst(worker)
        assert sum(counting.finishes) == jobs
        assert max(counting.finishes) > 1
        assert len(counting.finishes) < jobs
        assert (await queue.snapshots.read()).counters["completed"] == jobs


async def test_concurrent_ends_leave_no_finish_unsent(redis_url: str) -> None:
    async def some(_ctx: dict[Any, Any], turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async with queue_fixture(redis_url) as queue:
        for turns in range(12):
            await enqueue(queue.redis, "some", *(f"{turns}-{n}" for n in range(40)), argument=turns)
        worker = make_worker(redis_url, make_settings(queue, worker_concurrency=4), some, burst=True)
        await run_burst(worker)
        assert worker.jobs_complete == 480


async def test_the_next_job_is_held_while_after_job_end_runs(redis_url: str) -> None:
    seen: list[list[str]] = []

    async def after_job_end(_ctx: dict[Any, Any]) -> None:
        # Heartbeats renew it, and it is not released as an unknown claim.
        seen.append([run.claim.job_id for run in worker.runs.values()])
        assert await worker.leases.release_unknown_claims([run.claim for run in worker.runs.values()]) == []

    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", "a", "b")
        worker = make_worker(redis_url, make_settings(queue), noop, burst=True, after_job_end=after_job_end)
        await run_burst(worker)
        assert seen == [["b"], []]
        assert worker.jobs_complete == 2


# ------------------------------------------------------- burst


async def test_a_burst_waits_for_jobs_in_backoff(redis_url: str) -> None:
    tries = 0

    async def heals(_ctx: dict[Any, Any], _argument: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError

    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "heals", "job")
        settings = make_settings(queue, backoff_base_ms=300, backoff_max_ms=300)
        await run_burst(make_worker(redis_url, settings, heals, burst=True))
        assert await queue.state("job") == "completed"


async def test_a_burst_waits_for_paused_jobs_and_jobs_running_elsewhere(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", "elsewhere")
        claim = await queue.claim_one("another")
        await queue.queue.pause(who="test")
        await enqueue(queue.redis, "noop", "waiting")
        worker = make_worker(redis_url, make_settings(queue), noop, burst=True)
        async with running_worker(worker) as main_task:
            await wait_for_blocked_clients(queue.redis, 1)
            await queue.queue.resume(who="test")
            assert (await wait_for_end(queue, "waiting")).state is JobState.COMPLETED
            assert not main_task.done()
            await queue.worker("another").release([claim])
            async with asyncio.timeout(PATIENCE_S):
                await main_task
        assert await queue.state("elsewhere") == "completed"


async def test_a_burst_over_an_empty_queue_ends(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        await run_burst(make_worker(redis_url, make_settings(queue), noop, burst=True))
        assert (await queue.snapshots.read()).workers == ()


# ------------------------------------------------------- heartbeats


async def test_a_heartbeat_reports_the_worker_and_its_jobs_progress(redis_url: str) -> None:
    held = BlockingFunction()
    async with queue_fixture(redis_url) as queue:
        settings = make_settings(queue, worker_concurrency=3)
        async with running_worker(make_worker(redis_url, settings, held.held)):
            await enqueue(queue.redis, "held", "a", "b")
            await held.next_start()
            await held.next_start()

            async def progressed() -> JobRecord | None:
                record = await queue.queue.status("a")
                return record if record.progress == 0.25 else None

            async def seen(busy: int, completed: int) -> WorkerState | None:
                (worker,) = (await queue.snapshots.read()).workers
                return worker if (worker.busy, worker.completed) == (busy, completed) else None

            record = await poll_until(progressed)
            worker = await poll_until(partial(seen, 2, 0))
            assert record is not None
            assert worker is not None
            assert record.phase == "held"
            assert (worker.worker_id, worker.job_slots, worker.state) == ("w1", 3, "working")
            assert set(worker.jobs) == {"a", "b"}
            assert worker.own_rss_bytes > 1_000_000
            assert worker.rss_bytes == worker.own_rss_bytes, "it has no render processes"
            held.let_go.set()
            await wait_for_end(queue, "a")
            await wait_for_end(queue, "b")
            worker = await poll_until(partial(seen, 0, 2))
            assert worker is not None
            assert worker.failed == 0


async def test_one_lost_lease_of_several_stops_only_that_job(redis_url: str) -> None:
    held, journal = BlockingFunction(), JobLog()
    async with queue_fixture(redis_url) as queue:
        settings = make_settings(queue, worker_concurrency=3)
        worker = make_worker(redis_url, settings, held.held, after_job_end=journal.record)
        async with running_worker(worker):
            await enqueue(queue.redis, "held", "a", "b", "c")
            for _ in range(3):
                await held.next_start()
            assert await queue.queue.cancel("b", who="test") is JobState.ACTIVE
            assert await journal.wait_for(1) == ["b"]
            assert {run.claim.job_id for run in worker.runs.values()} == {"a", "c"}
            # The slot is free again, and the other job still runs.
            await enqueue(queue.redis, "held", "d")
            assert await held.next_start() == "d"
            held.let_go.set()
            for job_id in ("a", "c", "d"):
                assert (await wait_for_end(queue, job_id)).state is JobState.COMPLETED
        assert await queue.state("b") == "cancelled"
        assert (worker.jobs_complete, worker.jobs_failed) == (3, 0)


async def test_a_lost_job_can_be_claimed_again_by_the_same_worker(redis_url: str) -> None:
    held, journal = BlockingFunction(), JobLog()
    async with queue_fixture(redis_url) as queue:
        # No heartbeat informs the worker in time: it holds the job twice, once with a lost lease.
        settings = make_settings(queue, worker_concurrency=2, heartbeat_ms=HOUR_MS, lease_ms=HOUR_MS)
        worker = make_worker(redis_url, settings, held.held, after_job_end=journal.record)
        async with running_worker(worker):
            await enqueue(queue.redis, "held", "job")
            await held.next_start()
            await queue.expire_leases("job")
            await queue.worker("another").maintain()
            assert await held.next_start() == "job"
            assert len(worker.runs) == 2
            await worker.heartbeat.send()
            await journal.wait_for(1)
            (run,) = worker.runs.values()
            assert run.stop_reason is None
            assert (
                run.claim.token == (await queue.redis.hget("preview-jobs:job:job", "token") or b"").decode()
            )
            held.let_go.set()
            record = await wait_for_end(queue, "job")
        assert (record.state, record.crashes) == (JobState.COMPLETED, 1)
        assert worker.jobs_complete == 1


async def test_a_stopped_worker_is_deregistered(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        started = asyncio.Event()

        async def on_startup(_ctx: dict[Any, Any]) -> None:
            started.set()

        worker = make_worker(redis_url, make_settings(queue), noop, on_startup=on_startup)
        async with running_worker(worker):
            await wait_for_event(started)
            assert [seen.worker_id for seen in (await queue.snapshots.read()).workers] == ["w1"]
        assert (await queue.snapshots.read()).workers == ()
        await worker.close()
