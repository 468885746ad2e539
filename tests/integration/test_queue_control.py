"""Cancel, pause, retention, maintenance, and servers that restart or lose their scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from previewops.errors import JobNotFound, WrongState
from previewops.queue.leases import WORKER_LOST_FINGERPRINT
from previewops.queue.queue import Queue
from previewops.queue.retry import FailureCounter
from previewops.queue.scripts import ScriptName, Scripts
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.states import JobState, ScriptResult
from tests.queue_support import (
    QueueFixture,
    attempt_json,
    completed_job,
    payload,
    queue_fixture,
    wait_until_ended,
)
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis


# ---------------------------------------------------------------- cancel


@pytest.mark.parametrize("state", ["waiting", "delayed", "active"])
async def test_cancel_pending_job(redis_url: str, state: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        claim = await b.claim_one() if state != "waiting" else None
        if state == "delayed":
            assert claim is not None
            await b.worker().retry(
                claim,
                delay_ms=60_000,
                counter=FailureCounter.ATTEMPTS,
                attempt_json=attempt_json(),
                message="x",
            )
        assert await b.queue.cancel("a", who="ann", reason="a mistake") == JobState(state)
        record = await b.queue.status("a")
        assert (record.state, record.reason) == (JobState.CANCELLED, "cancelled by ann: a mistake")
        assert (await b.worker().claim(5)).claims == ()
        if claim is not None:
            assert (await b.worker().heartbeat("{}", [(claim, 0.5, "x")])).lost_job_ids == ("a",)
            assert (await b.worker().finish([completed_job(claim)], 0))[0] == [ScriptResult.STALE]
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["cancelled"], snapshot.pending, snapshot.unaccounted) == (1, 0, 0)


async def test_cancel_rejects_ended_and_unknown_jobs(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("done"), payload("gone")])
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        await b.queue.cancel("gone", who="ann")
        await b.add_dead_letter("dead")
        before = await b.dump()
        for job_id, state in (("done", "completed"), ("gone", "cancelled"), ("dead", "dead")):
            with pytest.raises(WrongState) as caught:
                await b.queue.cancel(job_id, who="ann")
            assert caught.value.state == state
        with pytest.raises(JobNotFound):
            await b.queue.cancel("unknown", who="ann")
        assert await b.dump() == before


async def test_job_end_is_published(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("a"), payload("b")])
        pubsub = b.redis.pubsub()
        await pubsub.psubscribe(f"{b.keys.done_channel_prefix}*")
        await pubsub.get_message(timeout=60)
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        await b.queue.cancel("b", who="ann")
        await b.add_dead_letter("c")
        messages = [await pubsub.get_message(timeout=60) for _ in range(3)]
        assert [(message["channel"], message["data"]) for message in messages if message] == [
            (b"preview-jobs:done:a", b"completed"),
            (b"preview-jobs:done:b", b"cancelled"),
            (b"preview-jobs:done:c", b"dead"),
        ]
        await pubsub.aclose()
        assert await wait_until_ended(b.queue, "c") is JobState.DEAD
        with pytest.raises(JobNotFound):
            await wait_until_ended(b.queue, "unknown")


async def test_the_watch_of_a_job_works_without_a_record(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=0) as b:
        await b.queue.submit(payload("a"))
        waiting = asyncio.create_task(wait_until_ended(b.queue, "a", poll_interval_s=30))
        channel = f"{b.keys.done_channel_prefix}a"

        async def watched() -> bool:
            subscribed = dict(await b.redis.pubsub_numsub(channel))[channel.encode()] == 1
            return subscribed and "hgetall" in await b.calls()

        # Redis does not report when a client subscribes or reads the state.
        while not await watched():  # noqa: ASYNC110
            await asyncio.sleep(0)
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        assert await waiting is JobState.COMPLETED


# ---------------------------------------------------------------- pause


async def test_pause_stops_only_claims(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("a"), payload("b")])
        held = await b.claim_one()
        first = await b.queue.pause(who="ann", reason="upkeep")
        again = await b.queue.pause(who="ben", reason="other")
        assert (first.changed, again.changed) == (True, False)
        assert (again.who, again.reason, again.since_ms) == ("ann", "upkeep", first.since_ms)
        assert (await b.worker().claim(1)).claims == ()
        codes, following, _ = await b.worker().finish([completed_job(held)], 1)
        assert (codes, following) == ([ScriptResult.OK], ())
        assert (await b.queue.submit(payload("c"))).new is True
        snapshot = await b.snapshots.read()
        assert (snapshot.paused, snapshot.paused_by, snapshot.pause_reason) == (True, "ann", "upkeep")
        await b.redis.delete(b.keys.wake)
        assert (await b.queue.resume(who="ann")).changed is True
        assert await b.redis.llen(b.keys.wake) == 1
        assert (await b.queue.resume(who="ann")).changed is False
        assert [claim.job_id for claim in (await b.worker().claim(5)).claims] == ["b", "c"]


async def test_pause_survives_a_restart(
    redis_process: Callable[..., RedisProcess],
) -> None:
    server = redis_process(options=("--appendfsync", "always"))
    async with queue_fixture(server.url) as b:
        await b.queue.submit(payload("a"))
        await b.queue.pause(who="ann", reason="upkeep")
    server.kill()
    server.start()
    async with queue_fixture(server.url) as b:
        assert (await b.worker().claim(1)).claims == ()
        assert (await b.snapshots.read()).paused_by == "ann"
        await b.queue.resume(who="ann")
        assert (await b.claim_one()).job_id == "a"


# ---------------------------------------------------------------- scripts


@pytest.mark.parametrize("name", list(ScriptName))
async def test_every_script_compiles(redis_url: str, name: ScriptName) -> None:
    async with queue_fixture(redis_url) as b:
        loaded = Scripts(b.redis, b.keys).loaded(name)
        assert await b.redis.script_load(loaded.text) == loaded.sha


async def test_scripts_survive_flush_and_restart(
    redis_process: Callable[..., RedisProcess],
) -> None:
    server = redis_process(options=("--appendfsync", "always"))
    async with queue_fixture(server.url) as b:
        await b.queue.submit(payload("a"))
        claim = await b.claim_one()
        await b.redis.script_flush()
        assert await b.worker().renew(claim) is ScriptResult.OK
        server.kill()
        server.start()
        # The old connection is gone with the server; the new server has no scripts.
        await b.redis.connection_pool.disconnect()
        codes, *_ = await b.worker().finish([completed_job(claim)], 0)
        assert codes == [ScriptResult.OK]
        assert await b.state("a") == "completed"


async def test_two_queues_in_one_redis_are_independent(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, queue_fixture(redis_url, queue_name="Other-1.x_y-z") as other:
        await b.queue.submit(payload("a"))
        await other.queue.submit(payload("b"))
        await other.queue.pause(who="ann")
        assert (await b.claim_one()).job_id == "a"
        assert (await other.worker().claim(1)).claims == ()
        assert (await other.snapshots.read()).backlog == 1


# ---------------------------------------------------------------- retention and maintenance


async def complete(b: QueueFixture, *job_ids: str) -> None:
    await b.queue.submit_many([payload(job_id) for job_id in job_ids])
    for claim in (await b.worker().claim(len(job_ids))).claims:
        await b.worker().finish([completed_job(claim)], 0)


async def test_keep_completed_limits_records_but_not_counters(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=2) as b:
        await complete(b, "a", "b", "c", "d")
        assert {record.job_id for record in await b.list_all(JobState.COMPLETED)} == {"c", "d"}
        assert not [key for key in await b.redis.keys("*:a") if b"wake" not in key]
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["completed"], snapshot.unaccounted) == (4, 0)


async def test_deleted_job_loses_its_history(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=0) as b:
        await b.queue.submit(payload("a"))
        await b.worker().retry(
            await b.claim_one(),
            delay_ms=1,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(),
            message="again",
        )
        await b.make_due("a")
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        assert not await b.redis.keys("*:a")


async def test_lowered_keep_completed_removes_two_per_job(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=100) as b:
        await complete(b, *(f"job-{n}" for n in range(10)))
        async with queue_fixture(redis_url, keep_completed=3) as lowered:
            await complete(lowered, "next")
            assert await b.redis.zcard(b.keys.completed) == 9
            await complete(lowered, *(f"more-{n}" for n in range(6)))
            assert await b.redis.zcard(b.keys.completed) == 3


async def test_keep_completed_zero_deletes_at_once(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=0) as b:
        await complete(b, "a")
        with pytest.raises(JobNotFound):
            await b.queue.status("a")
        assert (await b.snapshots.read()).counters["completed"] == 1


async def test_aged_records_are_deleted_but_not_dead_letters(redis_url: str) -> None:
    async with queue_fixture(redis_url, result_ttl_s=60) as b:
        await complete(b, "old", "new")
        await b.queue.submit(payload("cancelled"))
        await b.queue.cancel("cancelled", who="ann")
        await b.add_dead_letter("dead")
        assert 0 < await b.redis.pttl("arq:result:new") <= 60_000
        for index, job_id in (
            (b.keys.completed, "old"),
            (b.keys.cancelled, "cancelled"),
            (b.keys.dead, "dead"),
        ):
            await b.redis.zincrby(index, -60_001, job_id)
        await b.worker().maintain()
        assert {record.job_id for record in await b.list_all()} == {"new", "dead"}
        assert not await b.redis.keys("*:old")
        assert not await b.redis.keys("*:cancelled:*")
        assert await b.redis.pttl("arq:job:dead") == await b.redis.pttl("arq:result:dead") == -1


async def test_silent_worker_is_removed_with_an_event(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker("quiet").heartbeat('{"host": "h1", "pid": 7}', [])
        await b.worker("alive").heartbeat("{}", [])
        await b.redis.zincrby(b.keys.workers, -61_000, "quiet")
        await b.worker().maintain()
        assert [view.worker_id for view in (await b.snapshots.read()).workers] == ["alive"]
        events = [fields for _, fields in await b.redis.xrange(b.keys.events)]
        assert [(fields[b"kind"], fields[b"worker"]) for fields in events] == [(b"worker-lost", b"quiet")]
        assert not await b.redis.exists(b.keys.worker_prefix + "quiet")


async def test_maintenance_steps_are_bounded(redis_url: str) -> None:
    async with queue_fixture(redis_url, lease_ms=600_000) as b:
        ids = [f"job-{n}" for n in range(130)]
        await b.queue.submit_many([payload(job_id) for job_id in ids])
        await b.worker().claim(130)
        await b.expire_leases(*ids)
        assert [(await b.worker().maintain()).recovered for _ in range(3)] == [100, 30, 0]
        assert (await b.snapshots.read()).backlog == 130


@pytest.mark.parametrize("moment", ["waiting", "following", "active"])
async def test_evicted_record_does_not_stop_jobs(redis_url: str, moment: str) -> None:
    async with queue_fixture(redis_url, lease_ms=600_000) as b:
        await b.queue.submit_many([payload("a", priority="high", project="shop"), payload("b")])
        if moment == "active":
            await b.worker().claim(2)
            await b.expire_leases("a", "b")
        await b.redis.delete(b.keys.job_prefix + "a")
        assert (await b.worker().maintain()).recovered == (2 if moment == "active" else 0)
        if moment == "following":
            _, claims, _ = await b.worker().finish([], 2)
        else:
            claims = (await b.worker().claim(2)).claims
        assert {claim.job_id for claim in claims} == {"a", "b"}
        assert all(claim.body is not None for claim in claims)
        codes, *_ = await b.worker().finish([completed_job(claim) for claim in claims], 0)
        assert codes == [ScriptResult.OK, ScriptResult.OK]
        assert (await b.queue.status("a")).state is JobState.COMPLETED
        assert (await b.snapshots.read()).unaccounted == 0


async def test_deregister_worker_recovers_only_its_jobs(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("a"), payload("b")])
        mine = await b.claim_one("w1")
        others = await b.claim_one("w2")
        for worker in ("w1", "w2"):
            await b.worker(worker).heartbeat("{}", [])
        assert await b.worker("supervisor").deregister_worker("w1", "it was killed", lost=True) == [
            mine.job_id
        ]
        assert await b.worker("w2").renew(others) is ScriptResult.OK
        assert await b.worker("w1").renew(mine) is ScriptResult.STALE
        assert [view.worker_id for view in (await b.snapshots.read()).workers] == ["w2"]
        assert (await b.queue.status("a")).crashes == 1
        assert await b.redis.zscore(b.keys.dead_groups, WORKER_LOST_FINGERPRINT) is None


async def test_status_of_unknown_job_raises(redis_url: str) -> None:
    client = connect(redis_url, role="test")
    with pytest.raises(JobNotFound) as caught:
        await Queue(client, Settings()).status("unknown")
    assert caught.value.exit_code == 1
    await client.aclose()
