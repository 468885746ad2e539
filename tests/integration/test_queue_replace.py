"""Another payload for a job in any state, by a submit that says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from arq.connections import ArqRedis
from redis.asyncio import Redis

from previewops.errors import JobConflict, QueueFull, QuotaExceeded
from previewops.queue.pending_quota import PendingQuota
from previewops.queue.queue import Receipt
from previewops.queue.retry import FailureCounter
from previewops.queue.submit_options import SubmitOptions
from previewops.snapshot.model import QueueEvent
from previewops.states import JobState, ScriptResult
from tests.queue_support import (
    HOUR_MS,
    QUEUE,
    QueueFixture,
    attempt_json,
    completed_job,
    json_bytes,
    payload,
    queue_fixture,
)

pytestmark = pytest.mark.redis

REPLACE = SubmitOptions(replaced_by="ana")
NEW = payload("a", title="new", priority="high")


async def replace(b: QueueFixture, title: str = "new", **changes: Any) -> Receipt:
    return await b.queue.submit(payload("a", title=title, priority="high", **changes), REPLACE)


async def title_of_next(b: QueueFixture) -> str:
    claim = await b.claim_one("w2")
    assert claim.body is not None
    return str(json.loads(claim.body)["a"][0]["previewRequest"]["title"])


async def events(b: QueueFixture, kind: str) -> list[QueueEvent]:
    return [event for event in (await b.snapshots.read(events=99)).events if event.kind == kind]


async def is_accounted_for(b: QueueFixture) -> bool:
    return (await b.snapshots.read()).unaccounted == 0


async def test_a_waiting_job_gets_the_payload_and_keeps_its_place(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a", title="old"))
        await b.queue.submit(payload("b", priority="high"))
        receipt = await replace(b)
        assert (receipt.new, receipt.state, receipt.replaced) == (True, JobState.WAITING, JobState.WAITING)
        assert receipt.as_json()["replaced"] == "waiting"
        assert (await b.queue.status("a")).payload == NEW.raw
        assert await title_of_next(b) == "new", "with its new priority, and before a younger job"
        (event,) = await events(b, "replaced")
        assert (event.fields["job"], event.fields["who"], event.fields["was"]) == ("a", "ana", "waiting")
        assert event.fields["digestAfter"] == NEW.digest
        assert await is_accounted_for(b)


async def test_the_same_payload_changes_nothing(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(NEW)
        claim = await b.claim_one()
        receipt = await replace(b)
        assert (receipt.new, receipt.state, receipt.replaced) == (False, JobState.ACTIVE, None)
        assert await b.worker().renew(claim) is ScriptResult.OK
        assert not await events(b, "replaced")


async def test_a_running_attempt_is_superseded(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a", title="old"))
        claim = await b.claim_one()
        assert (await replace(b)).replaced is JobState.ACTIVE
        beat = await b.worker().heartbeat("{}", [(claim, 0.5, "frames")])
        assert beat.lost_job_ids == ("a",), "its worker kills the render"
        assert await b.worker().renew(claim) is ScriptResult.STALE, "nothing is published"
        assert (await b.worker().finish([completed_job(claim)], 0))[0] == [ScriptResult.STALE]
        assert await title_of_next(b) == "new"
        assert await is_accounted_for(b)


async def test_an_attempt_counts_for_its_own_payload(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a", title="old"))
        claim = await b.claim_one()
        await b.worker().retry(
            claim,
            delay_ms=HOUR_MS,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(),
            message="x",
        )
        receipt = await replace(b)
        assert (receipt.state, receipt.replaced) == (JobState.WAITING, JobState.DELAYED)
        record = await b.queue.status("a")
        assert (record.attempts, len(record.history)) == (0, 1)
        assert await title_of_next(b) == "new", "a backoff of another payload does not delay it"


async def test_a_completed_job_is_accepted_again_and_keeps_its_bundle(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a", title="old"))
        await b.worker().finish([completed_job(await b.claim_one(), {"bundle": "/previews/p/a"})], 0)
        assert (await b.queue.status("a")).has_bundle
        receipt = await replace(b)
        assert (receipt.state, receipt.replaced) == (JobState.WAITING, JobState.COMPLETED)
        record = await b.queue.status("a")
        assert record.has_bundle
        assert record.previous_ms is not None
        assert (record.finished_ms, record.result) == (None, None)
        assert (record.claimed_ms, record.worker, record.progress) == (None, None, None), "of the old payload"
        assert record.as_json()["previousBundleAt"] is not None
        await b.worker().finish([completed_job(await b.claim_one(), {"bundle": "/previews/p/a"})], 0)
        assert (await b.queue.status("a")).previous_ms is None, "readers see the new one"
        snapshot = await b.snapshots.read()
        assert (snapshot.counters["completed"], snapshot.unaccounted) == (2, 0)


async def test_a_dry_run_leaves_no_bundle_to_read(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        from previewops.contract import validate

        await b.queue.submit(validate({**payload("a").raw, "dryRun": True}))
        await b.worker().finish([completed_job(await b.claim_one(), {"dryRun": True})], 0)
        await replace(b)
        assert not (await b.queue.status("a")).has_bundle


async def test_a_cancelled_job_and_a_dead_letter_run_again(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a", title="old"))
        await b.queue.cancel("a", who="ana")
        assert (await replace(b)).replaced is JobState.CANCELLED
        assert (await b.queue.status("a")).reason is None
        await b.queue.cancel("a", who="ana")
        await b.add_dead_letter("dead")
        receipt = await b.queue.submit(payload("dead", title="new"), REPLACE)
        assert receipt.replaced is JobState.DEAD
        record = await b.queue.status("dead")
        assert (record.state, record.fingerprint, record.requeues) == (JobState.WAITING, None, 1)
        assert (await b.snapshots.read()).dead == 0
        assert await is_accounted_for(b)


async def test_a_job_of_another_project_is_not_replaced(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a", project="p"))
        with pytest.raises(JobConflict) as conflict:
            await replace(b, project="q")
        assert conflict.value.hint.startswith("the option replace works within a project")
        assert (await b.queue.status("a")).project_id == "p"


async def test_a_job_that_runs_again_needs_room_in_queue_and_quota(redis_url: str) -> None:
    async with queue_fixture(redis_url, queue_max=1) as b:
        await b.queue.submit(payload("a", title="old"))
        await b.queue.cancel("a", who="ana")
        await b.queue.submit(payload("b"))
        with pytest.raises(QueueFull):
            await replace(b)
        assert (await b.queue.status("a")).state is JobState.CANCELLED
        assert (await b.queue.submit(payload("b", title="new"), REPLACE)).replaced is JobState.WAITING
    async with queue_fixture(redis_url) as b:
        quotas = [PendingQuota("app", 1, frozenset({"p"}))]
        await b.queue.submit_many([payload("c")], quotas=quotas)
        (result,) = await b.queue.submit_many([NEW], options=[REPLACE], quotas=quotas)
        assert isinstance(result, QuotaExceeded)


async def test_a_job_of_a_stock_client_is_replaced_if_its_payload_differs(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        stock = ArqRedis(
            unix_socket_path=redis_url.removeprefix("unix://"),
            job_serializer=json_bytes,
            default_queue_name=QUEUE,
        )
        await stock.enqueue_job("render_preview", NEW.raw, _job_id="a", _defer_by=3600)
        record = await b.queue.status("a")
        assert record.state is JobState.DELAYED
        assert record.due_ms is not None
        same = await replace(b)
        assert (same.new, same.state) == (False, JobState.DELAYED)
        other = await replace(b, "other")
        assert (other.state, other.replaced) == (JobState.DELAYED, JobState.DELAYED)
        assert (await b.queue.status("a")).due_ms == record.due_ms, "its own time stays"
        await stock.aclose()
        assert await is_accounted_for(b)


async def test_without_options_the_lean_script_runs(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []
    execute = Redis.execute_command

    async def record(self: Redis, *args: Any, **options: Any) -> Any:
        commands.append(str(args[1]))
        return await execute(self, *args, **options)

    async with queue_fixture(redis_url) as b:
        monkeypatch.setattr(Redis, "execute_command", record)
        await b.queue.submit(payload("a"))
        await b.queue.submit_many([payload("b"), payload("c")])
        await replace(b)
    plain, with_options = commands[0], commands[-1]
    assert plain != with_options
    assert plain in commands[1:-1]
