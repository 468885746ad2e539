"""The events of a queue in pages, and what operators did, which other events do not push out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from previewops.queue.scripts import ScriptName, Scripts
from previewops.settings import Settings
from previewops.snapshot.event_log import EventLog
from previewops.snapshot.model import EventPage
from tests.api_support import serve_api
from tests.integration.cli_program import Program
from tests.queue_support import QueueFixture, payload, queue_fixture

pytestmark = pytest.mark.redis

STORM = 12_000
"""More events than the queue keeps."""


def log_of(b: QueueFixture) -> EventLog:
    return EventLog(b.queue.redis, b.queue.settings)


async def add_storm(redis: Redis, settings: Settings, count: int) -> None:
    scripts = Scripts(redis, EventLog(redis, settings).keys)
    await scripts.run(ScriptName.RECORD_EVENT, "dead", "job", "j0")
    async with redis.pipeline(transaction=False) as pipe:
        for _ in range(count):
            pipe.evalsha(
                scripts.loaded(ScriptName.RECORD_EVENT).sha, 1, settings.queue_name, "dead", "job", "j"
            )
        await pipe.execute()


def kinds(page: EventPage) -> list[str]:
    return [event.kind for event in page.events]


async def test_actions_of_operators_outlive_a_storm_of_other_events(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.pause(who="ana", reason="a deploy")
        await b.queue.resume(who="ben", reason="")
        await b.queue.submit(payload("a"))
        await b.queue.cancel("a", who="ana", reason="a mistake")
        await add_storm(b.queue.redis, b.queue.settings, STORM)
        log = log_of(b)
        assert set(kinds(await log.page(limit=1_000))) == {"dead"}
        page = await log.page(operators=True)
    assert [(event.kind, event.fields["who"], event.fields["why"]) for event in page.events] == [
        ("cancelled", "ana", "a mistake"),
        ("resumed", "ben", ""),
        ("paused", "ana", "a deploy"),
    ]
    assert page.next_id is None


async def test_pages_reach_the_beginning_and_skip_nothing(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_storm(b.queue.redis, b.queue.settings, 249)
        pages, before = [], None
        while not pages or before is not None:
            page = await log_of(b).page(before=before, limit=100)
            before = page.next_id
            pages.append([event.event_id for event in page.events])
        middle = await log_of(b).page(since_ms=page.events[0].at_ms + 3_600_000)
    assert [len(page) for page in pages] == [100, 100, 50]
    assert len({event_id for page in pages for event_id in page}) == 250
    assert middle.events == ()


async def test_maintenance_keeps_the_newest_actions(redis_url: str) -> None:
    async with queue_fixture(redis_url, keep_actions=1_000) as b:
        scripts = Scripts(b.queue.redis, log_of(b).keys)
        for number in range(3_000):
            await scripts.run(ScriptName.RECORD_EVENT, "paused", "who", "ana", "why", str(number))
        for _ in range(2):  # in bounded steps
            await b.worker().maintain()
        kept = await b.queue.redis.xlen(log_of(b).keys.actions)
        assert 1_000 <= kept < 1_200
        (newest,) = (await log_of(b).page(operators=True, limit=1)).events
    assert newest.fields["why"] == "2999"


async def test_events_on_the_command_line(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    assert program.run("events").err == "no events\n"
    async with queue_fixture(redis_url) as b:
        await add_storm(b.queue.redis, b.queue.settings, 3)
        await b.queue.pause(who="ana\x1b[31m", reason="a deploy")
    every = program.run("events", "--json").json
    assert [event["kind"] for event in every["events"]] == ["paused", *["dead"] * 4]
    assert every["more"] is False
    acts = program.run("events", "--operators").out.splitlines()
    assert acts[0].split() == ["TIME", "EVENT", "SUBJECT", "DESCRIPTION"]
    assert len(acts) == 2
    assert "by ana" in acts[1]
    assert "\x1b" not in acts[1]
    assert program.run("events", "--filter", "kind:paused", "--json").json["events"] == every["events"][:1]
    limited = program.run("events", "--limit", "2")
    assert (len(limited.out.splitlines()), limited.err) == (3, "more events than --limit 2\n")
    assert json.loads(program.run("events", "--since", "1h", "--json").out) == every


async def test_a_key_of_another_type_is_an_empty_log(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.redis.set(log_of(b).keys.actions, "x")
        assert (await log_of(b).page(operators=True)).events == ()
        await b.queue.pause(who="ana", reason="")
        assert await b.worker().maintain()


async def test_events_over_rest(redis_url: str, tmp_path: Path) -> None:
    async with serve_api(redis_url, tmp_path) as api:
        for number in range(3):
            await api.backend.queue.pause(who="ana", reason=f"reason {number}")
            await api.backend.queue.resume(who="ben", reason="")
        first = (await api.client.get("/api/preview/events?only=operators&limit=4")).json()
        rest = (await api.client.get(f"/api/preview/events?only=operators&before={first['next']}")).json()
        oldest = await api.client.get("/api/preview/events?before=0-0")
        invalid = await api.client.get("/api/preview/events?before=x&only=me")
    assert oldest.json() == {"events": [], "next": None}
    assert [event["kind"] for event in first["events"]] == ["resumed", "paused"] * 2
    assert [event["fields"]["who"] for event in rest["events"]] == ["ben", "ana"]
    assert rest["next"] is None
    assert (invalid.status_code, len(invalid.json()["errors"])) == (400, 2)
