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
from previewops.queue.webhook_messages import WebhookBacklog
from previewops.queue.webhooks import MAX_AGE_MS, Webhooks, read_webhook_secret
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.tasks import cancel_and_wait
from previewops.tui.commands.commands import CommandOutcome, ResendWebhooks
from previewops.tui.data.live.connection import QueueConnection
from previewops.tui.data.live.executor import LiveExecutor
from previewops.tui.data.live.source import LiveSource
from previewops.worker.webhooks.delivery import Delivery, DeliveryFailed, DeliveryRejected
from previewops.worker.webhooks.sender import MAX_CONCURRENT, RETRY_MS, WebhookSender, build_body
from tests.api_support import require_problem, serve_api
from tests.integration.cli_program import Program, QueueDriver, payload
from tests.webhook_receiver import SECRET, Inbox, receiving

pytestmark = pytest.mark.redis


class Scene:
    """A queue and its webhooks."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis, self.settings = redis, settings
        self.driver = QueueDriver(redis, settings)
        self.webhooks = Webhooks(redis, settings)
        self.queue = Queue(redis, settings)
        self.dead_letters = DeadLetters(redis, settings)

    def sender(self, inbox: Inbox, **changes: Any) -> WebhookSender:
        delivery = Delivery(SECRET, inbox.url)
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
            (message,) = (await scene.webhooks.claim(8, all_jobs=True)).messages
            await sender.send(message)
    assert [json.loads(body)["type"] for _, body in inbox.requests] == ["preview.completed"] * 3
    assert len({headers["webhook-id"] for headers, _ in inbox.requests}) == 1, "a receiver can recognise it"
    assert await scene.waiting() == []
    assert (await scene.webhooks.list_messages(failed=True)).total == 0


async def test_after_a_day_it_is_listed_and_can_be_sent_again(scene: Scene, tmp_path: Path) -> None:
    await scene.enable()
    await scene.driver.complete("a")
    assert (await Doctor(scene.redis, scene.settings).examine()).count == 0, "a message is not a job"
    (message,) = (await scene.webhooks.claim(1, all_jobs=True)).messages
    await scene.webhooks.record_retry(message, "no answer", MAX_AGE_MS + 1)
    failed = await scene.webhooks.list_messages(failed=True)
    assert [(item.job_id, item.error, item.attempts) for item in failed.messages] == [("a", "no answer", 1)]
    events = await scene.redis.xrange(scene.queue.keys.events)
    assert [fields[b"job"] for _, fields in events if fields[b"kind"] == b"webhook-failed"] == [b"a"]
    assert await scene.webhooks.resend([], who="ann") == 1
    assert await scene.waiting() == ["a"]
    (again,) = (await scene.webhooks.claim(1, all_jobs=True)).messages
    await scene.webhooks.record_failed(again, "refused")
    assert await scene.webhooks.resend(["unknown", again.id], who="ann") == 1


async def test_the_backlog_has_the_age_of_the_oldest(scene: Scene) -> None:
    assert await scene.webhooks.backlog() == WebhookBacklog(0, 0, 0)
    await scene.enable()
    for number in range(50):
        await scene.driver.complete(f"j{number}")
    messages = (await scene.webhooks.list_messages(failed=False)).messages
    await scene.webhooks.claim(1, all_jobs=True)
    (oldest,) = [message for message in messages if message.job_id == "j0"]
    await scene.webhooks.record_retry(replace(oldest, attempts=1), "no answer", 7_200_000)
    hash_key = f"{scene.queue.keys.webhook_prefix}{oldest.id}"
    since_ms = int(await scene.redis.hget(hash_key, "since") or 0)
    await scene.redis.hset(hash_key, "since", since_ms - 3_600_000)
    backlog = await scene.webhooks.backlog()
    assert (backlog.failed, backlog.waiting) == (0, 50)
    assert backlog.oldest_ms >= 3_600_000


async def test_a_late_attempt_changes_nothing(scene: Scene) -> None:
    await scene.enable()
    await scene.driver.complete("a")
    (first,) = (await scene.webhooks.claim(1, all_jobs=True)).messages
    assert (await scene.webhooks.claim(1, all_jobs=True)).messages == (), "it is being sent"
    await scene.make_due()
    (second,) = (await scene.webhooks.claim(1, all_jobs=True)).messages
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


class HeldPoster:
    """Receivers that respond when the test releases them."""

    def __init__(self, *held: str) -> None:
        self.under_way: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._release = {url: asyncio.Semaphore(0) for url in held}

    async def post(self, message_id: str, url: str, body: str) -> None:
        self.under_way[url] += 1
        if url in self._release:
            await self._release[url].acquire()
        self.under_way[url] -= 1
        self.sent[url] += 1

    def release(self, url: str, count: int) -> None:
        for _ in range(count):
            self._release[url].release()

    async def has_under_way(self, counts: dict[str, int]) -> bool:
        return {url: count for url, count in self.under_way.items() if count} == counts

    async def has_sent(self, url: str, count: int) -> bool:
        return self.sent[url] == count


@asynccontextmanager
async def sending(scene: Scene, poster: HeldPoster, *, poll_s: float) -> AsyncIterator[None]:
    sender = WebhookSender(
        scene.webhooks, scene.queue, poster, random.Random(3), all_jobs=False, poll_s=poll_s
    )
    task = asyncio.create_task(sender.run())
    yield
    await cancel_and_wait([task])


async def _queue_messages(scene: Scene, url: str, *jobs: str) -> None:
    for job in jobs:
        document = payload(job)
        document["previewRequest"]["options"] = {"webhook": url}
        await _complete(scene, document)


SLOW, SLOW_TOO, QUICK = (f"https://{name}.example/hook" for name in ("slow", "slow-too", "quick"))


async def test_slots_are_filled_as_soon_as_receivers_respond(scene: Scene) -> None:
    """The loop looks for messages once an hour here, so each freed slot has to make it look at once."""
    await scene.enable(all_jobs=False)
    await _queue_messages(scene, SLOW, *(f"a{n}" for n in range(40)))
    poster = HeldPoster(SLOW)
    async with sending(scene, poster, poll_s=3_600):
        await until(lambda: poster.has_under_way({SLOW: MAX_CONCURRENT // 2}))
        for done in (10, 20, 40):
            poster.release(SLOW, done - poster.sent[SLOW])
            await until(partial(poster.has_sent, SLOW, done))
            await until(partial(poster.has_under_way, {SLOW: min(16, 40 - done)} if done < 40 else {}))


async def test_slow_receivers_leave_slots_for_others(scene: Scene) -> None:
    await scene.enable(all_jobs=False)
    await _queue_messages(scene, SLOW, *(f"a{n}" for n in range(100)))
    await _queue_messages(scene, QUICK, "between")
    await _queue_messages(scene, SLOW_TOO, *(f"b{n}" for n in range(100)))
    await _queue_messages(scene, QUICK, "last")
    poster = HeldPoster(SLOW, SLOW_TOO)
    async with sending(scene, poster, poll_s=0.01):
        await until(partial(poster.has_sent, QUICK, 2))
        await until(lambda: _has_both(poster))
        await _queue_messages(scene, QUICK, "next")
        await until(partial(poster.has_sent, QUICK, 3))
    assert poster.sent[SLOW] == poster.sent[SLOW_TOO] == 0
    assert sum(poster.under_way.values()) < MAX_CONCURRENT


async def _has_both(poster: HeldPoster) -> bool:
    return poster.under_way[SLOW] == MAX_CONCURRENT // 2 and poster.under_way[SLOW_TOO] == MAX_CONCURRENT // 4


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("", ""),
        ("https://app.example/hook?job=1", "https://app.example"),
        ("http://app.example:8080", "http://app.example:8080"),
        ("https://app.example?key=/x", "https://app.example"),
        ("https://[2001:db8::1]:8443/x#y", "https://[2001:db8::1]:8443"),
    ],
)
async def test_python_and_lua_agree_about_receivers(scene: Scene, url: str, receiver: str) -> None:
    await scene.enable(all_jobs=not url)
    await _queue_messages(scene, url or "https://app.example/hook", "a")
    for message in (await scene.webhooks.claim(8, all_jobs=not url)).messages:
        if message.url == url:
            assert message.receiver == receiver
    await scene.make_due()
    assert not [
        message
        for message in (await scene.webhooks.claim(8, all_jobs=not url, under_way={receiver: 8})).messages
        if message.url == url
    ]


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
            await Delivery(SECRET, inbox.url).post("msg_1", "", "{}")
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        await Delivery(SECRET, inbox.url).post("msg_1", "", "{}")


def test_delays_grow_to_two_hours() -> None:
    delays = [RETRY_MS.longest(attempt) for attempt in range(1, 40)]
    assert delays[:3] == [5_000, 10_000, 20_000]
    assert delays == sorted(delays)
    assert max(delays) == 7_200_000
    assert sum(delays) > MAX_AGE_MS


async def test_a_job_that_started_again_has_the_state_it_ended_in(scene: Scene) -> None:
    await scene.enable()
    await scene.driver.add_dead_letters("a")
    (message,) = (await scene.webhooks.claim(1, all_jobs=True)).messages
    await scene.dead_letters.requeue_with_payload("a", validate(payload("a")), who="ann")
    record = await scene.queue.status("a")
    assert build_body(message, record)["data"]["status"] == "dead"
    assert build_body(message, None)["data"]["jobId"] == "a"


async def test_commands_and_routes_list_and_resend(scene: Scene, redis_url: str, tmp_path: Path) -> None:
    await scene.enable()
    job = payload("a")
    job["previewRequest"]["options"] = {"webhook": "https://app.example/hook?key=hidden"}
    await _complete(scene, job)
    for message in (await scene.webhooks.claim(2, all_jobs=True)).messages:
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


async def test_the_screen_lists_and_resends(scene: Scene, redis_url: str) -> None:
    await scene.enable()
    await scene.driver.complete(*(f"j{number}" for number in range(3)))
    for message in (await scene.webhooks.claim(8, all_jobs=True)).messages:
        await scene.webhooks.record_failed(message, "gone")
    link = QueueConnection(redis_url, scene.settings, who="ada@ops")
    source, executor = LiveSource(link), LiveExecutor(link)
    assert (await source.webhooks(failed=True, limit=1)).total == 3

    async def ignore(_done: int, _total: int) -> None:
        pass

    outcome = await executor.execute(ResendWebhooks(2), ignore)
    assert outcome == CommandOutcome("2 webhooks queued again.")
    assert await executor.execute(ResendWebhooks(2), ignore) == CommandOutcome("1 webhook queued again.")
    assert (await source.webhooks(failed=False, limit=9)).total == 3
    events = await scene.redis.xrange(scene.queue.keys.events)
    assert [fields[b"who"] for _, fields in events if fields[b"kind"] == b"webhooks-resent"] == [
        b"ada@ops"
    ] * 2
    await link.aclose()


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
        env = {"PREVIEW_WEBHOOK_URL": inbox.url, "PREVIEW_WEBHOOK_SECRET": SECRET}
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
