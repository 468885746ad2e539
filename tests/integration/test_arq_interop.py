"""A stock arq client and this queue, in both directions."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest
from arq.connections import RedisSettings, create_pool
from arq.jobs import Job, JobStatus, SerializationError
from arq.worker import Worker, async_check_health, func

from previewops.doctor.doctor import Doctor
from previewops.errors import JobConflict
from previewops.health import Status, Thresholds, evaluate
from previewops.health.from_snapshot import inputs_from_snapshot
from previewops.job_errors import PermanentJobError
from previewops.metrics.lifetime_counters import LifetimeCounters
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.leases import Claim
from previewops.queue.retry import FailureCounter
from previewops.states import JobState, Priority, ScriptResult
from previewops.worker.engine.execution import decode_job
from previewops.worker.engine.worker import serialize_job
from tests.queue_support import (
    HOUR_MS,
    QUEUE,
    QueueFixture,
    attempt_json,
    completed_job,
    dead_letter_reason,
    payload,
    queue_fixture,
    stock_pool,
    strict_json,
)

pytestmark = pytest.mark.redis


async def retry(b: QueueFixture, claim: Claim) -> None:
    code = await b.worker().retry(
        claim, delay_ms=HOUR_MS, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), message="again"
    )
    assert code is ScriptResult.OK


def raw(job_id: str, **options: Any) -> dict[str, Any]:
    return payload(job_id, **options).raw


# ---------------------------------------------------------------- from stock arq clients


async def test_stock_client_job_is_claimed_with_priority_and_project(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        for priority in ("low", "high", "normal"):
            body = raw(priority, priority=priority, project="shop")
            job = await pool.enqueue_job("render_preview", body, _job_id=priority, _queue_name=QUEUE)
            assert job is not None
            await b.make_due(priority)
        await pool.enqueue_job("render_preview", raw("plain"), _job_id="plain")
        await b.make_due("plain")
        assert await b.redis.pttl("arq:job:low") > 0
        claims = (await b.worker().claim(5)).claims
        assert [claim.job_id for claim in claims] == ["high", "normal", "plain", "low"]
        assert [claim.priority for claim in claims] == [
            Priority.HIGH,
            Priority.NORMAL,
            Priority.NORMAL,
            Priority.LOW,
        ]
        assert (await b.queue.status("low")).project_id == "shop"
        assert await b.redis.pttl("arq:job:low") == -1, "waiting and running jobs do not expire"
        name, args, kwargs, _ = decode_job(claims[0])
        assert (name, args, kwargs) == ("render_preview", [raw("high", priority="high", project="shop")], {})
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["accepted"], snapshot.unaccounted) == (4, 0)


async def test_maintenance_admits_stock_client_job_and_wakes_a_worker(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await pool.enqueue_job("render_preview", raw("a"), _job_id="a", _expires=600)
        await b.make_due("a")
        assert (await b.worker().maintain()).admitted == 1
        assert await b.redis.llen(b.keys.wake) == 1
        assert await b.redis.pttl("arq:job:a") == -1


async def test_deferred_job_waits_until_due(redis_url: str) -> None:
    async with queue_fixture(redis_url, queue_max=1) as b, stock_pool(redis_url) as pool:
        job = await pool.enqueue_job("render_preview", raw("a"), _job_id="a", _defer_by=3600)
        assert job is not None
        assert await job.status() is JobStatus.deferred
        assert (await b.queue.status("a")).state is JobState.DELAYED
        assert [record.job_id for record in await b.list_all()] == ["a"]
        assert [record.job_id for record in await b.list_all(JobState.DELAYED)] == ["a"]
        assert await b.list_all(JobState.WAITING) == ()
        receipt = await b.queue.submit(payload("a"))
        assert (receipt.new, receipt.state) == (False, JobState.DELAYED)
        claims = await b.worker().claim(1)
        assert claims.claims == ()
        assert claims.next_due_ms is not None
        assert 3_500_000 < claims.next_due_ms <= HOUR_MS
        await b.make_due("a")
        assert (await b.queue.status("a")).state is JobState.WAITING
        assert (await b.claim_one()).job_id == "a"


async def test_same_id_is_enqueued_once_by_either_client(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        assert await pool.enqueue_job("render_preview", raw("a"), _job_id="a") is not None
        await b.make_due("a")
        assert await pool.enqueue_job("render_preview", raw("a"), _job_id="a") is None
        assert (await b.queue.submit(payload("a"))).new is False
        with pytest.raises(JobConflict):
            await b.queue.submit(payload("a", title="another"))
        # Only Python can compare such bodies; the next round trip counts the conflicts.
        totals = LifetimeCounters.parse(await b.redis.hgetall(b.queue.keys.totals))
        assert totals.rejections("conflict") == 1
        await b.queue.submit(payload("ours"))
        claims = [await b.claim_one(), await b.claim_one()]
        for job_id in ("a", "ours"):
            assert await pool.enqueue_job("render_preview", raw(job_id), _job_id=job_id) is None
        await b.worker().finish([completed_job(claims[0])], 0)
        await b.worker().move_to_dead_letters(
            claims[1],
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(),
            reason=dead_letter_reason(),
        )
        for job_id in ("a", "ours"):
            assert await pool.enqueue_job("render_preview", raw(job_id), _job_id=job_id) is None
        receipt = await b.queue.submit(payload("a"))
        assert (receipt.new, receipt.state) == (False, JobState.COMPLETED)
        with pytest.raises(JobConflict):
            await b.queue.submit(payload("a", title="another"))


async def test_job_enqueued_after_its_record_expired_is_new(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await b.queue.submit(payload("a"))
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        await b.redis.delete("arq:result:a")
        assert await pool.enqueue_job("render_preview", raw("a"), _job_id="a") is not None
        await b.make_due("a")
        claim = await b.claim_one()
        assert (claim.attempts, claim.crashes) == (0, 0)
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["accepted"], snapshot.active, snapshot.unaccounted) == (2, 1, 0)
        assert await b.list_all(JobState.COMPLETED) == ()


async def test_unadmitted_stock_client_job_can_be_cancelled(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await pool.enqueue_job("render_preview", raw("now"), _job_id="now")
        await b.make_due("now")
        await pool.enqueue_job("render_preview", raw("later"), _job_id="later", _defer_by=3600)
        assert await b.queue.cancel("now", who="ann") is JobState.WAITING
        assert await b.queue.cancel("later", who="ann") is JobState.DELAYED
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["cancelled"], snapshot.pending, snapshot.unaccounted) == (2, 0, 0)
        assert (await b.worker().claim(2)).claims == ()


@pytest.mark.parametrize(
    "body",
    [
        pickle.dumps({"t": None, "f": "render_preview", "a": ({"jobId": "a"},), "k": {}, "et": 1}),
        b"\xff\xfe",
        b"null",
        b"[1]",
        b'{"t":null}',
        b'{"t":null,"f":"render_preview","a":"x","k":{},"et":1}',
        b'{"t":null,"f":"render_preview","a":[' + b"[" * 5_000 + b"]" * 5_000 + b'],"k":{},"et":1}',
        b"",
    ],
    ids=["pickle", "bytes", "null", "list", "too little", "no arguments", "deep", "empty"],
)
async def test_unreadable_body_becomes_a_dead_letter(redis_url: str, body: bytes) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await b.redis.set("arq:job:a", body, px=60_000)
        await b.redis.zadd(QUEUE, {"a": await b.now_ms()})
        claim = await b.claim_one()
        assert (claim.body, claim.priority) == (body, Priority.NORMAL)
        if not body.startswith(b'{"t":null,"f":"render_preview","a":[['):
            with pytest.raises(PermanentJobError) as caught:
                decode_job(claim)
            assert caught.value.code == "payload-unreadable"
        code = await b.worker().move_to_dead_letters(
            claim, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=dead_letter_reason()
        )
        assert code is ScriptResult.OK
        result = await Job("a", pool, QUEUE, json.loads).result_info()
        assert result is not None
        assert (result.success, result.function) == (False, "render_preview")
        assert await b.redis.get("arq:job:a") == body, "the body is kept"
        assert await b.redis.pttl("arq:job:a") == -1
        record = await b.queue.status("a")
        assert record.state is JobState.DEAD


async def test_job_with_expired_body_recovers_when_enqueued_again(
    redis_url: str,
) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await pool.enqueue_job("render_preview", raw("a"), _job_id="a")
        await b.make_due("a")
        await b.redis.delete("arq:job:a")
        claim = await b.claim_one()
        assert claim.body is None
        with pytest.raises(PermanentJobError) as caught:
            decode_job(claim)
        assert caught.value.code == "payload-lost"
        await b.worker().release([claim])
        assert await pool.enqueue_job("render_preview", raw("a"), _job_id="a") is not None
        await b.make_due("a")
        again = await b.claim_one()
        assert again.body is not None
        assert await b.redis.pttl("arq:job:a") == -1
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["accepted"], snapshot.unaccounted) == (1, 0)


# ---------------------------------------------------------------- to stock arq clients


async def test_stock_client_status_of_every_state(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        job = Job("a", pool, QUEUE, json.loads)

        async def seen() -> JobStatus:
            return await job.status()

        assert await seen() is JobStatus.not_found
        await b.queue.submit(payload("a"))
        assert await seen() is JobStatus.queued
        claim = await b.claim_one()
        assert await seen() is JobStatus.in_progress
        await retry(b, claim)
        assert await seen() is JobStatus.deferred
        await b.make_due("a")
        assert await seen() is JobStatus.queued
        claim = await b.claim_one()
        await b.worker().move_to_dead_letters(
            claim, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=dead_letter_reason()
        )
        assert await seen() is JobStatus.complete
        await b.dead.requeue(DeadLetterFilter(), who="ann")
        assert await seen() is JobStatus.queued
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        assert await seen() is JobStatus.complete


async def test_stock_client_info_before_the_end(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await b.queue.submit_many([payload("a"), payload("b")])
        await b.claim_one()
        info = await Job("a", pool, QUEUE, json.loads).info()
        assert info is not None
        assert (info.function, info.args, info.kwargs) == ("render_preview", [raw("a")], {})
        assert info.score is not None
        assert abs(info.enqueue_time.timestamp() * 1000 - await b.now_ms()) < 60_000
        with pytest.raises(UnicodeDecodeError):  # the price of the guard against stock workers
            await pool.queued_jobs(queue_name=QUEUE)
        # arq leaves its calls for the other jobs behind, which would open connections after the pool is closed.
        left_behind = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*left_behind, return_exceptions=True)


async def test_stock_client_result_of_a_completed_job(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await b.queue.submit(payload("a"))
        await retry(b, await b.claim_one())
        await b.make_due("a")
        made = {"artifacts": [], "nested": {"empty": {}, "text": 'Grüße "%1" \\ }'}}
        await b.worker().finish([completed_job(await b.claim_one(), made)], 0)
        job = Job("a", pool, QUEUE, json.loads)
        assert await job.result(timeout=60) == made
        info = await job.result_info()
        assert info is not None
        assert (info.success, info.job_try, info.function, info.queue_name, info.job_id) == (
            True,
            2,
            "render_preview",
            QUEUE,
            "a",
        )
        assert info.args == [raw("a")], "empty lists stay lists"
        assert info.start_time <= info.finish_time
        assert [result.job_id for result in await pool.all_job_results()] == ["a"]


@pytest.mark.parametrize("end", ["dead", "lost", "cancelled"])
async def test_stock_client_result_of_a_failed_job_raises(redis_url: str, end: str) -> None:
    async with queue_fixture(redis_url, max_crashes=1) as b, stock_pool(redis_url) as pool:
        await b.queue.submit(payload("a"))
        claim = await b.claim_one()
        message = 'no file "Grüße.png" \\ at 5 %'
        if end == "dead":
            reason = dead_letter_reason("asset-missing", message, error_class="AssetMissing")
            await b.worker().move_to_dead_letters(
                claim, counter=FailureCounter.ATTEMPTS, attempt_json=attempt_json(), reason=reason
            )
            expected = f"AssetMissing: {message}"
        elif end == "lost":
            await b.worker().deregister_worker("w1", "killed by SIGKILL", lost=True)
            expected = "WorkerLost: killed by SIGKILL"
        else:
            await b.queue.cancel("a", who="ann", reason=message)
            expected = f"cancelled by ann: {message}"
        job = Job("a", pool, QUEUE, json.loads)
        with pytest.raises(SerializationError) as caught:
            await job.result(timeout=60)
        assert str(caught.value) == expected
        info = await job.result_info()
        assert info is not None
        assert (info.success, info.args) == (False, [raw("a")])
        strict_json(await b.redis.get("arq:result:a"))


BODIES = {
    "as arq writes it": json.dumps,
    "compact": lambda record: json.dumps(record, separators=(",", ":")),
    "sorted": lambda record: json.dumps(record, sort_keys=True),
    "indented": lambda record: json.dumps(record, indent=3) + "\n ",
    "reversed": lambda record: json.dumps(dict(reversed(record.items()))),
    "with a try": lambda record: json.dumps({**record, "t": 3}),
    "with more": lambda record: json.dumps({"id": "x", "s": 1, **record, "z": [{"t": 1, "f": {"a": "]"}}]}),
    "spaced before": lambda record: " " + json.dumps(record),
    "not escaped": lambda record: json.dumps(record, ensure_ascii=False, sort_keys=True),
}


@pytest.mark.parametrize("end", ["completed", "dead", "cancelled"])
@pytest.mark.parametrize("form", BODIES)
async def test_result_is_complete_for_any_json_form_of_the_body(redis_url: str, form: str, end: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        title = 'quo"te, br}ace, [brack]et, \\ back: "t":null,"a":1} %1 ü \u2028'
        record = {
            "t": None,
            "f": "render_preview",
            "a": [raw("a", title=title)],
            "k": {},
            "et": 1_700_000_000_000,
        }
        await b.redis.set("arq:job:a", BODIES[form](record), px=60_000)
        await b.redis.zadd(QUEUE, {"a": 1_700_000_000_000})
        if end == "completed":
            await b.worker().finish([completed_job(await b.claim_one(), {"made": []})], 0)
        elif end == "dead":
            claim = await b.claim_one()
            await b.worker().move_to_dead_letters(
                claim,
                counter=FailureCounter.ATTEMPTS,
                attempt_json=attempt_json(),
                reason=dead_letter_reason(),
            )
        else:
            await b.queue.cancel("a", who="ann")
        result = strict_json(await b.redis.get("arq:result:a"))
        assert result["a"] == [raw("a", title=title)]
        assert (result["f"], result["k"], result["et"]) == ("render_preview", {}, 1_700_000_000_000)
        assert (result["q"], result["id"], result["s"]) == (QUEUE, "a", end == "completed")
        assert result["t"] == (0 if end == "cancelled" else 1)
        info = await Job("a", pool, QUEUE, json.loads).result_info()
        assert info is not None
        assert info.result == {"completed": {"made": []}, "dead": "BrokenError: it broke"}.get(
            end, "cancelled by ann"
        )


@pytest.mark.parametrize("state", ["deferred", "backoff", "waiting", "active"])
async def test_stock_client_aborts_a_job(redis_url: str, state: str) -> None:
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        w = b.worker()
        defer_by = 3600 if state == "deferred" else None
        job = await pool.enqueue_job("render_preview", raw("a"), _job_id="a", _defer_by=defer_by)
        assert job is not None
        if state != "deferred":
            await b.make_due("a")
            await w.maintain()
        if state in ("backoff", "active"):
            (claim,) = (await w.claim(1)).claims
        if state == "backoff":
            await w.retry(
                claim,
                delay_ms=HOUR_MS,
                counter=FailureCounter.ATTEMPTS,
                attempt_json=attempt_json(),
                message="x",
            )
        aborting = asyncio.create_task(job.abort(timeout=60))
        while not await b.redis.zscore("arq:abort", "a"):
            pass
        # An idle worker claims as soon as a deferred job is due.
        assert (await w.claim(1 if state in ("deferred", "backoff") else 0)).claims == ()
        await w.maintain()
        with pytest.raises(Exception, match="cancelled by a stock arq client"):
            await aborting
        assert (await b.queue.status("a")).state is JobState.CANCELLED
        assert await b.redis.zcard("arq:abort") == 0
        snapshot = await b.snapshots.read()
        assert (snapshot.unaccounted, snapshot.counters["cancelled"]) == (0, 1)


async def test_aborts_of_other_queues_stay(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.zadd("arq:abort", {"of-another-queue": 1})
        await b.worker().maintain()
        assert await b.redis.zcard("arq:abort") == 1


async def test_old_aborts_of_other_queues_hide_no_new_one(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.zadd("arq:abort", {f"of-another-queue-{number}": number for number in range(1_000)})
        await b.queue.submit(payload("a"))
        await b.redis.zadd("arq:abort", {"a": await b.now_ms()})
        await b.worker().maintain()
        assert await b.state("a") == "cancelled"


# arq closes its client by a deprecated method.
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")
async def test_arq_check_succeeds_while_a_worker_maintains_the_queue(redis_url: str) -> None:
    settings = RedisSettings.from_dsn(redis_url)
    async with queue_fixture(redis_url) as b:
        assert await async_check_health(settings, queue_name=QUEUE) == 1
        await b.worker().maintain()
        assert await async_check_health(settings, queue_name=QUEUE) == 0
        assert 0 < await b.redis.pttl(f"{QUEUE}:health-check") <= 60_000
        assert (await b.snapshots.read()).stock_worker_ms is None


# arq closes its client by a deprecated method.
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")
@pytest.mark.parametrize(
    "serializers", [{}, {"job_serializer": serialize_job, "job_deserializer": json.loads}]
)
@pytest.mark.parametrize("function", ["render_preview", "send_mail"])
async def test_a_stock_arq_worker_takes_no_job(
    redis_url: str, serializers: dict[str, Any], function: str
) -> None:
    taken: list[str] = []

    async def run(ctx: dict[str, Any], *_: Any) -> None:
        taken.append(ctx["job_id"])

    ids = [f"job-{number}" for number in range(20)]
    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await b.worker().maintain()
        await pool.enqueue_job("render_preview", raw("by-a-stock-client"), _job_id="by-a-stock-client")
        await b.queue.submit_many([payload(job_id) for job_id in ids])
        for _ in range(5):  # as a service that is restarted
            own_pool = await create_pool(
                RedisSettings.from_dsn(redis_url), default_queue_name=QUEUE, **serializers
            )
            stock = Worker(
                [func(run, name=function)],
                redis_pool=own_pool,
                queue_name=QUEUE,
                burst=True,
                poll_delay=0.01,
                max_jobs=100,
                handle_signals=False,
                **serializers,
            )
            with pytest.raises(UnicodeDecodeError):
                await stock.async_run()
            await stock.close()
        claims = [claim for _ in range(3) for claim in (await b.worker().claim(10)).claims]
        assert {claim.job_id for claim in claims} == {*ids, "by-a-stock-client"}
        assert all(decode_job(claim)[1][0]["jobId"] == claim.job_id for claim in claims)
        assert taken == []
        snapshot = await b.snapshots.read()
        assert snapshot.unaccounted == 0
        assert (await Doctor(b.redis, b.settings).examine()).count == 0


async def test_another_arq_worker_on_the_queue_is_reported(redis_url: str) -> None:
    async def render_preview(ctx: dict[str, Any], body: dict[str, Any]) -> None: ...

    async with queue_fixture(redis_url) as b, stock_pool(redis_url) as pool:
        await b.worker().maintain()
        await b.queue.submit(payload("a"))
        stock = Worker([render_preview], redis_pool=pool, queue_name=QUEUE, burst=True, handle_signals=False)
        await stock.record_health()
        await b.worker().maintain()
        snapshot = await b.snapshots.read(events=10)
        assert snapshot.stock_worker_ms is not None
        assert "stock-worker" in [event.kind for event in snapshot.events]
        health = evaluate(inputs_from_snapshot(snapshot, None, heartbeat_ms=1_000), Thresholds())
        assert {check.name: check.status for check in health.checks}["arq-workers"] is Status.CRITICAL
