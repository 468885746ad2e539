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
from tests.queue_support import QueueFixture, attempt_json, completed_job, payload, queue_fixture
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis


# ---------------------------------------------------------------- cancel


@pytest.mark.parametrize("state", ["waiting", "delayed", "active"])
async def test_a_pending_job_is_cancelled_from_any_state(redis_url: str, state: str) -> None:
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
        assert await b.queue.cancel("a", who="ann", why="a mistake") == JobState(state)
        record = await b.queue.status("a")
        assert (record.state, record.reason) == (JobState.CANCELLED, "cancelled by ann: a mistake")
        assert (await b.worker().claim(5)).claims == ()
        if claim is not None:
            assert (await b.worker().heartbeat("{}", [(claim, 0.5, "x")])).lost_job_ids == ("a",)
            assert (await b.worker().finish([completed_job(claim)], 0))[0] == [ScriptResult.STALE]
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["cancelled"], snapshot.pending, snapshot.unaccounted) == (1, 0, 0)


async def test_what_has_ended_or_was_never_there_cannot_be_cancelled(redis_url: str) -> None:
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


async def test_the_end_of_a_job_is_announced_to_who_waits_for_it(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("a"), payload("b")])
        pubsub = b.redis.pubsub()
        await pubsub.psubscribe(f"{b.keys.done_channel_prefix}*")
        await pubsub.get_message(timeout=5)
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        await b.queue.cancel("b", who="ann")
        await b.add_dead_letter("c")
        told = [await pubsub.get_message(timeout=5) for _ in range(3)]
        assert [(message["channel"], message["data"]) for message in told if message] == [
            (b"preview-jobs:done:a", b"completed"),
            (b"preview-jobs:done:b", b"cancelled"),
            (b"preview-jobs:done:c", b"dead"),
        ]
        await pubsub.aclose()
        assert await b.queue.wait_until_ended("c") is JobState.DEAD
        with pytest.raises(JobNotFound):
            await b.queue.wait_until_ended("unknown")


async def test_who_waits_is_told_even_if_the_record_is_not_kept(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=0) as b:
        await b.queue.submit(payload("a"))
        waiting = asyncio.create_task(b.queue.wait_until_ended("a", poll_interval_s=30))
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


async def test_a_pause_stops_claims_only_and_tells_who_and_why(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("a"), payload("b")])
        held = await b.claim_one()
        first = await b.queue.pause(who="ann", why="upkeep")
        again = await b.queue.pause(who="ben", why="other")
        assert (first.changed, again.changed) == (True, False)
        assert (again.who, again.why, again.since_ms) == ("ann", "upkeep", first.since_ms)
        assert (await b.worker().claim(1)).claims == ()
        codes, following = await b.worker().finish([completed_job(held)], 1)
        assert (codes, following) == ([ScriptResult.OK], ())
        assert (await b.queue.submit(payload("c"))).new is True
        snapshot = await b.snapshots.read()
        assert (snapshot.paused, snapshot.paused_by, snapshot.paused_why) == (True, "ann", "upkeep")
        await b.redis.delete(b.keys.wake)
        assert (await b.queue.resume(who="ann")).changed is True
        assert await b.redis.llen(b.keys.wake) == 1
        assert (await b.queue.resume(who="ann")).changed is False
        assert [claim.job_id for claim in (await b.worker().claim(5)).claims] == ["b", "c"]


async def test_a_pause_survives_a_new_connection_and_a_restart(
    redis_process: Callable[..., RedisProcess],
) -> None:
    server = redis_process(options=("--appendfsync", "always"))
    async with queue_fixture(server.url) as b:
        await b.queue.submit(payload("a"))
        await b.queue.pause(who="ann", why="upkeep")
    server.kill()
    server.start()
    async with queue_fixture(server.url) as b:
        assert (await b.worker().claim(1)).claims == ()
        assert (await b.snapshots.read()).paused_by == "ann"
        await b.queue.resume(who="ann")
        assert (await b.claim_one()).job_id == "a"


# ---------------------------------------------------------------- scripts


@pytest.mark.parametrize("name", list(ScriptName))
async def test_every_script_compiles_on_the_server(redis_url: str, name: ScriptName) -> None:
    async with queue_fixture(redis_url) as b:
        loaded = Scripts(b.redis, b.keys).loaded(name)
        assert await b.redis.script_load(loaded.text) == loaded.sha


async def test_scripts_survive_being_flushed_and_a_restart(
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
        codes, _ = await b.worker().finish([completed_job(claim)], 0)
        assert codes == [ScriptResult.OK]
        assert await b.state("a") == "completed"


async def test_two_queues_in_one_redis_keep_apart(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, queue_fixture(redis_url, queue_name="Other-1.x:y_z") as other:
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


async def test_completed_records_are_kept_to_their_number_and_counted_for_ever(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=2) as b:
        await complete(b, "a", "b", "c", "d")
        assert {record.job_id for record in await b.list_all(JobState.COMPLETED)} == {"c", "d"}
        assert not [key for key in await b.redis.keys("*:a") if b"wake" not in key]
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["completed"], snapshot.unaccounted) == (4, 0)


async def test_a_forgotten_jobs_history_goes_with_it(redis_url: str) -> None:
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


async def test_an_excess_after_the_number_was_lowered_is_worked_off_two_by_two(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=100) as b:
        await complete(b, *(f"job-{n}" for n in range(10)))
        async with queue_fixture(redis_url, keep_completed=3) as lowered:
            await complete(lowered, "next")
            assert await b.redis.zcard(b.keys.completed) == 9
            await complete(lowered, *(f"more-{n}" for n in range(6)))
            assert await b.redis.zcard(b.keys.completed) == 3


async def test_keeping_none_forgets_at_once(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_completed=0) as b:
        await complete(b, "a")
        with pytest.raises(JobNotFound):
            await b.queue.status("a")
        assert (await b.snapshots.read()).counters["completed"] == 1


async def test_aged_records_are_forgotten_and_dead_letters_are_not(redis_url: str) -> None:
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


async def test_a_silent_worker_is_forgotten_and_told_of(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker("quiet").heartbeat('{"host": "h1", "pid": 7}', [])
        await b.worker("alive").heartbeat("{}", [])
        await b.redis.zincrby(b.keys.workers, -61_000, "quiet")
        await b.worker().maintain()
        assert [view.worker_id for view in (await b.snapshots.read()).workers] == ["alive"]
        events = [fields for _, fields in await b.redis.xrange(b.keys.events)]
        assert [(fields[b"kind"], fields[b"worker"]) for fields in events] == [(b"worker-lost", b"quiet")]
        assert not await b.redis.exists(b.keys.worker_prefix + "quiet")


async def test_upkeep_goes_in_bounded_steps(redis_url: str) -> None:
    async with queue_fixture(redis_url, lease_ms=600_000) as b:
        ids = [f"job-{n}" for n in range(130)]
        await b.queue.submit_many([payload(job_id) for job_id in ids])
        await b.worker().claim(130)
        await b.expire_leases(*ids)
        assert [(await b.worker().maintain()).recovered for _ in range(3)] == [100, 30, 0]
        assert (await b.snapshots.read()).backlog == 130


@pytest.mark.parametrize("moment", ["waiting", "following", "active"])
async def test_a_record_that_redis_evicted_stops_neither_its_job_nor_the_others(
    redis_url: str, moment: str
) -> None:
    async with queue_fixture(redis_url, lease_ms=600_000) as b:
        await b.queue.submit_many([payload("a", priority="high", project="shop"), payload("b")])
        if moment == "active":
            await b.worker().claim(2)
            await b.expire_leases("a", "b")
        await b.redis.delete(b.keys.job_prefix + "a")
        assert (await b.worker().maintain()).recovered == (2 if moment == "active" else 0)
        if moment == "following":
            _, claims = await b.worker().finish([], 2)
        else:
            claims = (await b.worker().claim(2)).claims
        assert {claim.job_id for claim in claims} == {"a", "b"}
        assert all(claim.body is not None for claim in claims)
        codes, _ = await b.worker().finish([completed_job(claim) for claim in claims], 0)
        assert codes == [ScriptResult.OK, ScriptResult.OK]
        assert (await b.queue.status("a")).state is JobState.COMPLETED
        assert (await b.snapshots.read()).unaccounted == 0


async def test_ending_a_worker_recovers_its_jobs_and_no_others(redis_url: str) -> None:
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


async def test_an_unknown_job_is_not_found(redis_url: str) -> None:
    client = connect(redis_url, role="test")
    with pytest.raises(JobNotFound) as caught:
        await Queue(client, Settings()).status("unknown")
    assert caught.value.exit_code == 1
    await client.aclose()
