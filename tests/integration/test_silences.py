"""Health checks that an operator silences for a time: who and why are shown, the exit code does not count them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli_program import Program, queue_driver
from tests.queue_support import queue_fixture

pytestmark = pytest.mark.redis


def check_of(program: Program, name: str = "dead-letters") -> dict[str, Any]:
    checks = {check["name"]: check for check in program.run("health", "--json").json["checks"]}
    return dict(checks[name])


async def test_a_silenced_check_is_shown_and_does_not_count(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters("a")
    program.run("pause")
    for name in ("workers", "persistence", "redis-version", "confinement", "paused"):
        done = program.run("silence", name, "--for", "1h", "--level", "critical", "--reason", "a test")
        assert done.code == 0, done.err
    assert program.run("health").code == 1
    done = program.run("silence", "dead-letters", "--for", "2h", "--reason", "known\x1b[2J")
    assert done.out.startswith("dead-letters is silenced up to warning until 2")
    health = program.run("health")
    first, *rest = health.out.splitlines()
    assert (health.code, first.split(" - ")[0]) == (0, "PREVIEWOPS OK")
    assert "dead-letters" in first.split("silenced: ")[1]
    (line,) = [line for line in rest if "known" in line]
    assert "silenced by " in line
    assert "\x1b" not in line
    assert check_of(program)["status"] == "WARNING"
    silence = check_of(program)["silence"]
    assert isinstance(silence, dict)
    assert (silence["level"], silence["reason"]) == ("warning", "known\x1b[2J")
    assert silence["until"].startswith(done.out.split(" until ")[1][:19])
    assert silence["who"]
    assert program.run("unsilence", "dead-letters").out == "dead-letters is heard again\n"
    assert program.run("unsilence", "dead-letters").out == "dead-letters was not silenced\n"
    assert program.run("health").code == 1
    kinds = [event["kind"] for event in program.run("events", "--operators", "--json").json["events"]]
    assert kinds[:2] == ["unsilenced", "silenced"]


async def test_a_check_that_becomes_worse_is_heard(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters("a", "b")
    program.run("silence", "dead-letters", "--for", "2h", "--reason", "known")
    assert "dead-letters" in program.run("health").out.splitlines()[0].split("silenced: ")[1]
    worse = program.run("health", "--dead-critical", "2")
    assert worse.code == 2
    assert "silenced: " not in worse.out.splitlines()[0]


async def test_an_ended_or_damaged_silence_is_none(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        meta = b.queue.keys.meta
        ended = json.dumps({"until": "1000", "level": "critical", "who": "ana", "reason": ""})
        await b.queue.redis.hset(
            meta, mapping={"silence:disk": ended, "silence:depth": "{", "silence:redis": '{"until": 1e99}'}
        )
        assert (await b.snapshots.read()).silences == ()
        await b.queue.silence("disk", for_ms=60_000, level="warning", who="ana", reason="moving")
        (silence,) = (await b.snapshots.read()).silences
    assert (silence.check, silence.who, silence.reason) == ("disk", "ana", "moving")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dead-letters", "--for", "31d", "--reason", "x"), "allowed at most 30d"),
        (("nothing", "--for", "1h", "--reason", "x"), "'nothing' is not one of"),
        (("disk", "--reason", "x"), "--for"),
        (("disk", "--for", "1h"), "--reason"),
    ],
)
def test_bad_arguments(redis_url: str, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = Program(tmp_path, redis_url).run("silence", *arguments)
    assert done.code == 2
    assert message in done.err
