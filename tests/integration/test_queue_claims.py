"""Claims: order, cost, and how leases are renewed, lost and released."""

from __future__ import annotations

import asyncio
import time

import pytest

from previewops.queue.leases import Claim, Leases
from previewops.queue.retry import DeadLetterCause, FailureCounter
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.snapshot.histogram import merge_histograms
from previewops.states import JobState, ScriptResult
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


async def fill(b: QueueFixture, count: int, priority: str, start: int = 0) -> None:
    await b.queue.submit_many(
        [payload(f"{priority}-{n}", priority=priority) for n in range(start, start + count)]
    )


# ---------------------------------------------------------------- order


async def test_claims_follow_priority_then_fifo(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        for n in range(3):
            for priority in ("low", "normal", "high"):
                await b.queue.submit(payload(f"{priority}-{n}", priority=priority))
        claims = (await b.worker().claim(20)).claims
        assert [claim.job_id for claim in claims] == [
            f"{priority}-{n}" for priority in ("high", "normal", "low") for n in range(3)
        ]


async def test_high_job_precedes_ten_thousand_low_jobs(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b, 10_000, "low")
        await b.queue.submit(payload("urgent", priority="high"))
        assert (await b.claim_one()).job_id == "urgent"


@pytest.mark.parametrize("way", ["claim", "finish"])
async def test_aged_low_job_gets_every_fourth_claim(redis_url: str, way: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b, 3, "low")
        await b.make_older("low-0", "low-1", "low-2", by_ms=HOUR_MS)
        served: list[str] = []
        held: Claim | None = None
        for n in range(12):
            await fill(b, 2, "high", start=2 * n)
            if way == "claim" or held is None:
                held = await b.claim_one()
            else:
                _, (held,), _ = await b.worker().finish([completed_job(held)], 1)
            served.append(held.job_id)
        assert [n for n, job_id in enumerate(served, start=1) if job_id.startswith("low")] == [4, 8, 12]
        assert [job_id for job_id in served if job_id.startswith("low")] == ["low-0", "low-1", "low-2"]


async def test_oldest_of_several_aged_classes_goes_first(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b, 20, "high")
        await fill(b, 1, "normal")
        await fill(b, 1, "low")
        await b.make_older("normal-0", by_ms=HOUR_MS)
        await b.make_older("low-0", by_ms=2 * HOUR_MS)
        claims = (await b.worker().claim(8)).claims
        assert [claims[3].job_id, claims[7].job_id] == ["low-0", "normal-0"]


async def test_low_job_below_the_ageing_limit_waits(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b, 12, "high")
        await fill(b, 1, "low")
        claims = (await b.worker().claim(12)).claims
        assert {claim.priority.value for claim in claims} == {"high"}


async def test_released_job_keeps_its_position(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b, 3, "normal")
        first = await b.claim_one()
        assert await b.worker().release([first]) == [ScriptResult.OK]
        assert [claim.job_id for claim in (await b.worker().claim(3)).claims] == [
            f"normal-{n}" for n in range(3)
        ]


async def test_wait_time_excludes_released_runs(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        await b.make_older("a", by_ms=HOUR_MS)
        await b.redis.hset(b.keys.job_prefix + "a", "order", (await b.now_ms() - HOUR_MS) * 1000)
        first = await b.claim_one()
        assert first.wait_ms >= HOUR_MS
        await b.worker().release([first])
        again = await b.claim_one()
        assert again.wait_ms < HOUR_MS
        snapshot = await b.snapshots.read(history_s=60)
        assert sorted(merge_histograms(bucket.wait for bucket in snapshot.buckets).values()) == [1, 1], (
            "a long and a short one"
        )
        # A retry waits since it became due, which is later than its release.
        await b.worker().release([again])
        await b.make_older("a", by_ms=-2 * HOUR_MS)
        assert (await b.claim_one()).wait_ms == 0


# ---------------------------------------------------------------- cost


async def calls_of(b: QueueFixture, claim: bool) -> dict[str, int]:
    """Returns the commands of one claim, or of one finish that claims."""
    held = [await b.claim_one(), await b.claim_one()]
    await b.worker().finish([completed_job(held[0])], 0)
    before = await b.calls()
    if claim:
        await b.worker().claim(2)
    else:
        await b.worker().finish([completed_job(held[1])], 2)
    after = await b.calls()
    changed = {name: after[name] - before.get(name, 0) for name in after}
    return {name: count for name, count in changed.items() if count and name != "info"}


@pytest.mark.parametrize("claim", [True, False], ids=["claim", "finish"])
async def test_claim_cost_is_independent_of_depth_and_active_jobs(redis_url: str, claim: bool) -> None:
    async with queue_fixture(redis_url, lease_ms=600_000) as b:
        await fill(b, 10, "normal")
        shallow = await calls_of(b, claim)
        await fill(b, 4_000, "normal", start=10)
        assert len((await b.worker("w2").claim(1_500)).claims) == 1_500
        deep = await calls_of(b, claim)
        # A bucket's new field adds an EXPIRE, and a histogram bin may be new.
        for calls in (shallow, deep):
            calls.pop("expire", None)
        assert abs(shallow.pop("hincrby") - deep.pop("hincrby")) <= 3
        assert deep == shallow
        assert deep["evalsha"] == 1, "one round trip"


# ---------------------------------------------------------------- leases


async def test_server_clock_times_leases(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with queue_fixture(redis_url, lease_ms=10_000) as b:
        await b.queue.submit(payload("a"))
        before_ms = await b.now_ms()
        for shift_s in (-3600, 3600):
            real = time.time
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda real=real, shift=shift_s: real() + shift)
                patch.setattr(time, "time_ns", lambda real=real, shift=shift_s: int((real() + shift) * 1e9))
                claim = await b.claim_one()
                await b.worker().maintain()
                assert await b.worker().renew(claim) is ScriptResult.OK
                assert (await b.worker().heartbeat("{}", [(claim, 0.1, "x")])).lost_job_ids == ()
                ends_ms = await b.redis.zscore(b.keys.active, "a")
                assert before_ms + 10_000 <= ends_ms <= await b.now_ms() + 10_000
                assert before_ms <= claim.claimed_ms <= await b.now_ms()
                await b.worker().retry(
                    claim,
                    delay_ms=5_000,
                    counter=FailureCounter.ATTEMPTS,
                    attempt_json=attempt_json(),
                    message="x",
                )
                due_ms = await b.redis.zscore(b.keys.schedule, "a")
                assert before_ms + 5_000 <= due_ms <= await b.now_ms() + 5_000
            await b.make_due("a")


async def test_heartbeat_and_renew_extend_a_lease(redis_url: str) -> None:
    async with queue_fixture(redis_url, lease_ms=1_000) as b:
        await b.queue.submit(payload("a"))
        claim = await b.claim_one()
        longer = b.worker(lease_ms=60_000)
        await longer.heartbeat("{}", [(claim, 0.25, "frames")])
        assert await b.redis.zscore(b.keys.active, "a") > await b.now_ms() + 50_000
        assert await b.redis.pttl("arq:in-progress:a") > 50_000
        record = await b.queue.status("a")
        assert (record.progress, record.phase, record.worker) == (0.25, "frames", "w1")
        await b.expire_leases("a")
        assert await longer.renew(claim) is ScriptResult.OK
        assert await b.redis.zscore(b.keys.active, "a") > await b.now_ms() + 50_000
        assert await b.redis.pttl("arq:in-progress:a") > 50_000
        assert (await longer.maintain()).recovered == 0


async def test_stale_token_is_rejected_and_changes_nothing(redis_url: str) -> None:
    async with queue_fixture(redis_url, lease_ms=600_000) as b:
        await b.queue.submit(payload("a"))
        old = await b.claim_one("w1")
        await b.expire_leases("a")
        await b.worker().maintain()
        new = await b.claim_one("w2")
        assert int(new.token) > int(old.token)
        w1 = b.worker("w1")
        before = await b.dump()
        assert (await w1.finish([completed_job(old, {"from": "old"})], 0))[0] == [ScriptResult.STALE]
        assert (
            await w1.retry(
                old, delay_ms=1, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), message="x"
            )
            is ScriptResult.STALE
        )
        assert (
            await w1.move_to_dead_letters(
                old, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=dead_letter_reason()
            )
            is ScriptResult.STALE
        )
        assert await w1.release([old]) == [ScriptResult.STALE]
        assert await w1.renew(old) is ScriptResult.STALE
        assert await b.dump() == before
        assert (await w1.heartbeat("{}", [(old, 0.9, "x")])).lost_job_ids == ("a",)
        assert (await b.worker("w2").finish([completed_job(new, {"from": "new"})], 0))[0] == [ScriptResult.OK]
        assert (await b.queue.status("a")).result == {"from": "new"}


async def test_repeated_call_returns_already(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("a"), payload("b"), payload("c"), payload("d")])
        a, bb, c, d = (await b.worker().claim(4)).claims
        w = b.worker()
        retry = {"delay_ms": 60_000, "counter": FailureCounter.ATTEMPTS, "attempt_json": attempt_json()}
        assert (await w.finish([completed_job(a)], 0))[0] == [ScriptResult.OK]
        assert await w.retry(bb, message="x", **retry) is ScriptResult.OK
        assert await w.release([c]) == [ScriptResult.OK]
        bury = {
            "counter": FailureCounter.CRASHES,
            "attempt_json": attempt_json(),
            "reason": dead_letter_reason(),
        }
        assert await w.move_to_dead_letters(d, **bury) is ScriptResult.OK
        before = await b.dump()
        assert (await w.finish([completed_job(a), completed_job(a)], 0))[0] == [
            ScriptResult.ALREADY,
            ScriptResult.ALREADY,
        ]
        assert await w.retry(bb, message="x", **retry) is ScriptResult.ALREADY
        assert await w.release([c, d]) == [ScriptResult.ALREADY, ScriptResult.ALREADY]
        assert await w.move_to_dead_letters(d, **bury) is ScriptResult.ALREADY
        assert await w.renew(a) is ScriptResult.ALREADY
        assert await b.dump() == before


async def test_duplicate_in_a_finish_batch_counts_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        claim = await b.claim_one()
        codes, *_ = await b.worker().finish([completed_job(claim), completed_job(claim)], 0)
        assert codes == [ScriptResult.OK, ScriptResult.ALREADY]
        assert (await b.snapshots.read()).counters["completed"] == 1


async def test_finish_completes_a_job_without_body(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("a"), payload("b")])
        claims = (await b.worker().claim(2)).claims
        await b.redis.delete("arq:job:a")
        codes, *_ = await b.worker().finish([completed_job(claim) for claim in claims], 0)
        assert codes == [ScriptResult.OK, ScriptResult.OK]
        assert (await b.queue.status("a")).result == {"ok": True}


async def test_three_lost_workers_make_a_dead_letter_without_attempts(
    redis_url: str,
) -> None:
    async with queue_fixture(redis_url, max_crashes=3, lease_ms=600_000) as b:
        await b.queue.submit_many([payload("poison"), payload("healthy")])
        for crash in range(1, 4):
            claim = await b.claim_one()
            assert (claim.job_id, claim.attempts, claim.crashes) == ("poison", 0, crash - 1)
            if crash == 2:
                assert await b.worker().deregister_worker("w1", "killed by SIGKILL", lost=True) == ["poison"]
            else:
                await b.expire_leases("poison")
                assert (await b.worker("w2").maintain()).recovered == 1
        record = await b.queue.status("poison")
        assert (record.state, record.cause, record.attempts, record.crashes) == (
            JobState.DEAD,
            DeadLetterCause.CRASHES.value,
            0,
            3,
        )
        assert [(entry.kind, entry.worker, entry.error_class) for entry in record.history] == [
            ("crash", "w1", "WorkerLost")
        ] * 3
        assert "SIGKILL" in record.history[1].message
        assert (await b.claim_one()).job_id == "healthy"
        (group,) = await b.dead.groups()
        assert group.count == 1


async def test_crashes_and_attempts_are_counted_separately(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        for counter, counts in (
            (FailureCounter.CRASHES, (0, 1)),
            (FailureCounter.ATTEMPTS, (1, 1)),
            (FailureCounter.CRASHES, (1, 2)),
        ):
            claim = await b.claim_one()
            await b.worker().retry(
                claim, delay_ms=1, counter=counter, attempt_json=attempt_json(), message="again"
            )
            await b.make_due("a")
            record = await b.queue.status("a")
            assert (record.attempts, record.crashes) == counts
        counters = (await b.snapshots.read()).counters
        assert (counters["crashed"], counters["retried"]) == (2, 1)


async def test_release_counts_no_attempt_and_no_crash(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        await b.worker().release([await b.claim_one()])
        lost = await b.claim_one()
        assert await b.worker("w2").release_unknown_claims([]) == [], (
            "another worker's claims are not its own"
        )
        assert await b.worker().release_unknown_claims([lost]) == [], (
            "a worker keeps the claims that it holds"
        )
        assert await b.worker().release_unknown_claims([]) == ["a"]
        assert (await b.worker().finish([completed_job(lost)], 0))[0] == [ScriptResult.STALE]
        claim = await b.claim_one()
        assert (claim.attempts, claim.crashes) == (0, 0)
        assert (await b.queue.status("a")).history == ()


async def test_undecodable_error_text_is_recorded(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
        await b.queue.submit_many([payload("a"), payload("b")])
        a, bb = (await b.worker().claim(2)).claims
        message = f"no such file: '{name}'"
        code = await b.worker().retry(
            a,
            delay_ms=1,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(message=message),
            message=message,
        )
        assert code is ScriptResult.OK
        assert "caf\\udce9.png" in str((await b.queue.status("a")).reason)
        reason = dead_letter_reason(message=message)
        code = await b.worker().move_to_dead_letters(
            bb, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(message=message), reason=reason
        )
        assert code is ScriptResult.OK
        assert "caf\\udce9.png" in str((await b.queue.status("b")).reason)


# ---------------------------------------------------------------- waking


async def test_wake_up_remains_while_jobs_wait(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        w = b.worker()
        assert await w.wait_for_work(0.001) is False
        await b.queue.submit_many([payload("a"), payload("b"), payload("c")])
        assert await b.redis.llen(b.keys.wake) == 1
        for left in (2, 1):
            assert await w.wait_for_work(1) is True
            await w.claim(1)
            assert await b.redis.llen(b.keys.wake) == 1, f"{left} jobs are left for another worker"
        assert await w.wait_for_work(1) is True
        claim = (await w.claim(1)).claims
        assert await b.redis.llen(b.keys.wake) == 0
        await w.release(claim)
        assert await w.wait_for_work(1) is True


async def test_submit_wakes_a_waiting_worker(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        sleeper = connect(redis_url, role="test")
        waiting = asyncio.create_task(Leases(sleeper, Settings(), "w1").wait_for_work(30))
        # Redis does not report when a client starts to block.
        while b"cmd=blpop" not in await b.redis.execute_command("CLIENT", "LIST"):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await b.queue.submit(payload("a"))
        assert await waiting is True
        await sleeper.aclose()


async def test_claim_returns_the_next_due_time(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        assert (await b.worker().claim(1)).next_due_ms is None
        await b.queue.submit(payload("a"))
        claim = await b.claim_one()
        await b.redis.delete(b.keys.wake)
        await b.worker().retry(
            claim,
            delay_ms=60_000,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(),
            message="again",
        )
        assert await b.worker().wait_for_work(1) is True, "an idle worker has to learn of the new due time"
        next_due_ms = (await b.worker().claim(1)).next_due_ms
        assert next_due_ms is not None
        assert 0 < next_due_ms <= 60_000
        maintenance = await b.worker().maintain()
        assert maintenance.next_due_ms is not None
        assert maintenance.next_due_ms <= next_due_ms
        await b.make_due("a")
        assert (await b.claim_one()).job_id == "a"


async def test_a_job_costs_a_known_number_of_commands(redis_url: str) -> None:
    """The time of a worked-off job in Redis, without the noise of a clock: batches of two, as at concurrency 2."""
    jobs = 100
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload(f"job-{number}") for number in range(jobs)])
        w = b.worker()
        await b.redis.config_resetstat()
        claims = (await w.claim(2)).claims
        while claims:
            _, claims, _ = await w.finish([completed_job(claim) for claim in claims], 2)
        stats = await b.redis.info("commandstats")
        commands = sum(row["calls"] for name, row in stats.items() if name != "cmdstat_config|resetstat")
        assert commands <= 26.0 * jobs, "without turns of projects 25.3; without claims read at once 26.8"
