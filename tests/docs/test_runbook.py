"""The runbook: every alert, code, check and metric is in it, and its commands run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from previewops.health import CHECKS
from previewops.metrics import scrape
from tests.docs.codes import codes_of_the_program
from tests.docs.documents import ROOT, SHELL, blocks, command_lines, commands_in_prose, section, spans, table
from tests.docs.rules import alerts
from tests.integration.cli_program import Program, payload, queue_driver
from tests.queue_support import queue_fixture
from tests.redis_server import RedisProcess

RUNBOOK = ROOT / "docs" / "runbook.md"
DEAD_LETTERS = ROOT / "docs" / "dead-letters.md"
METRICS = ROOT / "docs" / "metrics.md"
REDIS = ROOT / "docs" / "redis.md"
PAGES = (RUNBOOK, DEAD_LETTERS, METRICS, REDIS)
MIGRATE = ROOT / "docs" / "migrate.md"

LOOKING = ("health", "stats", "workers", "jobs", "metrics", "status", "validate")
"""Read-only commands; of ``dlq`` also list, show and export."""


def redis_lines() -> Iterator[tuple[str, ...]]:
    """Returns the arguments of each redis-cli command in the document."""
    for page in PAGES:
        yield from command_lines(page, "redis-cli")
        yield from commands_in_prose(page, "redis-cli")


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    sections = re.findall(r"^### (.+)$", section(RUNBOOK, "## Alerts"), re.MULTILINE)
    assert sorted(sections) == sorted(alerts())
    for name in sections:
        text = section(RUNBOOK, f"### {name}")
        assert all(f"**{word}**" in text for word in ("Means", "Look at", "Do")), name


def test_every_code_that_a_job_can_die_of_has_an_act() -> None:
    rows = table(DEAD_LETTERS, "## What to do, by code")
    documented = [code for codes, *_ in rows for code in codes.split(", ")]
    assert len(set(documented)) == len(documented)
    assert set(documented) == {code for code, kinds in codes_of_the_program().items() if kinds != {"void"}}
    assert all(whose and act for _, whose, act in rows)


def test_every_health_check_is_explained() -> None:
    assert [check for check, *_ in table(RUNBOOK, "## Health checks")] == [*CHECKS, "check"]


@pytest.mark.redis
async def test_every_metric_is_explained(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        text = (await scrape(b.redis, b.settings)).decode()
    metrics = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
    }
    rows = table(METRICS, "## Every metric")
    assert {name for cell, *_ in rows for name in cell.split(", ")} == metrics
    named = {
        span for span in (*spans(RUNBOOK), *spans(METRICS)) if re.fullmatch(r"preview(ops)?_[a-z_]+", span)
    }
    assert named <= metrics


@pytest.mark.redis
async def test_read_only_commands_work_as_shown(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    async with queue_driver(redis_url) as driver:
        await driver.heartbeat()
        await driver.add_dead_letters("my-first", project="trial")
        await driver.submit(payload("another", project="trial"))
    for name in ("job.json", "last-week.jsonl"):
        program.write(name, payload("my-first", project="trial"))
    looking = {
        command
        for document in (*PAGES, MIGRATE)
        for command in (
            *command_lines(document, "previewops"),
            *commands_in_prose(document, "previewops"),
        )
        if (command[0] in LOOKING and not {"--acknowledge-loss", "--textfile"} & set(command))
        or command[:2] in (("dlq", "list"), ("dlq", "show"), ("dlq", "export"))
        or (command[0] == "prune" and "--apply" not in command)
    }
    assert {command[0] for command in looking} == {*LOOKING, "dlq", "prune"}
    for command in sorted(looking):
        done = program.run(*command)
        allowed = (0, 1, 2) if command[0] == "health" else (0,)
        assert done.code in allowed, f"previewops {' '.join(command)}: {done.err}"


@pytest.mark.redis
async def test_commands_that_change_the_queue_work_as_shown(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url)
    acts = [
        command
        for page in PAGES
        for command in command_lines(page, "previewops")
        if command[0] in ("pause", "resume") or command[:2] in (("dlq", "requeue"), ("dlq", "discard"))
    ]
    assert len(acts) >= 8
    program.write("job.json", payload("my-first", project="trial"))
    for command in acts:
        async with queue_driver(redis_url) as driver:
            await driver.redis.flushall()
            await driver.add_dead_letters("my-first", project="trial", code="disk-full")
        bulk = command[0] == "dlq" and "--payload" not in command
        done = program.run(*command, *(["--yes"] if bulk else []))
        assert done.code == 0, f"previewops {' '.join(command)}: {done.err}"


@pytest.mark.redis
def test_redis_commands_are_accepted_by_a_server(redis_process: Callable[..., RedisProcess]) -> None:
    server = redis_process()
    lines = set(redis_lines())
    assert len(lines) > 12
    with redis.Redis.from_url(server.url) as client:
        for command in sorted(lines):
            client.execute_command(*command)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


@pytest.mark.redis
def test_a_back_up_is_restored_as_the_document_says(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    server = redis_process()
    program = Program(tmp_path, server.url)
    program.write("job.json", payload("my-first", project="trial"))
    assert program.run("submit", "job.json").code == 0
    with redis.Redis.from_url(server.url) as client:
        client.save()  # like BGSAVE, but waits for the end
    restored = redis_process(persistent=False, start=False)
    restored.folder.mkdir(mode=0o700)
    shutil.copyfile(server.folder / "dump.rdb", restored.folder / "dump.rdb")
    restored.start()
    again = Program(tmp_path, restored.url)
    assert again.run("stats", "--json").json["queue"]["waiting"]["normal"] == 1
    with redis.Redis.from_url(restored.url) as client:
        client.config_set("appendonly", "yes")
    assert again.run("worker", "--burst").code == 0
    assert again.run("status", "my-first", "--json").json["status"] == "completed"


@pytest.mark.parametrize("document", [RUNBOOK, MIGRATE], ids=lambda path: path.name)
def test_other_programs_that_are_shown_are_known(document: Path) -> None:
    known = {"previewops", "redis-cli", "systemctl", "journalctl", "rsync", "promtool"}
    shown = {
        shlex.split(line, comments=True)[0]
        for block in blocks(document, *SHELL)
        for line in block.text.splitlines()
        if line.strip() and not line.startswith("#")
    }
    assert shown - {"sudo"} <= known
    units = {
        word
        for program in ("systemctl", "journalctl")
        for command in command_lines(document, program)
        for word in command
        if word.endswith(".service")
    }
    assert units
    assert all((ROOT / "systemd" / unit).exists() for unit in units)


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool, of Debian's prometheus, is not installed"
)
def test_commands_of_promtool_work_as_shown() -> None:
    for command in {*command_lines(RUNBOOK, "promtool"), *command_lines(MIGRATE, "promtool")}:
        done = subprocess.run(["promtool", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
