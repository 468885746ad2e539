"""Every command line in the documents runs: here against ``previewops up``, or in the named test."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from pathlib import Path

import pytest

from previewops.queue.batches import Batches
from tests.docs.documents import DOCUMENTS, ROOT, command_lines
from tests.docs.sources import definition, gives, leads_to
from tests.integration.cli_program import Program, ProgramResult, payload, queue_driver
from tests.integration.up_program import up

Words = tuple[str, ...]

ELSEWHERE: dict[Words, tuple[str, ...]] = {
    ("api",): (
        "tests/integration/test_api_program.py::test_a_bundle_by_http_alone",
        "tests/integration/test_api_program.py::running",
    ),
    ("record",): ("tests/integration/test_cli_record.py::test_recording_contains_the_tui_data",),
    ("supervise",): (
        "tests/fault/test_supervisor.py::test_signals_scale_and_sigterm_drains",
        "tests/fault/supervisor_process.py::SupervisorProcess",
        "tests/fault/supervisor_under_test.py",
    ),
    ("systemd", "install"): (
        "tests/system/test_units.py::test_installing_again_changes_nothing_and_keeps_the_settings",
    ),
    ("systemd", "uninstall"): (
        "tests/system/test_units.py::test_uninstall_waits_for_the_units_to_be_disabled_and_leaves_settings_and_bundles",
    ),
    ("tui",): (
        "tests/tui/test_end_to_end.py::test_an_operator_at_work",
        "tests/tui/terminal_session.py::TerminalSession::open_screen",
    ),
    ("tui", "--replay"): (
        "tests/tui/test_replay_end_to_end.py::test_the_morning_after",
        "tests/tui/test_replay_end_to_end.py::open_replay",
    ),
    ("up",): (
        "tests/integration/test_up_screen.py::test_up_in_a_terminal_leaves_no_process",
        "tests/integration/test_up_screen.py::up",
    ),
}
"""Prefixes of commands that run until stopped or change the machine, each with the test that runs it.

After the test come the helpers that run the command, each used by the one before; the last has the arguments.
"""

FLEET = ("scale", "restart", "reset", "drain")
"""Fleet commands, in an order in which each leaves something for the next."""

HOSTS = ("render-1", "render-2")
"""Host names in the documents; here they stand for this host."""


def shown() -> set[Words]:
    """Returns every command line in the code blocks of the documents."""
    return {command for document in DOCUMENTS for command in command_lines(document, "previewops")}


def here(command: Words, folder: Path) -> list[str]:
    """Returns the command for this machine: its host name, and files below ``folder``."""
    host = socket.gethostname()
    arguments = [host if word in HOSTS else word for word in command]
    arguments = [str(folder / Path(word).name) if word.startswith("/") else word for word in arguments]
    asks = command[0] in ("cancel", "delete", "run-again") or command[:2] in (
        ("dlq", "requeue"),
        ("dlq", "discard"),
    )
    return [*arguments, "--yes"] if asks else arguments


def beginning(command: Words) -> Words | None:
    """Returns the longest prefix in ELSEWHERE, or None if the command runs here."""
    lengths = range(len(command), 0, -1)
    return next((command[:length] for length in lengths if command[:length] in ELSEWHERE), None)


def test_commands_run_elsewhere_are_documented() -> None:
    assert {beginning(command) for command in shown()} - {None} == set(ELSEWHERE)


@pytest.mark.parametrize("command", ELSEWHERE, ids=" ".join)
def test_commands_not_run_here_run_in_the_named_test(command: Words) -> None:
    test, *means = ELSEWHERE[command]
    file, name = test.split("::")
    assert Path(file).name.startswith("test_")
    assert name.startswith("test_")
    source = definition(test)
    for place in means:
        assert leads_to(source, place), f"{test} does not come to {place}"
        source = definition(place)
    assert gives(source, command), f"{[test, *means][-1]} does not run previewops {' '.join(command)}"


async def test_fleet_commands_work_as_shown(tmp_path: Path) -> None:
    program = Program(tmp_path)
    orders = sorted(
        (command for command in shown() if command[0] in FLEET), key=lambda command: FLEET.index(command[0])
    )
    assert {command[0] for command in orders} == set(FLEET)
    with up(program, "--workers", "1"):
        for command in orders:
            done = await asyncio.to_thread(program.run, *here(command, tmp_path))
            # A running worker cannot be reset, and a drained host cannot be drained again.
            well = done.code == 0 or f"nothing to {command[0]}: " in done.err
            assert well, f"previewops {' '.join(command)}: {done.err}"


@pytest.mark.redis
async def test_all_other_commands_work_as_shown(redis_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, redis_url, {"PREVIEW_THEMES": str(ROOT / "examples" / "themes")})
    program.write("job.json", payload("my-first", project="trial"))
    for name in ("shadow.jsonl", "failed-there.jsonl", "last-week.jsonl", "lessons.jsonl"):
        lines = [json.dumps(payload(f"{name[:4]}-{n}", project="canary", dryRun=True)) for n in range(2)]
        program.write(name, "\n".join(lines).encode())
    others = sorted(command for command in shown() if beginning(command) is None and command[0] not in FLEET)
    assert len(others) > 40
    for command in others:
        done = await run_as_shown(program, redis_url, here(command, tmp_path))
        verdicts = (0, 1, 2) if command[0] == "health" else (0,)
        assert done.code in verdicts, f"previewops {' '.join(command)}: {done.err}"


async def run_as_shown(program: Program, redis_url: str, arguments: list[str]) -> ProgramResult:
    """Runs a command on a queue that has the jobs it names."""
    async with queue_driver(redis_url) as driver:
        await driver.redis.flushall()
        if arguments[0] == "submit":
            return await asyncio.to_thread(submitted, program, arguments)
        (program.folder / "data").mkdir(exist_ok=True)
        if arguments[0] in ("cancel", "reschedule"):
            await driver.submit(payload("a-job" if arguments[1].startswith("--") else arguments[1]))
        elif arguments[0] == "run-again":
            await driver.complete("my-first")
        elif arguments[0] == "batch":
            await Batches(driver.redis, driver.settings).close(arguments[2], project_id="trial")
        elif arguments[0] == "find":
            await driver.submit(payload("my-first", requestId=arguments[1]))
        else:
            await driver.heartbeat()
            await driver.add_dead_letters("my-first", project="trial", code="disk-full")
        stdin = json.dumps(payload("my-first")).encode() if arguments[-1] == "-" else b""
        return await asyncio.to_thread(lambda: program.run(*arguments, stdin=stdin))


def submitted(program: Program, arguments: list[str]) -> ProgramResult:
    """Runs a submit with a worker, because some wait for the end."""
    with program.start("worker", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        try:
            return program.run(*arguments)
        finally:
            worker.terminate()
