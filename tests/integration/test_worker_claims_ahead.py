"""What a worker does with jobs that it has claimed ahead of a free slot."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from previewops.states import JobState, ScriptResult
from previewops.worker.engine import worker as worker_module
from previewops.worker.engine.claims_ahead import RunTimes
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
)
from tests.process_guard import guarded_environ
from tests.queue_support import QueueFixture, completed_job, payload, queue_fixture

pytestmark = [pytest.mark.redis]


async def noop(_ctx: dict[Any, Any], _argument: Any) -> None:
    return None


class Gates:
    """A function whose jobs run until each of them is released."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[str] = asyncio.Queue()
        self._gates: dict[str, asyncio.Event] = {}

    async def gated(self, ctx: dict[Any, Any], _argument: Any) -> None:
        gate = self._gates[ctx["job_id"]] = asyncio.Event()
        self.started.put_nowait(ctx["job_id"])
        await gate.wait()

    async def next_start(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return await self.started.get()

    def release(self, job_id: str) -> None:
        self._gates[job_id].set()


@pytest.fixture
def two_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers claim two jobs ahead whatever their runs took, and keep them."""
    monkeypatch.setattr(RunTimes, "max_ahead", lambda _self, _slots: 2)
    monkeypatch.setattr(worker_module, "HOLD_LIMIT_S", PATIENCE_S)


async def until_states(queue: QueueFixture, **expected: str) -> None:
    async def reached() -> bool:
        return {job_id: await queue.state(job_id) for job_id in expected} == expected

    await poll_until(reached)


async def test_short_jobs_are_claimed_ahead_and_finished_together(redis_url: str) -> None:
    jobs = 120
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "noop", *(f"job-{n}" for n in range(jobs)))
        journal = JobLog()
        settings = make_settings(queue, heartbeat_ms=HOUR_MS)
        worker = make_worker(redis_url, settings, noop, burst=True, after_job_end=journal.record)
        counting = worker.leases.fast_runner = CountingRunner(worker.leases.fast_runner)
        await run_burst(worker)
        assert sum(counting.finishes) == jobs
        assert max(counting.finishes) > 1
        assert sorted(journal.ids) == sorted(f"job-{n}" for n in range(jobs))
        assert (worker.jobs_complete, worker.runs) == (jobs, {})
        assert (await queue.snapshots.read()).counters["completed"] == jobs
        assert await queue.redis.hget(queue.keys.job_prefix + "job-119", "ahead") is None


async def test_half_of_the_waiting_jobs_are_left_for_other_workers(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        for n in range(6):
            await queue.queue.submit(payload(f"job-{n}"))
        claims = (await queue.worker().claim(1, 9)).claims
        assert [claim.ahead for claim in claims] == [False, True, True]
        _, claims, _ = await queue.worker().finish([], 0, max_ahead=9)
        assert len(claims) == 1
        assert [len((await queue.worker().claim(count, 9)).claims) for count in (0, 1, 1)] == [1, 1, 0]


@pytest.mark.usefixtures("two_ahead")
async def test_a_higher_priority_waits_for_one_job_at_most(redis_url: str) -> None:
    gates = Gates()
    async with queue_fixture(redis_url) as queue:
        worker = make_worker(redis_url, make_settings(queue, heartbeat_ms=HOUR_MS), gates.gated)

        async def holds_urgent() -> bool:  # Redis knows of it before the worker does
            await queue.redis.ping()
            return any(run.claim.job_id == "urgent" for run in worker.runs.values())

        async with running_worker(worker):
            await enqueue(queue.redis, "gated", *(f"job-{n}" for n in range(5)))
            assert await gates.next_start() == "job-0"
            await until_states(queue, **{"job-1": "active", "job-2": "active", "job-3": "waiting"})
            urgent = payload("urgent", priority="high")
            await queue.queue.submit(urgent)
            await queue.redis.set(
                "arq:job:urgent", json.dumps({"t": None, "f": "gated", "a": [None], "k": {}, "et": 1})
            )
            gates.release("job-0")
            assert await gates.next_start() == "job-1"
            await poll_until(holds_urgent)
            gates.release("job-1")
            assert await gates.next_start() == "urgent"


@pytest.mark.usefixtures("two_ahead")
async def test_a_drain_releases_what_has_not_started(redis_url: str) -> None:
    gates = Gates()
    async with queue_fixture(redis_url) as queue:
        worker = make_worker(redis_url, make_settings(queue, heartbeat_ms=HOUR_MS), gates.gated)
        async with running_worker(worker):
            await enqueue(queue.redis, "gated", *(f"job-{n}" for n in range(5)))
            assert await gates.next_start() == "job-0"
            await until_states(queue, **{"job-1": "active", "job-2": "active"})
            worker.drain()
            await until_states(queue, **{"job-0": "active", "job-1": "waiting", "job-2": "waiting"})
            gates.release("job-0")
            await until_states(queue, **{"job-0": "completed"})
        assert gates.started.empty()
        assert {(await queue.queue.status(f"job-{n}")).crashes for n in range(5)} == {0}


@pytest.mark.usefixtures("two_ahead")
async def test_a_pause_releases_what_has_not_started(redis_url: str) -> None:
    gates = Gates()
    async with queue_fixture(redis_url) as queue:
        settings = make_settings(queue, heartbeat_ms=HOUR_MS)
        async with running_worker(make_worker(redis_url, settings, gates.gated)):
            await enqueue(queue.redis, "gated", *(f"job-{n}" for n in range(5)))
            assert await gates.next_start() == "job-0"
            await until_states(queue, **{"job-1": "active", "job-2": "active"})
            await queue.queue.pause(who="test")
            # The worker learns of it with the end of a job, whose slot has then taken the next.
            gates.release("job-0")
            assert await gates.next_start() == "job-1"
            await until_states(queue, **{"job-0": "completed", "job-1": "active", "job-2": "waiting"})
            gates.release("job-1")
            await until_states(queue, **{"job-1": "completed", "job-2": "waiting"})


async def test_a_long_job_releases_those_behind_it(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunTimes, "max_ahead", lambda _self, _slots: 2)
    gates = Gates()
    async with queue_fixture(redis_url) as queue:
        settings = make_settings(queue, heartbeat_ms=HOUR_MS)
        async with running_worker(make_worker(redis_url, settings, gates.gated)):
            await enqueue(queue.redis, "gated", *(f"job-{n}" for n in range(5)))
            assert await gates.next_start() == "job-0"
            await until_states(queue, **{"job-0": "active", "job-1": "waiting", "job-2": "waiting"})
            first = await queue.claim_one("another")
            assert (first.job_id, first.crashes) == ("job-1", 0)
            await queue.worker("another").release([first])


@pytest.mark.parametrize("report", ["finish", "heartbeat", "renew"])
async def test_a_lost_worker_s_claims_ahead_count_no_crash_unless_they_had_started(
    redis_url: str, report: str
) -> None:
    async with queue_fixture(redis_url) as queue:
        for n in range(8):
            await queue.queue.submit(payload(f"job-{n}"))
        lost = queue.worker("lost")
        running, started, *waiting = (await lost.claim(1, 3)).claims
        assert len(waiting) == 2
        if report == "finish":
            await lost.finish([], 0, started=[started])
        elif report == "heartbeat":
            await lost.heartbeat("{}", [(running, 0.5, "x"), (started, 0.1, "x")], waiting)
        else:
            assert await lost.renew(started) is ScriptResult.OK
        await queue.worker("w2").deregister_worker("lost", "killed by SIGKILL", lost=True)
        records = {
            claim.job_id: await queue.queue.status(claim.job_id) for claim in (running, started, *waiting)
        }
        assert {record.state for record in records.values()} == {JobState.WAITING}
        assert [record.crashes for record in records.values()] == [1, 1, 0, 0]
        assert [record.attempts for record in records.values()] == [0, 0, 0, 0]
        (first, *_) = (await queue.worker("w2").claim(1)).claims
        codes, *_ = await queue.worker("w2").finish([completed_job(first)], 0)
        assert codes == [ScriptResult.OK]


async def test_a_job_that_kills_its_worker_before_it_can_report_is_spared_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        for job_id in ("poison", "other"):
            await queue.queue.submit(payload(job_id))
        crashes = []
        for n in range(3):
            claims = (await queue.worker(f"lost-{n}").claim(0, 1)).claims
            assert [(claim.job_id, claim.ahead) for claim in claims] == [("poison", True)]
            await queue.worker("w").deregister_worker(f"lost-{n}", "killed by SIGKILL", lost=True)
            crashes.append((await queue.queue.status("poison")).crashes)
        assert crashes == [0, 1, 2]


HANGING = """
import asyncio, sys, time
from previewops.queue.records import RENDER_FUNCTION
from previewops.settings import Settings
from previewops.redis_server.connection import connection_pool
from previewops.worker.engine.claims_ahead import RunTimes
from previewops.worker.engine.worker import PreviewWorker
from arq.worker import func

RunTimes.max_ahead = lambda self, slots: 4

async def hang(ctx, payload):
    print(ctx["job_id"], flush=True)
    if ctx["job_id"] == "job-3":
        time.sleep(3600)

async def main():
    settings = Settings(worker_concurrency=1)
    pool = connection_pool(sys.argv[1], role="worker")
    await PreviewWorker([func(hang, name="hang")], settings=settings, pool=pool, worker_id="hung").main()

asyncio.run(main())
"""


async def test_a_worker_killed_with_jobs_that_wait_for_a_slot_loses_none(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        await enqueue(queue.redis, "hang", *(f"job-{n}" for n in range(20)))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HANGING, redis_url, stdout=asyncio.subprocess.PIPE, env=guarded_environ()
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                while await process.stdout.readline() != b"job-3\n":
                    pass
        finally:
            process.kill()
            await process.communicate()
        ids = await queue.worker("w2").deregister_worker("hung", "killed by SIGKILL", lost=True)
        records = {job_id: await queue.queue.status(job_id) for job_id in ids}
        assert "job-3" in records
        assert len(records) > 1, "jobs waited behind it"
        crashed = {job_id for job_id, record in records.items() if record.crashes}
        # Of those, a completion may not have been sent yet, because the job that hangs blocks the whole worker.
        assert crashed <= {"job-0", "job-1", "job-2", "job-3"}
        assert {record.state for record in records.values()} == {JobState.WAITING}
        await run_burst(make_worker(redis_url, make_settings(queue, worker_concurrency=4), hang, burst=True))
        assert (await queue.snapshots.read()).counters["completed"] == 20


async def hang(_ctx: dict[Any, Any], _argument: Any) -> None:
    return None
