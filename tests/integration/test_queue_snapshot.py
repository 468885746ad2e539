"""Snapshots and history: one round trip at any depth, correct counts, minutes merged from 10 s buckets."""

from __future__ import annotations

import json

import pytest

from previewops.queue.retry import FailureCounter
from previewops.states import Priority
from tests.queue_support import (
    HOUR_MS,
    QueueFixture,
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
)

pytestmark = pytest.mark.redis


async def fill(b: QueueFixture, count: int, start: int) -> None:
    """Creates ``count`` waiting, dead and completed jobs, and one in each other state."""
    ids = [f"job-{n}" for n in range(start, start + 3 * count)]
    await b.queue.submit_many([payload(job_id) for job_id in ids])
    claims = (await b.worker().claim(2 * count)).claims
    await b.worker().finish([completed_job(claim) for claim in claims[:count]], 0)
    for claim in claims[count:]:
        await b.worker().move_to_dead_letters(
            claim, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=dead_letter_reason()
        )


async def test_snapshot_cost_is_independent_of_depth(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.worker().heartbeat("{}", [])

        async def cost() -> dict[str, int]:
            depth = {"history_s": 600, "history_min": 60, "events": 50, "running_jobs": True}
            await b.snapshots.read(**depth)
            before = await b.calls()
            await b.snapshots.read(**depth)
            after = await b.calls()
            changed = {name: count - before.get(name, 0) for name, count in after.items()}
            return {name: count for name, count in changed.items() if count and name != "info"}

        await fill(b, 2, 0)
        shallow = await cost()
        await fill(b, 800, 10)
        deep = await cost()
        assert deep == shallow
        assert deep["evalsha"] == 1
        assert not {"keys", "scan", "zscan", "hscan", "hvals", "lrange", "smembers"} & set(deep)
        # Only the workers are read as a whole; the oldest waiting jobs are ranges of one.
        assert deep["zrange"] == 4
        # Running jobs and supervisors, each limited.
        assert deep["zrevrange"] == 2
        assert deep["xrevrange"] == 1


async def test_snapshot_has_all_counts_and_the_oldest_wait(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b, 2, 0)
        await b.queue.submit_many([payload(f"high-{n}", priority="high") for n in range(3)])
        await b.queue.submit(payload("low", priority="low"))
        first, second = (await b.worker().claim(2)).claims
        await b.worker().retry(
            first, delay_ms=60_000, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), message="x"
        )
        await b.make_older("low", by_ms=HOUR_MS)
        snapshot = await b.snapshots.read(history_s=60)
        assert snapshot.waiting == {Priority.HIGH: 1, Priority.NORMAL: 2, Priority.LOW: 1}
        assert (snapshot.delayed, snapshot.active, snapshot.dead) == (1, 1, 2)
        assert (snapshot.backlog, snapshot.pending, snapshot.unaccounted) == (5, 6, 0)
        assert HOUR_MS <= snapshot.oldest_waiting_ms < HOUR_MS + 60_000
        assert abs(snapshot.now_ms - await b.now_ms()) < 60_000
        assert second.priority is Priority.HIGH
        run = snapshot.percentiles_ms("run")
        assert run["p50"] is not None
        assert 3 / 1.1 <= run["p50"] <= 3 * 1.1
        assert sum(count for bucket in snapshot.buckets for count in bucket.wait.values()) == 6
        queue_json = snapshot.as_json()["queue"]
        assert set(queue_json) >= {
            "name",
            "paused",
            "waiting",
            "delayed",
            "active",
            "completed",
            "dead",
            "oldestWaitingMs",
        }
        assert queue_json["waiting"] == {"high": 1, "normal": 2, "low": 1}
        assert queue_json["completed"] == 2
        json.dumps(snapshot.as_json())


async def test_snapshot_has_running_jobs_newest_claim_first(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many(
            [payload(f"job-{n}", project=f"p{n}", priority="low" if n == 3 else None) for n in range(4)]
        )
        first = (await b.worker("w1").claim(2)).claims
        last = (await b.worker("w2").claim(2)).claims
        await b.worker("w1").heartbeat("{}", [(claim, 0.25, "frames") for claim in first])
        runs = (await b.snapshots.read(running_jobs=True)).running_jobs
        assert [run.job_id for run in runs] == [claim.job_id for claim in reversed((*first, *last))]
        assert [run.worker_id for run in runs] == ["w2", "w2", "w1", "w1"]
        assert [(run.progress, run.phase) for run in runs[1:3]] == [(0.0, ""), (0.25, "frames")]
        assert (runs[0].project_id, runs[0].priority) == ("p3", Priority.LOW)
        assert abs(runs[0].claimed_ms - await b.now_ms()) < 60_000
        assert (await b.snapshots.read()).running_jobs == ()


async def test_snapshot_has_events_after_the_known_one(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        for n in range(7):
            await b.queue.pause(who="ann", reason=f"why {n}")
            await b.queue.resume(who="ann")
        snapshot = await b.snapshots.read(events=3)
        assert [event.kind for event in snapshot.events] == ["resumed", "paused", "resumed"]
        assert snapshot.events[1].fields["why"] == "why 6"
        assert snapshot.events_total == 14
        later = await b.snapshots.read(events=500, after=snapshot.events[0].event_id)
        assert later.events == snapshot.events[1:]
        assert (await b.snapshots.read(events=5, after=snapshot.events[-1].event_id)).events == ()
        assert len((await b.snapshots.read(events=9_999)).events) == 14
        assert (await b.snapshots.read()).events == ()
        with pytest.raises(ValueError, match="is not an event id"):
            await b.snapshots.read(events=1, after="0 COUNT 1")


async def test_snapshot_has_merged_minutes_without_the_current_one(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        while True:
            minute = await b.now_ms() // 60_000
            for back in (0, 1, 2, 5, 2880, 2881):
                key = f"{b.keys.bucket_prefix}1m:{minute - back}"
                await b.redis.hset(key, mapping={"completed": back, "w3": 1})
            snapshot = await b.snapshots.read(history_min=99_999)
            last = await b.snapshots.read(history_min=2)
            if last.now_ms // 60_000 == minute:
                break
            await b.redis.flushdb()
        assert [bucket.counts["completed"] for bucket in snapshot.minutes] == [2880, 5, 2, 1]
        assert {bucket.width_ms for bucket in snapshot.minutes} == {60_000}
        assert snapshot.minutes[-1].start_ms == (minute - 1) * 60_000
        assert snapshot.minutes[-1].wait == {3: 1}
        assert [bucket.number for bucket in last.minutes] == [minute - 2, minute - 1]


async def test_snapshot_of_an_empty_queue(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        snapshot = await b.snapshots.read(history_s=3600)
        assert (snapshot.pending, snapshot.dead, snapshot.oldest_waiting_ms, snapshot.unaccounted) == (
            0,
            0,
            0,
            0,
        )
        assert (snapshot.workers, snapshot.buckets) == ((), ())
        assert (snapshot.minutes, snapshot.events, snapshot.running_jobs, snapshot.supervisors) == (
            (),
            (),
            (),
            (),
        )
        assert set(snapshot.oldest_wait_ms.values()) == {0}
        assert snapshot.percentiles_ms("wait") == {"p50": None, "p95": None, "p99": None}


async def test_snapshot_has_the_info_of_workers(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        info = {
            "host": "h1",
            "pid": 42,
            "state": "working",
            "slots": 2,
            "busy": 1,
            "rssBytes": 1024,
            "startedMs": 1_700_000_000_000,
            "completed": 5,
            "failed": 1,
            "version": "0.1",
            "jobs": ["a"],
            "cpu": 37.5,
            "ownRssBytes": 512,
        }
        before_ms = await b.now_ms()
        await b.worker("w1").heartbeat(json.dumps(info), [])
        await b.worker("w2").heartbeat("{}", [])
        views = {view.worker_id: view for view in (await b.snapshots.read()).workers}
        assert before_ms <= views["w1"].heartbeat_ms <= await b.now_ms()
        shown = views["w1"].as_json()
        assert {shown[name] for name in ("id", "host", "state")} == {"w1", "h1", "working"}
        assert (shown["pid"], shown["slots"], shown["busy"], shown["rssBytes"]) == (42, 2, 1, 1024)
        assert shown["jobs"] == ["a"]
        assert (shown["cpu"], shown["ownRssBytes"]) == (37.5, 512)
        assert views["w2"].state == "unknown"


async def counters_of(b: QueueFixture, key: str) -> dict[str, int]:
    return {name.decode(): int(count) for name, count in (await b.redis.hgetall(key)).items()}


async def test_closed_buckets_are_merged_into_minutes_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        current = await b.now_ms() // 10_000
        minute = current // 6 - 3
        await b.worker().maintain()
        for n in range(6):
            await b.redis.hset(
                f"{b.keys.bucket_prefix}10s:{minute * 6 + n}", mapping={"completed": n + 1, "w3": 1}
            )
        await b.redis.hset(f"{b.keys.bucket_prefix}10s:{minute * 6 + 6}", mapping={"completed": 100})
        await b.redis.hset(b.keys.meta, "rolled", minute * 6 - 1)
        for _ in range(2):
            await b.worker().maintain()
        assert await counters_of(b, f"{b.keys.bucket_prefix}1m:{minute}") == {"completed": 21, "w3": 6}
        assert await counters_of(b, f"{b.keys.bucket_prefix}1m:{minute + 1}") == {"completed": 100}
        lives_s = await b.redis.ttl(f"{b.keys.bucket_prefix}1m:{minute}")
        assert 48 * 3600 <= lives_s <= 48 * 3600 + 120
        rolled = int(await b.redis.hget(b.keys.meta, "rolled"))
        assert current - 1 <= rolled < await b.now_ms() // 10_000, "the open bucket is left for later"


async def test_merging_after_a_long_silence_is_bounded(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        oldest = await b.now_ms() // 10_000 - 380
        await b.redis.hset(f"{b.keys.bucket_prefix}10s:{oldest}", "accepted", 7)
        await b.redis.hset(b.keys.meta, "rolled", 1)
        for _ in range(4):
            before = (await b.calls()).get("hgetall", 0)
            await b.worker().maintain()
            assert (await b.calls())["hgetall"] - before <= 100
        assert await counters_of(b, f"{b.keys.bucket_prefix}1m:{oldest // 6}") == {"accepted": 7}


async def test_buckets_expire_but_lifetime_counters_do_not(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b, 1, 0)
        (key,) = await b.redis.keys(f"{b.keys.bucket_prefix}10s:*")
        assert 3600 < await b.redis.ttl(key) <= 3900
        assert await b.redis.ttl(b.keys.meta) == -1
