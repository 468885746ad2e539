"""Batches through the REST API, the Python client, the command line and webhooks."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from previewops.client import AsyncClient, BatchTimeout, Client
from previewops.queue.batch_errors import BatchClosed, BatchConflict, BatchNotFound, InvalidBatchId
from previewops.queue.batches import BatchState
from previewops.queue.queue import Queue, Receipt
from previewops.queue.webhooks import Webhooks
from previewops.settings import Settings
from previewops.tasks import cancel_and_wait
from previewops.worker.webhooks.delivery import Delivery
from previewops.worker.webhooks.sender import WebhookSender
from tests.api_support import JOBS, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import Program, payload, queue_driver
from tests.webhook_receiver import SECRET, Inbox, receiving

pytestmark = pytest.mark.redis

BATCHES = "/api/preview/batches"
LINES = {"content-type": "application/jsonl"}


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path) as served:
        yield served


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(queue_max=5, data_dir=tmp_path / "data")


def lines(*job_ids: str) -> bytes:
    return "\n".join(json.dumps(payload(job_id)) for job_id in job_ids).encode()


async def read(api: ApiUnderTest, batch_id: str = "b") -> dict[str, Any]:
    response = await api.client.get(f"{BATCHES}/{batch_id}")
    assert response.status_code == 200
    return dict(response.json())


async def test_a_batch_over_http(api: ApiUnderTest) -> None:
    assert (await api.client.post(f"{JOBS}?batchId=b", json=payload("a"))).status_code == 202
    assert (await read(api))["status"] == "open"
    response = await api.client.post(f"{JOBS}?batchId=b&closeBatch=1", content=lines("c", "d"), headers=LINES)
    assert [json.loads(line)["status"] for line in response.text.splitlines()] == [202, 202]
    batch = await read(api)
    assert (batch["status"], batch["total"], batch["progress"]) == ("running", 3, 0)
    closed = await api.client.post(f"{JOBS}?batchId=b", json=payload("late"))
    assert "late" in require_problem(closed, 409, "batch-closed")["detail"]
    (claim,) = await api.queue_driver.claim()
    await api.queue_driver.dead_letter_claim(claim, code="broken", message="it broke")
    page = (await api.client.get(f"{JOBS}?batch=b&state=dead")).json()
    assert [(row["jobId"], row["batchId"]) for row in page["jobs"]] == [("a", "b")]
    first = (await api.client.get(f"{JOBS}?batch=b&limit=2")).json()
    rest = (await api.client.get(f"{JOBS}?batch=b&limit=2&cursor={first['next']}")).json()
    assert [row["jobId"] for row in first["jobs"] + rest["jobs"]] == ["d", "c", "a"]
    cancelled = (await api.client.delete(f"{BATCHES}/b?reason=typo")).json()
    assert cancelled["cancelled"] == 2
    assert cancelled["batch"] == await read(api)
    assert cancelled["batch"]["counts"] == {"pending": 0, "completed": 0, "dead": 1, "cancelled": 2}
    assert cancelled["batch"]["status"] == "completed"
    assert "typo" in (await api.backend.queue.status("c")).as_json()["failedReason"]


async def test_a_request_with_a_rejected_line_leaves_its_batch_open(api: ApiUnderTest) -> None:
    broken = lines("a") + b"\n{}"
    await api.client.post(f"{JOBS}?batchId=b&closeBatch=1", content=broken, headers=LINES)
    assert (await read(api))["status"] == "open"
    await api.client.post(f"{JOBS}?batchId=b&closeBatch=1", content=lines("a"), headers=LINES)
    assert (await read(api))["status"] == "running"
    response = await api.client.post(f"{BATCHES}/b/close", json={})
    assert response.json() == await read(api)


async def test_invalid_batches_over_http(api: ApiUnderTest) -> None:
    job = payload("a")
    require_problem(await api.client.post(f"{JOBS}?batchId=../x", json=job), 422, "invalid-batch-id")
    require_problem(await api.client.post(f"{JOBS}?closeBatch=1", json=job), 400, "bad-parameter")
    for response in (
        await api.client.get(f"{BATCHES}/none"),
        await api.client.post(f"{BATCHES}/none/close", json={}),
        await api.client.delete(f"{BATCHES}/none"),
    ):
        require_problem(response, 404, "no-such-batch")
    assert (await api.client.get(f"{JOBS}?batch=none")).json()["jobs"] == []


async def test_a_batch_of_the_client(redis_url: str, settings: Settings) -> None:
    async with AsyncClient(redis_url, settings=settings) as client, queue_driver(redis_url) as driver:
        results = await client.submit_many([payload(name) for name in "abcdef"], batch="b")
        assert [isinstance(result, Receipt) for result in results] == [True] * 5 + [False]
        assert (await client.batch("b")).state is BatchState.OPEN, "a job was rejected"
        for claim in await driver.claim(5):
            await driver.finish(claim)
        await client.submit_many([payload(name) for name in "abcdef"], batch="b")
        batch = await client.batch("b")
        assert (batch.state, batch.total, batch.pending) == (BatchState.RUNNING, 6, 1)
        with pytest.raises(BatchTimeout) as timeout:
            await client.wait_batch("b", timeout_s=0)
        assert timeout.value.batch == batch
        waiting = asyncio.create_task(client.wait_batch("b", timeout_s=60))
        for claim in await driver.claim(1):
            await driver.finish(claim)
        assert (await waiting).completed == 6
        with pytest.raises(BatchClosed):
            await client.submit(payload("late"), batch="b")
        with pytest.raises(BatchNotFound):
            await client.wait_batch("none")
        with pytest.raises(InvalidBatchId):
            await client.submit(payload("late"), batch="a b")


def test_a_batch_of_the_client_for_threads(redis_url: str, settings: Settings) -> None:
    with Client(redis_url, settings=settings) as client:
        client.submit(payload("a"), batch="b")
        client.submit_many([payload("c")], batch="b", close_batch=False)
        assert client.batch("b").state is BatchState.OPEN
        (conflict,) = client.submit_many([payload("other", project="another")], batch="b")
        assert isinstance(conflict, BatchConflict)
        assert client.close_batch("b").state is BatchState.RUNNING
        assert client.cancel_batch("b", reason="typo") == 2
        assert client.wait_batch("b").cancelled == 2
        client.submit_many([payload("a"), payload("c")], batch="empty")
        assert client.wait_batch("empty").total == 0, "jobs that exist stay in their batch"


def test_a_batch_on_the_command_line(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    files = [program.write(f"{name}.json", payload(name)) for name in ("a", "c")]
    assert program.run("submit", files[0], "--batch", "b", "--keep-open").code == 0
    assert program.run("batch", "show", "b", "--json").json["status"] == "open"
    assert program.run("submit", *files, "--batch", "b").code == 0
    shown = program.run("batch", "show", "b").out
    assert "running" in shown
    assert program.run("batch", "wait", "b", "--timeout", "0").code == 75
    assert "b" in program.run("status", "a").out
    listed = program.run("jobs", "--batch", "b", "--json").json["jobs"]
    assert [job["jobId"] for job in listed] == ["c", "a"]
    assert program.run("batch", "cancel", "b", "--reason", "typo").out == "cancelled 2 jobs of b\n"
    ended = program.run("batch", "wait", "b", "--json")
    assert (ended.code, ended.json["counts"]["cancelled"]) == (1, 2)
    late = program.run("submit", program.write("late.json", payload("late")), "--batch", "b", "--json")
    assert (late.code, late.json_lines[0]["error"]) == (1, "batch-closed")
    assert "stays open" not in late.err
    bad = program.write("bad.json", {"jobId": "bad"})
    assert "stays open" not in program.run("submit", bad, "--batch", "n").err, "no job has created it"
    mixed = program.run("submit", bad, program.write("good.json", payload("good")), "--batch", "n")
    assert "batch close n" in mixed.err
    assert program.run("batch", "close", "none").code == 1
    assert program.run("submit", *files, "--batch", "-").code == 2
    assert program.run("submit", *files, "--keep-open").code == 2
    assert program.run("jobs", "--batch", "b", "--filter", "x").code == 2
    assert program.run("jobs", "--batch", "a b").code == 2


async def test_known_jobs_do_not_close_the_batch_of_another_project(
    api: ApiUnderTest, redis_url: str, tmp_path: Path
) -> None:
    known = {**payload("known"), "projectId": "other"}
    assert (await api.client.post(JOBS, json=known)).status_code == 202
    assert (await api.client.post(f"{JOBS}?batchId=b", json=payload("a"))).status_code == 202
    response = await api.client.post(f"{JOBS}?batchId=b&closeBatch=1", json=known)
    require_problem(response, 409, "batch-conflict")
    program = Program(tmp_path, redis_url)
    run = await asyncio.to_thread(program.run, "submit", program.write("known.json", known), "--batch", "b")
    assert (run.code, "another project" in run.err) == (1, True)
    assert (await read(api))["status"] == "open"


async def test_a_form_of_a_page_cannot_close_a_batch(api: ApiUnderTest) -> None:
    assert (await api.client.post(f"{JOBS}?batchId=b", json=payload("a"))).status_code == 202
    close = f"{BATCHES}/b/close"
    require_problem(await api.client.post(close), 415, "unsupported-media-type")
    require_problem(await api.client.post(close, data={"x": "1"}), 415, "unsupported-media-type")
    require_problem(await api.client.post(close, json={"x": 1}), 422, "bad-form")
    assert (await read(api))["status"] == "open"
    assert (await api.client.post(close, json={})).json()["status"] == "running"


async def test_one_webhook_about_the_end_of_a_batch(redis_url: str, settings: Settings) -> None:
    job = payload("a")
    job["previewRequest"]["options"] = {"webhook": "https://app.example/hook"}
    async with queue_driver(redis_url) as driver, receiving(Inbox()) as inbox:
        allowed = replace(settings, webhook_hosts=())
        webhooks = Webhooks(driver.redis, allowed)
        await webhooks.claim(0, all_jobs=True)
        async with AsyncClient(redis_url, settings=allowed) as client:
            await client.submit_many([job, payload("c")], batch="b")
            for claim in await driver.claim(2):
                await driver.finish(claim)
            batch = await client.batch("b")
        listed = (await webhooks.list_messages(failed=False)).messages
        about = [(message.url, message.as_json()["batchId"]) for message in listed if message.batch_id]
        assert about == [("", "b"), ("https://app.example/hook", "b")], "also the receiver that a job names"
        sender = WebhookSender(
            webhooks,
            Queue(driver.redis, allowed),
            Delivery(SECRET, inbox.url),
            random.Random(1),
            all_jobs=True,
            poll_s=0.01,
        )
        sending = asyncio.create_task(sender.run())
        async with asyncio.timeout(60):
            while len(inbox.requests) < 3:  # noqa: ASYNC110 - a state of the receiver
                await asyncio.sleep(0.01)
        await cancel_and_wait([sending])
    bodies = [body for body in inbox.verified() if body["type"] == "batch.completed"]
    assert [body["data"] for body in bodies] == [batch.as_json()]
    assert batch.as_json()["counts"]["completed"] == 2
