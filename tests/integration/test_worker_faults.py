"""Redis is killed, frozen, loses replies or rejects the worker; and the worker is stopped at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from previewops.clock import iso_from_ms
from previewops.errors import RedisUnavailable
from previewops.queue.leases import Claim, CompletedJob
from previewops.queue.scripts import ScriptName
from previewops.redis_server.connection import redis_errors
from previewops.states import JobState
from previewops.worker.engine.claims import ClaimChannel
from previewops.worker.engine.redis_retry import wait_for_timeout
from tests.integration.worker_support import (
    HOUR_MS,
    PATIENCE_S,
    JobLog,
    MaxRng,
    ReplyDroppingRunner,
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
from tests.queue_support import QueueFixture, queue_fixture
from tests.redis_server import RedisProcess

pytestmark = [pytest.mark.redis]

MakeRedis = Callable[..., RedisProcess]


async def noop(_ctx: dict[Any, Any], _argument: Any) -> None:
    return None


class BlockingFunction:
    """A function whose jobs run until released, and that records when they are stopped."""

    def __init__(self) -> None:
        self.started, self.stopped, self.let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.starts = 0

    async def held(self, _ctx: dict[Any, Any], _argument: Any) -> str:
        self.starts += 1
        self.started.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        return "done"


class AcceptingHolder:
    """A worker that accepts jobs, wants none ahead, and receives claims by its finishes only."""

    def held_claims(self) -> list[Claim]:
        return []

    def accepts_jobs(self) -> bool:
        return True

    def wanted_ahead(self) -> int:
        return 0

    def receive(self, claim: Claim) -> None:
        raise AssertionError(claim)

    def on_pause(self) -> None:
        raise AssertionError


async def birth(queue: QueueFixture) -> int:
    """Creation time of the queue in Redis, in server µs."""
    return int(await queue.redis.hget(queue.keys.meta, "born") or 0)


async def worker_is_at(queue: QueueFixture, jobs: int) -> bool:
    """Whether a heartbeat has reported this number of running jobs: the worker has seen the queue."""
    return [worker.busy for worker in (await queue.snapshots.read()).workers] == [jobs]


# ------------------------------------------------------- Redis away


async def test_a_worker_survives_redis_killed_and_started_again(redis_process: MakeRedis) -> None:
    server = redis_process(persistent=True, options=("--appendfsync", "always"))
    held = BlockingFunction()
    async with queue_fixture(server.url) as queue:
        worker = make_worker(server.url, make_settings(queue), held.held)
        async with running_worker(worker) as main_task:
            await enqueue(queue.redis, "held", "running")
            await wait_for_event(held.started)
            server.kill()
            held.let_go.set()
            await asyncio.to_thread(server.start)
            await queue.redis.connection_pool.disconnect()
            record = await wait_for_end(queue, "running")
            assert (record.state, record.attempts, record.crashes) == (JobState.COMPLETED, 0, 0)
            await enqueue(queue.redis, "held", "later")
            assert (await wait_for_end(queue, "later")).state is JobState.COMPLETED
            assert not main_task.done()
            assert worker.jobs_complete == 2
        assert (await queue.snapshots.read()).unaccounted == 0


async def test_a_worker_logs_a_flushed_redis_once_and_continues(
    redis_process: MakeRedis,
) -> None:
    server = redis_process()
    held = BlockingFunction()
    async with queue_fixture(server.url) as queue:
        with capture_logs() as log:
            worker = make_worker(server.url, make_settings(queue, worker_concurrency=2), held.held)
            async with running_worker(worker):
                await enqueue(queue.redis, "held", "one", "two")
                await poll_until(lambda: worker_is_at(queue, 2))
                born = [await birth(queue)]
                await queue.redis.flushall()
                await wait_for_event(held.stopped)
                born.append(await birth(queue))
                held.let_go.set()
                await enqueue(queue.redis, "held", "three")
                assert (await wait_for_end(queue, "three")).state is JobState.COMPLETED
                # Heartbeats after the one that noticed it.
                await worker.heartbeat.send()
                await worker.heartbeat.send()
        assert (await queue.snapshots.read()).data_lost_ms is not None
    (event,) = [line for line in log if line["event"] == "queue.replaced"]
    knew, replaced_by = (iso_from_ms(us // 1000) for us in born)
    assert event == {
        "event": "queue.replaced",
        "log_level": "error",
        "knew": knew,
        "found": replaced_by,
        "jobs": 2,
    }


async def test_a_worker_stops_runs_with_expired_leases_while_redis_is_frozen(
    redis_process: MakeRedis,
) -> None:
    server = redis_process()
    held = BlockingFunction()
    async with queue_fixture(server.url) as queue:
        settings = make_settings(queue, lease_ms=600, heartbeat_ms=100)
        # The call in flight at the end of the lease would take an hour.
        worker = make_worker(server.url, settings, held.held, socket_timeout_s=3600.0)
        async with running_worker(worker) as main_task:
            await enqueue(queue.redis, "held", "job")
            await wait_for_event(held.started)
            server.freeze()
            await wait_for_event(held.stopped)
            server.thaw()
            held.let_go.set()
            record = await wait_for_end(queue, "job")
            assert (record.state, record.attempts) == (JobState.COMPLETED, 0)
            assert held.starts >= 2, "a busy machine may stop it more often"
            assert not main_task.done()
        assert (await queue.snapshots.read()).unaccounted == 0


async def test_calls_to_a_frozen_redis_time_out_and_the_worker_continues(redis_process: MakeRedis) -> None:
    server = redis_process()
    async with queue_fixture(server.url) as queue:
        worker = make_worker(server.url, make_settings(queue), noop, socket_timeout_s=0.2)
        async with running_worker(worker) as main_task:
            await wait_for_blocked_clients(queue.redis, 1)
            server.freeze()
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(RedisError):
                    await worker.leases.maintain()
            server.thaw()
            await enqueue(queue.redis, "noop", "job")
            assert (await wait_for_end(queue, "job")).state is JobState.COMPLETED
            assert not main_task.done()


async def test_a_run_stopped_for_an_expired_lease_is_released_without_an_attempt(redis_url: str) -> None:
    held = BlockingFunction()
    async with queue_fixture(redis_url) as queue:
        worker = make_worker(redis_url, make_settings(queue), held.held)
        async with running_worker(worker):
            await enqueue(queue.redis, "held", "job")
            await wait_for_event(held.started)
            (run,) = worker.runs.values()
            run.claimed_at -= HOUR_MS
            worker.heartbeat.renewed_at -= HOUR_MS
            held.started.clear()
            worker.heartbeat.stop_expired_runs()
            await wait_for_event(held.started)
            held.let_go.set()
            record = await wait_for_end(queue, "job")
        assert (record.state, record.attempts, record.crashes) == (JobState.COMPLETED, 0, 0)


async def test_a_run_claimed_after_the_last_renewal_is_not_stopped(redis_url: str) -> None:
    held = BlockingFunction()
    async with queue_fixture(redis_url) as queue:
        worker = make_worker(redis_url, make_settings(queue), held.held)
        async with running_worker(worker):
            await enqueue(queue.redis, "held", "job")
            await wait_for_event(held.started)
            worker.heartbeat.renewed_at -= HOUR_MS
            worker.heartbeat.stop_expired_runs()
            (run,) = worker.runs.values()
            assert run.stop_reason is None
            held.let_go.set()
            await wait_for_end(queue, "job")


# ------------------------------------------------------- replies lost


async def test_a_claim_with_a_lost_reply_is_released_and_runs(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", "job")
        worker = make_worker(redis_url, make_settings(queue, heartbeat_ms=HOUR_MS), noop, burst=True)
        worker.leases.fast_runner = ReplyDroppingRunner(worker.leases.fast_runner, ScriptName.CLAIM)
        await run_burst(worker)
        record = await queue.queue.status("job")
        assert (record.state, record.attempts, record.crashes) == (JobState.COMPLETED, 0, 0)
        assert worker.jobs_complete == 1


async def test_a_finish_with_a_lost_reply_counts_once_and_its_claim_is_released(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", "a", "b", "c")
        worker = make_worker(redis_url, make_settings(queue, heartbeat_ms=HOUR_MS), noop, burst=True)
        worker.leases.fast_runner = ReplyDroppingRunner(
            worker.leases.fast_runner, ScriptName.FINISH, ScriptName.FINISH
        )
        await run_burst(worker)
        snapshot = await queue.snapshots.read()
        assert (worker.jobs_complete, snapshot.counters["completed"], snapshot.unaccounted) == (3, 3, 0)
        for job_id in ("a", "b", "c"):
            record = await queue.queue.status(job_id)
            assert (record.state, record.attempts, record.crashes) == (JobState.COMPLETED, 0, 0)


async def test_many_lost_replies_under_load_lose_nothing(redis_url: str) -> None:
    jobs = [f"job-{n}" for n in range(200)]
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", *jobs)
        worker = make_worker(redis_url, make_settings(queue, worker_concurrency=8), noop, burst=True)
        worker.leases.fast_runner = ReplyDroppingRunner(
            worker.leases.fast_runner, *[ScriptName.FINISH] * 5, ScriptName.CLAIM
        )
        await run_burst(worker)
        snapshot = await queue.snapshots.read()
        assert (worker.jobs_complete, snapshot.counters["completed"], snapshot.unaccounted) == (200, 200, 0)
        assert snapshot.counters["crashed"] == 0


# ------------------------------------------------------- locked out


async def lock_out(redis: Redis) -> None:
    """Changes the password, ends all other connections, and waits until a call was rejected."""
    await redis.config_set("requirepass", "secret")
    await redis.config_resetstat()
    await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def rejected() -> bool:
        stats = await redis.info("commandstats")
        return any(command.get("rejected_calls", 0) for command in stats.values())

    await poll_until(rejected)


async def test_a_worker_waits_while_the_password_is_being_changed(redis_process: MakeRedis) -> None:
    server = redis_process()
    async with queue_fixture(server.url) as queue:
        worker = make_worker(server.url, make_settings(queue), noop)
        async with running_worker(worker) as main_task:
            await wait_for_blocked_clients(queue.redis, 1)
            await lock_out(queue.redis)
            await queue.redis.config_set("requirepass", "")
            await enqueue(queue.redis, "noop", "j1")
            assert (await wait_for_end(queue, "j1")).state is JobState.COMPLETED
            assert not main_task.done()


async def test_a_worker_with_a_rejected_password_closes_without_an_error(redis_process: MakeRedis) -> None:
    server = redis_process()
    async with queue_fixture(server.url) as queue:
        worker = make_worker(server.url, make_settings(queue), noop)
        async with running_worker(worker):
            await wait_for_blocked_clients(queue.redis, 1)
            await lock_out(queue.redis)
        # The failed deregistration must not hide why a worker ended.
        await worker.close()


async def test_a_worker_whose_first_login_is_rejected_ends_with_a_typed_error(
    redis_process: MakeRedis,
) -> None:
    server = redis_process()
    async with queue_fixture(server.url) as queue:
        await queue.redis.config_set("requirepass", "secret")
        worker = make_worker(server.url, make_settings(queue), noop)
        with pytest.raises(RedisUnavailable, match="requires a user name and password"):
            async with redis_errors(server.url):
                await worker.main()
        await worker.close()


# ------------------------------------------------------- stopping


async def test_sigterm_before_redis_is_available(redis_process: MakeRedis) -> None:
    server = redis_process(start=False)
    async with queue_fixture(server.url) as queue:
        worker = make_worker(server.url, make_settings(queue), noop)
        async with running_worker(worker) as main_task:
            worker.drain()
            async with asyncio.timeout(PATIENCE_S):
                await main_task


# asyncio leaves the socket of a cancelled connection attempt to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_closing_while_redis_is_unavailable(redis_process: MakeRedis) -> None:
    server = redis_process()
    held = BlockingFunction()
    async with queue_fixture(server.url) as queue:
        worker = make_worker(server.url, make_settings(queue, lease_ms=300, heartbeat_ms=50), held.held)
        async with running_worker(worker):
            await enqueue(queue.redis, "held", "job")
            await wait_for_event(held.started)
            server.kill()
        assert held.stopped.is_set()
        assert worker.tasks == {}


async def test_a_drain_of_an_idle_worker_ends_at_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        worker = make_worker(redis_url, make_settings(queue, drain_timeout_s=86_400), noop)
        async with running_worker(worker) as main_task:
            await wait_for_blocked_clients(queue.redis, 1)
            worker.drain()
            async with asyncio.timeout(PATIENCE_S):
                await main_task


async def test_a_drain_lets_a_running_job_finish_and_claims_no_other(redis_url: str) -> None:
    held = BlockingFunction()
    async with queue_fixture(redis_url) as queue:
        worker = make_worker(redis_url, make_settings(queue), held.held)
        async with running_worker(worker) as main_task:
            await enqueue(queue.redis, "held", "running", "waiting")
            await wait_for_event(held.started)
            worker.drain()
            held.let_go.set()
            async with asyncio.timeout(PATIENCE_S):
                await main_task
        assert await queue.state("running") == "completed"
        assert await queue.state("waiting") == "waiting"
        assert held.starts == 1


async def test_a_second_drain_releases_running_jobs_at_once(redis_url: str) -> None:
    held = BlockingFunction()
    async with queue_fixture(redis_url) as queue:
        worker = make_worker(redis_url, make_settings(queue, drain_timeout_s=86_400), held.held)
        async with running_worker(worker) as main_task:
            await enqueue(queue.redis, "held", "job")
            await wait_for_event(held.started)
            worker.drain()
            worker.drain()
            async with asyncio.timeout(PATIENCE_S):
                await main_task
        record = await queue.queue.status("job")
        assert (record.state, record.attempts, record.crashes) == (JobState.WAITING, 0, 0)
        assert held.stopped.is_set()
        assert (worker.jobs_complete, worker.jobs_failed) == (0, 0)


async def test_a_claim_in_flight_when_the_drain_begins_is_released(redis_url: str) -> None:
    held = BlockingFunction()
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "held", "job")
        worker = make_worker(redis_url, make_settings(queue, drain_timeout_s=86_400), held.held)
        claim = worker.leases.claim

        async def drained_meanwhile(*args: int) -> Any:
            claims = await claim(*args)
            worker.drain()
            return claims

        worker.leases.claim = drained_meanwhile  # type: ignore[method-assign]
        async with running_worker(worker) as main_task, asyncio.timeout(PATIENCE_S):
            await main_task
        record = await queue.queue.status("job")
        assert (record.state, record.attempts, record.crashes) == (JobState.WAITING, 0, 0)
        assert held.starts == 0


@pytest.mark.parametrize("where", ["finish", "after_job_end"])
async def test_a_drain_does_not_stop_the_recording_of_an_outcome(redis_url: str, where: str) -> None:
    journal = JobLog()
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", "job")

        async def drain_twice(ctx: dict[Any, Any]) -> None:
            if where == "after_job_end":
                worker.drain()
                worker.drain()
            await journal.record(ctx)

        worker = make_worker(redis_url, make_settings(queue), noop, after_job_end=drain_twice)
        finish = worker.leases.finish

        async def finish_then_drain(*args: Any, **options: Any) -> Any:
            if where == "finish":
                worker.drain()
                worker.drain()
            return await finish(*args, **options)

        worker.leases.finish = finish_then_drain  # type: ignore[method-assign]
        async with running_worker(worker) as main_task, asyncio.timeout(PATIENCE_S):
            await main_task
        assert await queue.state("job") == "completed"
        assert journal.ids == ["job"]
        assert worker.jobs_complete == 1


async def test_a_job_that_ignores_its_cancellation_does_not_block_the_worker(redis_url: str) -> None:
    started, over = asyncio.Event(), asyncio.Event()

    async def stubborn(_ctx: dict[Any, Any], _argument: Any) -> None:
        started.set()
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    async with queue_fixture(redis_url) as queue:
        worker = make_worker(redis_url, make_settings(queue, lease_ms=300, heartbeat_ms=50), stubborn)
        async with running_worker(worker):
            await enqueue(queue.redis, "stubborn", "job")
            await wait_for_event(started)
        over.set()
        await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
        # The worker has ended, and its lease with it.
        assert await queue.state("job") == "waiting"


async def test_closing_the_claim_channel_cancels_waiting_finishes(redis_url: str) -> None:
    under_way = asyncio.Event()

    async def hangs(*_args: Any, **_options: Any) -> Any:
        under_way.set()
        await asyncio.Event().wait()

    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", "a", "b")
        leases = queue.worker()
        leases.finish = hangs  # type: ignore[method-assign]
        channel = ClaimChannel(
            leases,
            max_calls=1,
            batch_size=1,
            holder=AcceptingHolder(),
            rng=MaxRng(),
            wait=wait_for_timeout,
        )
        waiting = [
            channel.finish(CompletedJob(claim, "null", 1.0), lambda _: None)
            for claim in (await leases.claim(2)).claims
        ]
        await wait_for_event(under_way)
        await channel.close()
        async with asyncio.timeout(PATIENCE_S):
            ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
