"""Commands and reports with a real server: listed until acknowledged, acknowledged once, expired in time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from previewops.errors import CommandRejected
from previewops.queue.scripts import ScriptName, Scripts
from previewops.snapshot.fleet import SILENT_AFTER_MS, SupervisedWorker, SupervisorState, WorkerCountRange
from previewops.states import ScriptResult
from previewops.supervisor import commands as module
from previewops.supervisor.commands import (
    SUPERVISOR_TTL_MS,
    CommandChannel,
    FleetCommand,
    FleetCommandKind,
    FleetControl,
)
from tests.queue_support import QueueFixture, payload, queue_fixture

pytestmark = pytest.mark.redis

STATE = SupervisorState(
    host="render-1",
    pid=7,
    version="1",
    backend="process",
    state="running",
    count=1,
    worker_range=WorkerCountRange(1, 2),
    rss_bytes=40,
    started_ms=1_000,
    notice="",
    workers=(
        SupervisedWorker("w1", 1, "running", 8, 0, ""),
        SupervisedWorker("w2", 2, "fatal", None, 5, "why"),
    ),
)


def channel(made: QueueFixture, name: str = "s1") -> CommandChannel:
    return CommandChannel(made.redis, made.settings, name)


def control(made: QueueFixture) -> FleetControl:
    return FleetControl(made.redis, made.settings, who="alice@ops")


async def until_listed(supervisor: CommandChannel) -> FleetCommand:
    while True:
        reply = await supervisor.report(STATE, [])
        if reply.commands:
            return reply.commands[0]


async def test_a_command_is_listed_until_it_is_acknowledged_and_acknowledged_once(redis_url: str) -> None:
    async with queue_fixture(redis_url) as made:
        supervisor = channel(made)
        await supervisor.report(STATE, [])
        sent = asyncio.create_task(control(made).scale(WorkerCountRange(2, 8), reason="rush"))
        command = await until_listed(supervisor)
        assert command == FleetCommand(
            command.command_id, FleetCommandKind.SCALE, "", WorkerCountRange(2, 8), "alice@ops", "rush"
        )
        assert (await supervisor.report(STATE, [])).commands == (command,)
        await supervisor.acknowledge(command, done=True, message="2 to 8 workers")
        await supervisor.acknowledge(command, done=False, message="again")
        result = await sent
        assert (result.supervisor_id, result.message) == ("s1", "2 to 8 workers")
        assert (await supervisor.report(STATE, [])).commands == ()
        events = await made.redis.xrange(made.keys.events)
        assert [fields[b"outcome"] for _, fields in events] == [b"done"]
        (_, fields), *_ = events
        assert {
            b"act": b"scale",
            b"host": b"s1",
            b"who": b"alice@ops",
            b"why": b"rush",
        }.items() <= fields.items()


async def test_a_rejection_has_its_reason(redis_url: str) -> None:
    async with queue_fixture(redis_url) as made:
        supervisor = channel(made)
        await supervisor.report(STATE, [])
        sent = asyncio.create_task(control(made).send(FleetCommandKind.DRAIN, worker="w1"))
        await supervisor.acknowledge(await until_listed(supervisor), done=False, message="it is stopping")
        with pytest.raises(CommandRejected, match="s1 rejects it: it is stopping"):
            await sent


async def test_a_command_without_a_supervisor_expires(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESULT_TIMEOUT_S", 0.0)
    monkeypatch.setattr(module, "COMMAND_TTL_MS", 1)
    async with queue_fixture(redis_url) as made:
        supervisor = channel(made)
        await supervisor.report(STATE, [])
        with pytest.raises(CommandRejected, match="has sent no result"):
            await control(made).send(FleetCommandKind.RESET, host="render-1")
        while await made.redis.exists(made.keys.commands_prefix + "s1"):
            pass
        assert (await supervisor.report(STATE, [])).commands == ()
        late = FleetCommand("1", FleetCommandKind.RESET)
        await supervisor.acknowledge(late, done=True, message="too late")
        assert await made.redis.xlen(made.keys.events) == 0


async def test_a_silent_supervisor_gets_no_commands_and_is_forgotten_after_a_day(redis_url: str) -> None:
    async with queue_fixture(redis_url) as made:
        await channel(made).report(STATE, [])
        await channel(made, "s2").report(replace(STATE, host="render-2"), [])
        with pytest.raises(CommandRejected, match="found 2 supervisors"):
            await control(made).scale(WorkerCountRange(1, 1))
        await made.redis.zincrby(made.keys.supervisors, -SILENT_AFTER_MS - 1_000, "s1")
        supervisors = await control(made).supervisors()
        assert [(supervisor.supervisor_id, supervisor.silent) for supervisor in supervisors] == [
            ("s1", True),
            ("s2", False),
        ]
        assert supervisors[0].as_json()["state"] == "silent"
        with pytest.raises(CommandRejected, match="found 0 supervisors"):
            await control(made).scale(WorkerCountRange(1, 1), host="render-1")
        scripts = Scripts(made.redis, made.keys)
        assert await scripts.run(ScriptName.SEND_COMMAND, "s1", SILENT_AFTER_MS, 1_000, "act", "reset") == [
            ScriptResult.NOT_FOUND
        ]
        await made.redis.zincrby(made.keys.supervisors, -SUPERVISOR_TTL_MS, "s1")
        await channel(made, "s2").report(STATE, [])
        assert [supervisor.supervisor_id for supervisor in await control(made).supervisors()] == ["s2"]
        await channel(made, "s2").deregister()
        assert await control(made).supervisors() == ()
        assert not await made.redis.keys("*supervisor*")


async def test_the_published_state_is_read_unchanged(redis_url: str) -> None:
    async with queue_fixture(redis_url) as made:
        await channel(made).report(STATE, [])
        (supervisor,) = await control(made).supervisors()
        assert supervisor.state == STATE
        shown = supervisor.as_json()
        assert (shown["id"], shown["min"], shown["max"], shown["notice"]) == ("s1", 1, 2, None)
        assert shown["startedAt"] == "1970-01-01T00:00:01.000Z"
        assert shown["workers"][1] == {
            "id": "w2",
            "place": 2,
            "phase": "fatal",
            "pid": None,
            "quickDeaths": 5,
            "reason": "why",
        }


async def test_the_age_of_a_run_counts_from_its_claim(redis_url: str) -> None:
    async with queue_fixture(redis_url) as made:
        await made.queue.submit(payload("old"))
        claim = await made.claim_one("w1")
        for worker, jobs in (("w1", ["old", "gone"]), ("w2", ["old"]), ("w3", [])):
            await made.worker(worker).heartbeat(json.dumps({"jobs": jobs}), [])
        await made.redis.hincrby(made.keys.job_prefix + "old", "claimed", -90_000)
        ages = (await channel(made).report(STATE, ["w1", "w2", "w3", "unheard"])).oldest_run_s
        assert 90 <= ages["w1"] < 120
        assert (ages["w2"], ages["w3"], ages["unheard"]) == (0, 0, 0), (
            "the job of another worker does not count"
        )
        await made.worker("w1").release([claim])
        assert (await channel(made).report(STATE, ["w1"])).oldest_run_s == {"w1": 0}
