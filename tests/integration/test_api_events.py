"""Server-sent events of a job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import structlog

from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.records import JobRecord
from tests.api_support import JOBS, ApiUnderTest, require_problem, serve_api
from tests.integration.cli_program import payload

pytestmark = pytest.mark.redis


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path) as served:
        yield served


class Stream:
    """One event stream, read event by event without HTTP."""

    def __init__(self, api: ApiUnderTest, path: str, headers: dict[str, str] | None = None) -> None:
        self._gone = asyncio.Event()
        self._sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.status = 0
        self._began = asyncio.Event()
        fields = {"host": "localhost", **(headers or {})}
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1), "server": ("localhost", 80), "scheme": "http", "root_path": "",
            "http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"},
        }  # fmt: skip
        self.task = asyncio.create_task(api.app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._began.set()
        else:
            self._sent.put_nowait(message.get("body", b""))
            if not message.get("more_body"):
                self._sent.put_nowait(None)

    async def began(self) -> int:
        await self._began.wait()
        return self.status

    async def next(self) -> tuple[str, Any]:
        """Returns name and data of the next event; ("", None) at the end."""
        while (piece := await self._sent.get()) is not None:
            fields = dict(line.split(": ", 1) for line in piece.decode().strip().splitlines() if line)
            if "event" in fields:
                return fields["event"], json.loads(fields["data"])
            if "" in fields:
                return "comment", fields[""]
        return "", None

    async def leave(self) -> None:
        self._gone.set()
        await self.task


async def test_a_job_is_followed_from_waiting_to_its_end(api: ApiUnderTest) -> None:
    await api.queue_driver.submit(payload("a"))
    stream = Stream(api, f"{JOBS}/a/events")
    name, event = await stream.next()
    assert (name, event["status"], event["progress"]) == ("progress", "waiting", 0.0)
    (claim,) = await api.queue_driver.claim()
    name, event = await stream.next()
    assert (name, event["status"], event["worker"]) == ("progress", "active", "driver")
    await api.queue_driver.finish(claim, {"bundle": "x", "artifacts": []})
    name, event = await stream.next()
    assert (name, event["status"], event["progress"]) == ("end", "completed", 1.0)
    assert event == (await api.backend.queue.status("a")).as_json()
    assert await stream.next() == ("", None)
    await stream.task


async def test_ended_job_has_one_end_event(api: ApiUnderTest) -> None:
    await api.queue_driver.complete("a")
    response = await api.client.get(f"{JOBS}/a/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [line for line in response.text.splitlines() if line.startswith(("event", "id"))] == [
        "event: end",
        "id: end",
    ]
    # A browser reconnects until it gets 204.
    again = await api.client.get(f"{JOBS}/a/events", headers={"last-event-id": "end"})
    assert (again.status_code, again.content) == (204, b"")


async def test_requeued_job_is_followed_after_its_end_event(api: ApiUnderTest) -> None:
    await api.queue_driver.submit(payload("a"))
    stream = Stream(api, f"{JOBS}/a/events", {"last-event-id": "end"})
    assert (await stream.next())[1]["status"] == "waiting"
    await stream.leave()


async def test_a_discarded_job_is_gone(api: ApiUnderTest) -> None:
    await api.queue_driver.submit(payload("a"))
    stream = Stream(api, f"{JOBS}/a/events")
    await stream.next()
    await api.queue_driver.redis.flushall()
    assert await stream.next() == ("gone", {"jobId": "a"})
    await stream.task


async def test_job_requeued_between_two_polls_is_followed(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.queue_driver.submit(payload("a"))
    stream = Stream(api, f"{JOBS}/a/events")
    await stream.next()
    status = api.backend.queue.status

    async def requeued_first(job_id: str) -> JobRecord:
        monkeypatch.undo()
        await api.backend.dead_letters.requeue(DeadLetterFilter((job_id,)), who="ann", reason="")
        return await status(job_id)

    monkeypatch.setattr(api.backend.queue, "status", requeued_first)
    (claim,) = await api.queue_driver.claim()
    await api.queue_driver.dead_letter_claim(claim, code="asset-missing", message="gone")
    event = await stream.next()
    while event[1]["status"] == "active":
        event = await stream.next()
    assert (event[0], event[1]["status"]) == ("progress", "waiting")
    (claim,) = await api.queue_driver.claim()
    await api.queue_driver.finish(claim)
    while event[0] == "progress":
        event = await stream.next()
    assert (event[0], event[1]["status"]) == ("end", "completed")
    await stream.task


async def test_unreadable_record_does_not_affect_other_listeners(api: ApiUnderTest) -> None:
    await api.queue_driver.submit(payload("bad"), payload("good"))
    streams = {job_id: Stream(api, f"{JOBS}/{job_id}/events") for job_id in ("bad", "good")}
    for stream in streams.values():
        await stream.next()
    bad = api.backend.queue.keys.job_prefix + "bad"
    with structlog.testing.capture_logs() as log:
        claims = {claim.job_id: claim for claim in await api.queue_driver.claim(2)}
        await api.queue_driver.redis.execute_command("HSET", bad, "state", "xx")
        await api.queue_driver.finish(claims["good"])
        event = await streams["good"].next()
        while event[0] == "progress":
            event = await streams["good"].next()
        assert event[0] == "end"
        await api.queue_driver.redis.execute_command("HSET", bad, "state", "active")
        await api.queue_driver.finish(claims["bad"])
        event = await streams["bad"].next()
        while event[0] == "progress":
            event = await streams["bad"].next()
        assert event[0] == "end"
    blind = [line for line in log if line["event"] == "api.watch-failed"]
    assert [(line["jobId"], line["log_level"]) for line in blind] == [("bad", "error")]


async def test_unexpected_error_does_not_end_polling(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.queue_driver.submit(payload("a"))
    stream = Stream(api, f"{JOBS}/a/events")
    await stream.next()

    async def broken(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("a bug")

    with structlog.testing.capture_logs() as log:
        monkeypatch.setattr(api.backend.queue, "records", broken)
        await api.queue_driver.claim()
        assert (await stream.next())[1]["status"] == "active"
    (blind,) = (line for line in log if line["event"] == "api.watch-failed")
    assert (blind["log_level"], blind["error"], blind["exc_info"]) == ("error", "a bug", True)
    await stream.leave()


async def test_idle_stream_sends_keep_alive_comments(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, heartbeat_s=0.01) as api:
        await api.queue_driver.submit(payload("a"))
        stream = Stream(api, f"{JOBS}/a/events")
        assert (await stream.next())[0] == "progress"
        assert (await stream.next())[0] == (await stream.next())[0] == "comment"
        await stream.leave()


async def test_listeners_share_polls(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path) as api:
        await api.queue_driver.submit(payload("a"), payload("b"))
        streams = [Stream(api, f"{JOBS}/{job_id}/events") for job_id in ("a", "b") * 20]
        for stream in streams:
            await stream.next()
        pings = await api.backend.redis.info("stats")
        connections = pings["total_connections_received"]
        for claim in await api.queue_driver.claim(2):
            await api.queue_driver.finish(claim)
        for stream in streams:
            event = await stream.next()
            while event[0] == "progress":
                event = await stream.next()
            assert event[0] == "end"
            await stream.task
        later = await api.backend.redis.info("stats")
        assert later["total_connections_received"] - connections <= 33


async def test_number_of_streams_is_limited(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path, api_streams=2) as api:
        await api.queue_driver.submit(payload("a"))
        streams = [Stream(api, f"{JOBS}/a/events") for _ in range(2)]
        assert [await stream.began() for stream in streams] == [200, 200]
        rejected = await api.client.get(f"{JOBS}/a/events")
        assert "allowed 2" in require_problem(rejected, 503, "overloaded")["detail"]
        await streams[0].leave()
        another = Stream(api, f"{JOBS}/a/events")
        assert await another.began() == 200
        for stream in (streams[1], another):
            await stream.leave()


async def leave_room(api: ApiUnderTest, greedy: dict[str, str], other: dict[str, str], holder: str) -> None:
    """One client takes its half of four streams and no more; another client gets one of the others."""
    await api.queue_driver.submit(payload("a"))
    path = f"{JOBS}/a/events"
    streams = [Stream(api, path, greedy) for _ in range(2)]
    assert [await stream.began() for stream in streams] == [200, 200]
    rejected = await api.client.get(path, headers=greedy)
    detail = require_problem(rejected, 503, "overloaded")["detail"]
    assert detail == f"event streams of {holder}: found 2 open, allowed 2"
    streams.append(Stream(api, path, other))
    assert await streams[-1].began() == 200
    await streams[0].leave()
    streams.append(Stream(api, path, greedy))
    assert await streams[-1].began() == 200
    for stream in streams[1:]:
        await stream.leave()


async def test_read_token_holds_a_share_of_the_streams(redis_url: str, tmp_path: Path) -> None:
    tokens = {"api_token": "acting-token-0123456789", "api_read_token": "looking-token-0123456789"}
    acting, reading = ({"authorization": f"Bearer {token}"} for token in tokens.values())
    async with serve_api(redis_url, tmp_path, api_streams=4, **tokens) as api:
        await leave_room(api, reading, acting, "the read-only token")


async def test_client_behind_a_proxy_holds_a_share_of_the_streams(redis_url: str, tmp_path: Path) -> None:
    proxies = (ip_network("127.0.0.0/8"),)
    one, other = ({"x-forwarded-for": address} for address in ("192.0.2.1", "192.0.2.2"))
    async with serve_api(redis_url, tmp_path, api_streams=4, api_proxies=proxies) as api:
        await leave_room(api, one, other, "the client 192.0.2.1")


async def test_streams_end_at_shutdown(api: ApiUnderTest) -> None:
    await api.queue_driver.submit(payload("a"))
    stream = Stream(api, f"{JOBS}/a/events")
    await stream.next()
    api.job_watcher.closing.set()
    assert await stream.next() == ("", None)
    await stream.task


async def test_no_polls_without_listeners(api: ApiUnderTest) -> None:
    await api.queue_driver.submit(payload("a"))
    stream = Stream(api, f"{JOBS}/a/events")
    await stream.next()
    looking = [task for task in asyncio.all_tasks() if "_poll_loop" in repr(task.get_coro())]
    assert len(looking) == 1
    await stream.leave()
    await looking[0]


async def test_head_of_a_stream_does_not_subscribe(api: ApiUnderTest) -> None:
    await api.queue_driver.submit(payload("a"))
    response = await api.client.head(f"{JOBS}/a/events")
    assert response.headers["content-type"].startswith("text/event-stream")
