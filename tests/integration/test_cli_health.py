"""``previewops health`` on healthy and unhealthy servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from previewops.errors import START_WORKERS_HINT
from tests.integration.cli_program import Program, payload, queue_driver
from tests.redis_server import RedisProcess
from tests.strange_redis import strange_redis

pytestmark = pytest.mark.redis

MakeServer = Callable[..., RedisProcess]


@pytest.fixture
def server(redis_process: MakeServer) -> RedisProcess:
    """A server with persistence, as in production."""
    return redis_process()


@pytest.fixture
def program(server: RedisProcess, tmp_path: Path) -> Program:
    return Program(tmp_path, server.url, {"PREVIEW_HEARTBEAT_MS": "60000", "PREVIEW_LEASE_MS": "600000"})


# The latency of this machine is not tested.
PATIENT = ("--latency-warning", "600000", "--latency-critical", "600000")


def statuses(program: Program, *arguments: str) -> dict[str, str]:
    report = program.run("health", "--json", *PATIENT, *arguments).json
    return {check["name"]: check["status"] for check in report["checks"]}


async def test_slow_redis_is_reported(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        await driver.heartbeat()
    assert statuses(program)["redis"] == "OK"
    done = program.run("health", "--json", *PATIENT)
    assert any(name == "redis_answer" and value > 0 for name, value in done.json["figures"].items())


async def test_healthy_queue(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        await driver.heartbeat()
        await driver.submit(payload())
    done = program.run("health", *PATIENT)
    assert done.code == 0
    first = done.out.splitlines()[0]
    assert first.startswith("PREVIEWOPS OK - 1 worker, 1 jobs pending, 0 active | waiting=1;;;0; ")
    assert " dead=0;0;99;0; " in first
    result = program.run("health", "--json", *PATIENT)
    assert (result.code, result.json["status"], result.json["exitCode"]) == (0, "OK", 0)
    assert result.json["figures"]["waiting"] == 1


def test_advice_is_below_the_failed_check(program: Program) -> None:
    lines = program.run("health", *PATIENT).out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("CRITICAL  workers"))
    assert lines[place].split()[2] == "0"
    assert lines[place + 1].strip() == START_WORKERS_HINT
    assert lines[place].index("no worker") == lines[place + 1].index("start workers")
    (check,) = (
        item for item in program.run("health", "--json", *PATIENT).json["checks"] if item["name"] == "workers"
    )
    assert check["figure"] == "0"
    assert check["advice"] == lines[place + 1].strip()


async def test_failures_stuck_jobs_versions_and_disk_are_checked(
    program: Program, server: RedisProcess
) -> None:
    (program.folder / "data").mkdir(exist_ok=True)
    async with queue_driver(server.url) as driver:
        await driver.heartbeat("w-1", version="0.0.2")
        await driver.heartbeat("w-2", version="0.0.1")
        await driver.complete("done")
        await driver.add_dead_letters("a", "b", "c", "d")
        await driver.submit(payload("slow"))
        await driver.leases.claim(1)
        await driver.redis.hincrby("preview-jobs:job:slow", "claimed", -200_000)
    by_check = statuses(program, "--dead-warning", "50")
    assert by_check.pop("disk") in ("OK", "WARNING", "CRITICAL"), "whatever this machine has"
    assert {name for name, status in by_check.items() if status != "OK"} == {
        "failure-rate",
        "stuck-jobs",
        "versions",
    }
    assert by_check["failure-rate"] == "CRITICAL"
    milder = statuses(program, "--dead-warning", "50", "--failure-warning", "80", "--failure-critical", "90")
    assert milder["failure-rate"] == "WARNING"


async def test_confinement_and_clocks_of_workers_are_checked(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        now_ms = time.time_ns() // 1_000_000
        await driver.heartbeat("w-1", confinedBy=["seccomp", "resource limits"], clockMs=now_ms - 3_600_000)
    by_check = statuses(program)
    assert (by_check["confinement"], by_check["clocks"]) == ("WARNING", "CRITICAL")
    line = program.run("health", *PATIENT).out.splitlines()[0]
    assert "the clock of h is 3600 s behind the one of Redis" in line
    assert "w-1 render without Landlock" in line
    accepted = statuses(
        program, "--confinement", "seccomp", "--skew-warning", "4e3", "--skew-critical", "1e4"
    )
    assert (accepted["confinement"], accepted["clocks"]) == ("OK", "OK")


async def test_options_precede_environment(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        await driver.heartbeat()
        await driver.add_dead_letters("a", "b")
    assert program.run("health", *PATIENT, PREVIEW_HEALTH_DEAD_WARNING="3").code == 0
    moved = program.run("health", *PATIENT, "--dead-warning", "2", PREVIEW_HEALTH_DEAD_WARNING="3")
    assert moved.code == 1
    wrong = program.run("health", PREVIEW_HEALTH_DEAD_WARNING="many")
    assert wrong.code == 3
    assert "PREVIEW_HEALTH_DEAD_WARNING (or --dead-warning): found 'many'" in wrong.out


def test_no_worker_is_critical(program: Program) -> None:
    done = program.run("health", *PATIENT)
    assert done.code == 2
    assert done.out.startswith("PREVIEWOPS CRITICAL - no worker is running | ")


async def test_silent_workers_are_critical(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        await driver.heartbeat()
        await driver.redis.zadd("preview-jobs:workers", {"w-1": 1_000})
    done = program.run("health", *PATIENT)
    assert done.code == 2
    assert "all of 1 worker silent" in done.out


async def test_dead_letters_warn_by_thresholds(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        await driver.heartbeat()
        await driver.add_dead_letters("a", "b")
    assert program.run("health", *PATIENT).code == 1
    assert program.run("health", *PATIENT, "--dead-warning", "3").code == 0
    assert program.run("health", *PATIENT, "--dead-critical", "2").code == 2


async def test_pause_eviction_and_persistence_warn(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        await driver.heartbeat()
    assert set(statuses(program).values()) == {"OK"}
    program.run("pause")
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
    by_check = statuses(program)
    assert {name for name, status in by_check.items() if status == "WARNING"} == {
        "paused",
        "eviction",
        "persistence",
    }
    assert program.run("health", *PATIENT).code == 1
    with redis.Redis.from_url(server.url) as client:
        client.config_set("save", "3600 1")
    assert statuses(program)["persistence"] == "OK", "snapshots are persistence too"


async def test_lost_jobs_are_critical(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        await driver.heartbeat()
        await driver.submit(payload())
        await driver.redis.delete("preview-jobs", "preview-jobs:waiting:normal")
    assert statuses(program)["accounting"] == "CRITICAL"


async def test_forbidden_commands_make_their_checks_unknown(program: Program, server: RedisProcess) -> None:
    async with queue_driver(server.url) as driver:
        await driver.heartbeat()
        await driver.redis.execute_command("ACL", "SETUSER", "default", "-config", "-info")
    result = program.run("health", "--json", *PATIENT)
    assert result.code == 3
    unknown = [check["name"] for check in result.json["checks"] if check["status"] == "UNKNOWN"]
    assert unknown == ["eviction", "persistence"]


def test_unavailable_redis_is_critical_and_hides_the_password(program: Program) -> None:
    done = program.run("--redis-url", "redis://u:s3cret@127.0.0.1:1", "health")
    assert done.code == 2
    assert done.out.startswith("PREVIEWOPS CRITICAL - Redis at redis://u:***@127.0.0.1:1 cannot be used: ")
    assert "s3cret" not in done.out + done.err
    result = program.run("--redis-url", "redis://u:s3cret@127.0.0.1:1", "health", "--json")
    assert (result.code, result.json["status"]) == (2, "CRITICAL")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--bogus",),
        ("--dead-warning", "0"),
        ("--dead-warning", "9", "--dead-critical", "3"),
        ("--failure-warning", "0"),
        ("--failure-warning", "50"),
        ("--latency-warning", "501"),
        ("extra",),
    ],
)
def test_invalid_arguments_are_unknown(program: Program, arguments: tuple[str, ...]) -> None:
    done = program.run("health", *arguments)
    assert done.code == 3
    assert done.out.startswith("PREVIEWOPS UNKNOWN - ")


def test_a_foreign_key_is_critical(program: Program, server: RedisProcess) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set("preview-jobs:meta", "not a hash")
    done = program.run("health", *PATIENT)
    assert done.code == 2
    assert "the key preview-jobs:meta has a wrong type" in done.out


def test_a_missing_module_is_named_with_its_remedy(program: Program) -> None:
    program.write("redis.py", b"import no_such_module")
    done = program.run_under((), "health", PYTHONPATH=str(program.folder))
    assert done.code == 3
    assert "UNKNOWN - the module no_such_module is missing; reinstall previewops" in done.out


def test_output_that_cannot_be_written_is_unknown(program: Program) -> None:
    with Path("/dev/full").open("wb") as full, program.start("health", stdout=full, stderr=-1) as started:
        _, err = started.communicate(timeout=30)
    assert started.returncode == 3
    assert err.startswith(b"PREVIEWOPS UNKNOWN - cannot write the output: ")


def test_invalid_settings_and_bugs_are_unknown(program: Program) -> None:
    assert program.run("health", PREVIEW_QUEUE_MAX="many").code == 3
    with strange_redis() as url:
        done = program.run("health", *PATIENT, REDIS_URL=url)
    assert done.code == 3
    assert done.out.startswith("PREVIEWOPS UNKNOWN - unexpected ")
