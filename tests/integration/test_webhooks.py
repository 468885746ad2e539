"""Webhooks: queued with the end of a job, signed, repeated until they are accepted, never lost."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from standardwebhooks import Webhook, WebhookVerificationError

from previewops.contract import validate
from previewops.doctor.doctor import Doctor
from previewops.host_patterns import HostPattern
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.queue import Queue
from previewops.queue.webhooks import MAX_AGE_MS, Webhooks, read_webhook_secret
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.tasks import cancel_and_wait
from previewops.worker.webhooks.delivery import Delivery, DeliveryFailed, DeliveryRejected
from previewops.worker.webhooks.sender import RETRY_MS, WebhookSender, build_body
from tests.api_support import require_problem, serve_api
from tests.integration.cli_program import Program, QueueDriver, payload

pytestmark = pytest.mark.redis

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "http://127.0.0.1:{port}/hook?key=hidden"


class Inbox:
    """A receiver. ``reply`` returns the status for the n-th request, from 1."""

    def __init__(self, reply: Callable[[int], int] = lambda _number: 204) -> None:
        self.requests: list[tuple[dict[str, str], str]] = []
        self._reply = reply
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except asyncio.IncompleteReadError:  # the sender was cancelled
            writer.close()
            return
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        self.requests.append((headers, body))
        status = self._reply(len(self.requests))
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    def verified(self) -> list[dict[str, Any]]:
        """The bodies, each checked with the library of the specification."""
        return [Webhook(SECRET).verify(body, headers) for headers, body in self.requests]


@asynccontextmanager
async def receiving(inbox: Inbox) -> AsyncIterator[Inbox]:
    server = await asyncio.start_server(inbox.handle, "127.0.0.1", 0)
    inbox.port = server.sockets[0].getsockname()[1]
    async with server:
        yield inbox


class Scene:
    """A queue and its webhooks."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis, self.settings = redis, settings
        self.driver = QueueDriver(redis, settings)
        self.webhooks = Webhooks(redis, settings)
        self.queue = Queue(redis, settings)
        self.dead_letters = DeadLetters(redis, settings)

    def sender(self, inbox: Inbox, **changes: Any) -> WebhookSender:
        delivery = Delivery(SECRET, URL.format(port=inbox.port))
        options = {"all_jobs": True, "poll_s": 0.01, **changes}
        return WebhookSender(self.webhooks, self.queue, delivery, random.Random(1), **options)

    async def enable(self, *, all_jobs: bool = True) -> None:
        await self.webhooks.claim(0, all_jobs=all_jobs)

    async def waiting(self) -> list[str]:
        return [message.job_id for message in (await self.webhooks.list_messages(failed=False)).messages]

    async def make_due(self) -> None:
        keys = self.queue.keys
        for member in await self.redis.zrange(keys.webhooks, 0, -1):
            await self.redis.zadd(keys.webhooks, {member: 0})


@pytest.fixture
async def scene(redis_url: str) -> AsyncIterator[Scene]:
    redis = connect(redis_url, role="test")
    yield Scene(redis, Settings(queue_max=10_000))
    await redis.aclose()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - a state in Redis
            await asyncio.sleep(0.01)


async def test_every_end_is_sent_once_and_signed(scene: Scene) -> None:
    await scene.enable()
    await scene.driver.complete("done")
    await scene.driver.add_dead_letters("dead")
    await scene.driver.submit(payload("gone"))
    await scene.queue.cancel("gone", who="ann", reason="typo")
    async with receiving(Inbox()) as inbox:
        sending = asyncio.create_task(scene.sender(inbox).run())
        await until(lambda: _is_empty(scene))
        await cancel_and_wait([sending])
    bodies = inbox.verified()
    assert {(body["type"], body["data"]["jobId"]) for body in bodies} == {
        ("preview.completed", "done"),
        ("preview.dead", "dead"),
        ("preview.cancelled", "gone"),
    }
    assert {headers["webhook-id"] for headers, _ in inbox.requests} != {""}
    dead = next(body["data"] for body in bodies if body["type"] == "preview.dead")
    assert dead["errorCode"]
    assert "history" not in dead
    headers, body = inbox.requests[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + " ", headers)


async def _is_empty(scene: Scene) -> bool:
    return await scene.waiting() == []


async def test_without_a_sender_nothing_is_queued(scene: Scene) -> None:
    await scene.driver.complete("before")
    await scene.enable(all_jobs=False)
    await scene.driver.complete("without-receiver")
    assert await scene.waiting() == []
    job = payload("own")
    job["previewRequest"]["options"] = {"webhook": "https://app.example/hook"}
    await _complete(scene, job)
    assert await scene.waiting() == ["own"]
    (message,) = (await scene.webhooks.list_messages(failed=False)).messages
    assert message.url == "https://app.example/hook"


async def _complete(scene: Scene, job: dict[str, Any]) -> None:
    await scene.queue.submit(validate(job))
    await scene.queue.cancel(job["jobId"], who="x")


async def test_a_failed_delivery_is_repeated_with_a_delay(scene: Scene) -> None:
    await scene.enable()
    await scene.driver.complete("a")
    async with receiving(Inbox(lambda number: (500, 302, 204)[number - 1])) as inbox:
        sender = scene.sender(inbox)
        for _ in range(3):
            await scene.make_due()
            (message,) = await scene.webhooks.claim(8, all_jobs=True)
            await sender.send(message)
    assert [json.loads(body)["type"] for _, body in inbox.requests] == ["preview.completed"] * 3
    assert len({headers["webhook-id"] for headers, _ in inbox.requests}) == 1, "a receiver can recognise it"
    assert await scene.waiting() == []
    assert (await scene.webhooks.list_messages(failed=True)).total == 0


async def test_after_a_day_it_is_listed_and_can_be_sent_again(scene: Scene, tmp_path: Path) -> None:
    await scene.enable()
    await scene.driver.complete("a")
    assert (await Doctor(scene.redis, scene.settings).examine()).count == 0, "a message is not a job"
    (message,) = await scene.webhooks.claim(1, all_jobs=True)
    await scene.webhooks.record_retry(message, "no answer", MAX_AGE_MS + 1)
    failed = await scene.webhooks.list_messages(failed=True)
    assert [(item.job_id, item.error, item.attempts) for item in failed.messages] == [("a", "no answer", 1)]
    events = await scene.redis.xrange(scene.queue.keys.events)
    assert [fields[b"job"] for _, fields in events if fields[b"kind"] == b"webhook-failed"] == [b"a"]
    assert await scene.webhooks.resend([], who="ann") == 1
    assert await scene.waiting() == ["a"]
    (again,) = await scene.webhooks.claim(1, all_jobs=True)
    await scene.webhooks.record_failed(again, "refused")
    assert await scene.webhooks.resend(["unknown", again.id], who="ann") == 1


async def test_a_late_attempt_changes_nothing(scene: Scene) -> None:
    await scene.enable()
    await scene.driver.complete("a")
    (first,) = await scene.webhooks.claim(1, all_jobs=True)
    assert await scene.webhooks.claim(1, all_jobs=True) == [], "it is being sent"
    await scene.make_due()
    (second,) = await scene.webhooks.claim(1, all_jobs=True)
    await scene.webhooks.record_failed(first, "late")
    assert (await scene.webhooks.list_messages(failed=True)).total == 0
    await scene.webhooks.record_sent(second)
    assert await scene.waiting() == []


async def test_no_message_is_lost_when_senders_are_killed(scene: Scene) -> None:
    """Senders are cancelled at any step, as a killed worker stops; receivers fail one time in three."""
    await scene.enable()
    jobs = [f"j{number}" for number in range(60)]
    for job in jobs:
        await scene.driver.complete(job)
    choose = random.Random(7)
    async with receiving(Inbox(lambda _number: choose.choice((204, 204, 503)))) as inbox:
        while await scene.waiting():
            sending = asyncio.create_task(scene.sender(inbox).run())
            enough = len(inbox.requests) + choose.randint(4, 20)
            await until(partial(_has_or_is_empty, scene, inbox, enough))
            await cancel_and_wait([sending])
            await scene.make_due()
    received = Counter(body["data"]["jobId"] for body in inbox.verified())
    assert set(received) == set(jobs)
    assert (await scene.webhooks.list_messages(failed=True)).total == 0


async def _has_or_is_empty(scene: Scene, inbox: Inbox, enough: int) -> bool:
    await scene.make_due()
    return len(inbox.requests) >= enough or await _is_empty(scene)


async def _grew(inbox: Inbox, before: int) -> bool:
    return len(inbox.requests) > before


@pytest.mark.parametrize(
    ("url", "addresses", "reason"),
    [
        ("https://elsewhere.example/", ["203.0.113.9"], "allowed app.example"),
        ("https://app.example:8443/", ["203.0.113.9"], "allowed app.example"),
        ("https://app.example/", ["127.0.0.1"], "resolves to 127.0.0.1"),
        ("https://app.example/", ["8.8.8.8", "10.0.0.1"], "resolves to 10.0.0.1"),
        ("https://app.example/", ["169.254.169.254"], "resolves to 169.254.169.254"),
        ("ftp://app.example/", ["8.8.8.8"], "invalid"),
    ],
)
async def test_receivers_of_jobs_are_listed_and_public(url: str, addresses: list[str], reason: str) -> None:
    delivery = Delivery(SECRET, None, (HostPattern("app.example"),), resolve=lambda _host, _port: addresses)
    with pytest.raises(DeliveryRejected, match=reason):
        await delivery.post("msg_1", url, "{}")


async def test_a_receiver_that_is_gone_is_not_asked_again() -> None:
    async with receiving(Inbox(lambda _number: 410)) as inbox:
        with pytest.raises(DeliveryRejected, match="410 Gone"):
            await Delivery(SECRET, URL.format(port=inbox.port)).post("msg_1", "", "{}")
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        await Delivery(SECRET, URL.format(port=inbox.port)).post("msg_1", "", "{}")


def test_delays_grow_to_two_hours() -> None:
    delays = [RETRY_MS.longest(attempt) for attempt in range(1, 40)]
    assert delays[:3] == [5_000, 10_000, 20_000]
    assert delays == sorted(delays)
    assert max(delays) == 7_200_000
    assert sum(delays) > MAX_AGE_MS


async def test_a_job_that_started_again_has_the_state_it_ended_in(scene: Scene) -> None:
    await scene.enable()
    await scene.driver.add_dead_letters("a")
    (message,) = await scene.webhooks.claim(1, all_jobs=True)
    await scene.dead_letters.requeue_with_payload("a", validate(payload("a")), who="ann")
    record = await scene.queue.status("a")
    assert build_body(message, record)["data"]["status"] == "dead"
    assert build_body(message, None)["data"]["jobId"] == "a"


async def test_commands_and_routes_list_and_resend(scene: Scene, redis_url: str, tmp_path: Path) -> None:
    await scene.enable()
    job = payload("a")
    job["previewRequest"]["options"] = {"webhook": "https://app.example/hook?key=hidden"}
    await _complete(scene, job)
    for message in await scene.webhooks.claim(2, all_jobs=True):
        await scene.webhooks.record_failed(message, "https://app.example/hook?key=hidden is away")
    program = Program(tmp_path, redis_url)
    listed = await asyncio.to_thread(program.run, "webhooks", "list", "--json")
    assert listed.json["total"] == 2
    assert "hidden" not in listed.out
    async with serve_api(redis_url, tmp_path, webhook_hosts=(HostPattern("app.example"),)) as api:
        shown = await api.client.get("/api/preview/webhooks", params={"limit": 1})
        assert (shown.json()["total"], len(shown.json()["messages"])) == (2, 1)
        assert "hidden" not in shown.text
        resent = await api.client.post("/api/preview/webhooks/resend", json={})
        assert resent.json() == {"resent": 2}
        problem = await api.client.post("/api/preview/webhooks/resend", json={"ids": []})
        require_problem(problem, 422, "bad-form")
        job["jobId"] = "b"
        job["previewRequest"]["options"]["webhook"] = "https://elsewhere.example"
        require_problem(await api.client.post("/api/preview/jobs", json=job), 422, "invalid-payload")
    again = await asyncio.to_thread(program.run, "webhooks", "resend")
    assert again.out == "0 queued again\n"


def test_the_secret_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    assert read_webhook_secret(replace(Settings(), webhook_secret_file=tmp_path / "secret")) == SECRET
    settings = Settings.from_env({"PREVIEW_WEBHOOK_SECRET": SECRET})
    assert read_webhook_secret(settings) == SECRET
    assert SECRET not in repr(settings)


def test_a_worker_without_a_secret_does_not_start(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url, {"PREVIEW_WEBHOOK_URL": "https://app.example/hook"})
    done = program.run("worker", "--burst")
    assert done.code == 2
    assert "PREVIEW_WEBHOOK_SECRET: found no secret" in done.err


async def test_a_worker_sends_webhooks(redis_url: str, tmp_path: Path, scene: Scene) -> None:
    async with receiving(Inbox()) as inbox:
        env = {"PREVIEW_WEBHOOK_URL": URL.format(port=inbox.port), "PREVIEW_WEBHOOK_SECRET": SECRET}
        program = Program(tmp_path, redis_url, env)
        worker = program.start("worker")
        try:
            await until(lambda: _announced(scene))
            job = await asyncio.to_thread(program.run, "submit", "-", stdin=json.dumps(payload("a")).encode())
            assert job.code == 0, job.err
            await until(lambda: _grew(inbox, 0))
        finally:
            worker.terminate()
            await asyncio.to_thread(worker.wait, 60)
    (body,) = inbox.verified()
    assert (body["type"], body["data"]["jobId"]) == ("preview.completed", "a")
    assert body["data"]["artifacts"]


async def _announced(scene: Scene) -> bool:
    return bool(await scene.redis.hexists(scene.queue.keys.meta, "webhooks_until"))
