"""Rows of the fault table that need one host. The name of each test has its row."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from previewops.states import JobState, ScriptResult
from tests.fault.cluster import PROJECT, Cluster, Gate, check_bundle, payload
from tests.redis_server import RedisProcess

pytestmark = [pytest.mark.redis]


async def test_row_1_a_worker_killed_in_the_middle_of_a_render(redis_url: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    async with Cluster(redis_url, tmp_path) as cluster:
        (first,) = await cluster.start_workers(1)
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        gate.remove()
        await cluster.start_workers(1)
        first.kill()
        record = await cluster.until("held", JobState.COMPLETED)
        assert (record.attempts, record.crashes) == (0, 1)
        assert record.history[0].code == "worker-lost"
        await cluster.judge()


async def test_row_1_jobs_run_again_at_once_when_the_death_of_their_worker_is_seen(
    redis_url: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    # A lease that does not expire within this test, so only the release can have requeued the job.
    async with Cluster(redis_url, tmp_path, lease_ms=600_000) as cluster:
        await cluster.start_workers(2)
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        gate.remove()
        holder = (await cluster.status("held")).worker
        victim = next(worker for worker in cluster.workers if worker.name == holder)
        victim.kill()
        assert await cluster.leases.deregister_worker(victim.name, "SIGKILL", lost=True) == ["held"]
        assert (await cluster.until("held", JobState.COMPLETED)).crashes == 1
        await cluster.judge()


async def test_row_2_everything_killed_leaves_no_orphan_and_loses_nothing(
    redis_url: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    async with Cluster(redis_url, tmp_path) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("held", gate=str(gate.path)), payload("spinning", spin=True))
        await gate.arrival()
        await cluster.until("spinning", JobState.ACTIVE)
        family = worker.family()
        assert len(family) >= 4, "the worker, its fork server and two render processes"
        worker.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=60)
        assert not alive, alive
        gate.remove()
        await cluster.queue.cancel("spinning", who="test")
        await cluster.start_workers(1)
        assert (await cluster.until("held", JobState.COMPLETED)).crashes == 1


async def test_row_3_a_worker_frozen_past_its_lease_is_rejected_when_it_wakes(
    redis_url: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    async with Cluster(redis_url, tmp_path) as cluster:
        (frozen,) = await cluster.start_workers(1)
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        gate.remove()
        token = await cluster.redis.hget(cluster.queue.keys.job_prefix + "held", "token")
        frozen.signal(signal.SIGSTOP)
        await cluster.start_workers(1)
        record = await cluster.until("held", JobState.COMPLETED)
        bundle = cluster.settings.data_dir / "previews" / PROJECT / "held"
        before = bundle.stat().st_ino, (bundle / "preview.json").read_bytes()
        gate.open()
        frozen.signal(signal.SIGCONT)

        async def woken() -> bool:
            states = {worker.worker_id: worker for worker in (await cluster.snapshot()).workers}
            return frozen.name in states and states[frozen.name].busy == 0

        await cluster.eventually(woken, "the frozen worker aborts its run")
        assert (bundle.stat().st_ino, (bundle / "preview.json").read_bytes()) == before
        assert token is not None
        assert record.crashes == 1
        snapshot = await cluster.judge()
        assert snapshot.counters["completed"] == 1


async def test_row_4_a_render_that_loops_in_c_is_killed_at_its_deadline(
    redis_url: str, tmp_path: Path
) -> None:
    async with Cluster(redis_url, tmp_path, job_timeout_s=1, max_attempts=2, worker_concurrency=1) as cluster:
        await cluster.start_workers(1)
        await cluster.submit(payload("looping", loops=True))
        record = await cluster.until("looping", JobState.DEAD)
        assert record.cause == "attempts"
        assert [attempt.code for attempt in record.history] == ["deadline-exceeded"] * 2
        await cluster.submit(payload("next"))
        await cluster.until("next", JobState.COMPLETED)
        await cluster.judge()


async def test_row_4_a_render_that_computes_in_c_is_killed_before_its_deadline_and_not_retried(
    redis_url: str, tmp_path: Path
) -> None:
    async with Cluster(redis_url, tmp_path, cpu_limit_s=1, job_timeout_s=60, worker_concurrency=1) as cluster:
        await cluster.start_workers(1)
        await cluster.submit(payload("spinning", spin=True))
        record = await cluster.until("spinning", JobState.DEAD)
        assert record.cause == "permanent"
        assert [attempt.code for attempt in record.history] == ["cpu-time-exceeded"]
        await cluster.submit(payload("next"))
        await cluster.until("next", JobState.COMPLETED)
        await cluster.judge()


async def test_row_5_a_job_that_kills_its_worker_every_time_is_poison(redis_url: str, tmp_path: Path) -> None:
    async with Cluster(redis_url, tmp_path, worker_concurrency=1) as cluster:
        await cluster.submit(payload("poison", kills_worker=True))
        for _ in range(3):
            (worker,) = await cluster.start_workers(1)
            await asyncio.to_thread(worker.process.wait, 60)
            await cluster.leases.deregister_worker(worker.name, "SIGKILL", lost=True)
        record = await cluster.until("poison", JobState.DEAD)
        assert (record.attempts, record.crashes, record.cause) == (0, 3, "crashes")
        await cluster.start_workers(1)
        await cluster.submit(*(payload(f"good-{n}") for n in range(5)))
        await cluster.drained()
        await cluster.judge()


async def test_a_render_process_that_crashes_is_counted_apart_and_the_worker_lives(
    redis_url: str, tmp_path: Path
) -> None:
    async with Cluster(redis_url, tmp_path) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("crashes", segfault=True), payload("raises", raises="a bug"))
        crashed = await cluster.until("crashes", JobState.DEAD)
        raised = await cluster.until("raises", JobState.DEAD)
        assert (crashed.attempts, crashed.crashes, crashed.cause) == (0, 3, "crashes")
        assert (raised.attempts, raised.crashes, raised.cause) == (5, 0, "attempts")
        assert raised.error_class == "RuntimeError"
        assert "a bug" in (raised.history[0].traceback or "")
        assert worker.process.poll() is None
        await cluster.judge()


async def test_row_7_redis_killed_and_started_again(redis_process, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    server: RedisProcess = redis_process(persistent=True, options=("--appendfsync", "always"))
    gate = Gate(tmp_path / "gate")
    async with Cluster(server.url, tmp_path) as cluster:
        workers = await cluster.start_workers(2)
        pids = [worker.pid for worker in workers]
        await cluster.submit(payload("held", gate=str(gate.path)), *(payload(f"job-{n}") for n in range(40)))
        await gate.arrival()
        gate.remove()
        server.kill()
        gate.open()
        server.start()
        await cluster.redis.connection_pool.disconnect()
        await cluster.submit(*(payload(f"later-{n}") for n in range(10)))
        await cluster.drained()
        assert [worker.pid for worker in workers if worker.process.poll() is None] == pids
        await cluster.judge()


async def test_row_9_redis_dies_between_publication_and_finish(redis_process, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    server: RedisProcess = redis_process(persistent=True, options=("--appendfsync", "always"))
    async with Cluster(server.url, tmp_path) as cluster:
        await cluster.submit(payload("published"))
        # A first attempt that published, and whose finish got lost.
        claims = await cluster.leases.claim(1)
        (claim,) = claims.claims
        (worker,) = await cluster.start_workers(1)
        await cluster.until("published", JobState.COMPLETED)
        assert (await cluster.status("published")).crashes == 1
        bundle = cluster.settings.data_dir / "previews" / PROJECT / "published"
        inode = bundle.stat().st_ino
        # The finish of the first attempt is late and is rejected.
        assert await cluster.leases.renew(claim) is ScriptResult.STALE
        # The same job again, after its record was lost with Redis: same bytes, so the bundle stays.
        worker.kill()
        await cluster.redis.flushall()
        cluster.accepted.clear()
        await cluster.start_workers(1)
        await cluster.submit(payload("published"))
        await cluster.until("published", JobState.COMPLETED)
        assert bundle.stat().st_ino == inode
        check_bundle(bundle)
        await cluster.judge()


async def test_row_15_sigterm_drains_and_costs_no_attempt(redis_url: str, tmp_path: Path) -> None:
    quick, stuck = Gate(tmp_path / "quick"), Gate(tmp_path / "stuck")
    async with Cluster(redis_url, tmp_path, drain_timeout_s=3) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("quick", gate=str(quick.path)), payload("stuck", gate=str(stuck.path)))
        await quick.arrival()
        await stuck.arrival()
        stuck.remove()
        worker.signal(signal.SIGTERM)

        async def draining() -> bool:
            return [worker.state for worker in (await cluster.snapshot()).workers] == ["draining"]

        await cluster.eventually(draining, "the worker drains")
        await cluster.submit(payload("unstarted"))
        quick.open()
        assert await asyncio.to_thread(worker.process.wait, 60) == 0
        assert (await cluster.status("quick")).state is JobState.COMPLETED
        assert (await cluster.status("unstarted")).state is JobState.WAITING
        given_back = await cluster.status("stuck")
        assert given_back.state is JobState.WAITING
        assert (given_back.attempts, given_back.crashes, given_back.history) == (0, 0, ())
        assert (await cluster.snapshot()).workers == ()
        await cluster.start_workers(1)
        await cluster.drained()
        await cluster.judge()


async def test_cancelling_a_running_job_stops_its_render(redis_url: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    async with Cluster(redis_url, tmp_path, worker_concurrency=1) as cluster:
        (worker,) = await cluster.start_workers(1)
        await cluster.submit(payload("running", gate=str(gate.path)))
        await gate.arrival()
        renders = [process.pid for process in worker.family()]
        assert await cluster.queue.cancel("running", who="test") is JobState.ACTIVE
        await cluster.submit(payload("next"))
        await cluster.until("next", JobState.COMPLETED)
        assert (await cluster.status("running")).state is JobState.CANCELLED
        assert [process.pid for process in worker.family()] != renders, "the render process was replaced"
        assert not (cluster.settings.data_dir / "previews" / PROJECT / "running").exists()
