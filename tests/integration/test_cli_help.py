"""Help, version and completion of every command; import time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from previewops import __version__
from previewops.build import build_id
from previewops.cli.dlq import COMMANDS as DLQ_COMMANDS
from previewops.cli.program import COMMANDS
from previewops.schemas import example
from tests.integration.cli_program import Program, aligned

HEAVY = (
    "redis",
    "arq",
    "jsonschema",
    "jsonschema_rs",
    "PIL",
    "rich",
    "asyncio",
    "structlog",
    "textual",
    "uvloop",
)
HEAVY += ("starlette", "uvicorn", "prometheus_client", "logging", "traceback")
NAMES = [(name,) for name in COMMANDS] + [("dlq", name) for name in DLQ_COMMANDS]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.parametrize("arguments", NAMES, ids=" ".join)
def test_every_command_has_help_with_an_example(program: Program, arguments: tuple[str, ...]) -> None:
    done = program.run(*arguments, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: previewops {' '.join(arguments)}")
    assert f"previewops {' '.join(arguments)}" in done.out.split("Examples:")[1]
    assert aligned(done.out.partition("Examples:")[0].splitlines())


def test_the_list_of_commands(program: Program) -> None:
    done = program.run("--help")
    assert done.code == 0
    for name, entry in COMMANDS.items():
        assert any(
            line.split()[:1] == [name] and entry.summary[:30] in line for line in done.out.splitlines()
        )
    assert aligned(done.out.splitlines())


def test_listed_commands_load() -> None:
    script = (
        "import click; from previewops.cli.program import cli\n"
        "for group in (cli, cli.get_command(None, 'dlq')):\n"
        "    for name in group.entries: assert group.get_command(None, name).name == name, name\n"
        "assert cli.get_command(None, 'nonsense') is None"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_version(program: Program) -> None:
    done = program.run("--version")
    assert (done.code, done.out) == (0, f"previewops, version {__version__}, build {build_id()}\n")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("dlq", "--help"), ("completion", "bash")]
)
def test_help_and_version_import_no_heavy_modules(arguments: tuple[str, ...]) -> None:
    script = (
        "import sys; sys.argv = ['previewops', *sys.argv[1:]]\n"
        "from previewops.cli import main\n"
        "try: main()\n"
        f"finally: print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize(("command", "code"), [("health", 2), ("submit", 69)])
def test_commands_that_monitors_and_scripts_call_often_import_little(
    tmp_path: Path, command: str, code: int
) -> None:
    payload = tmp_path / "job.json"
    payload.write_text(json.dumps(example("full")))
    files = [str(payload)] if command == "submit" else []
    unused = ("jsonschema", "PIL", "rich", "arq", "structlog", "httpx", "psutil", "textual", "uvloop")
    script = (
        "import sys; sys.argv = ['previewops', '--redis-url', 'unix:///nonexistent/s', *sys.argv[1:]]\n"
        "from previewops.cli import main\n"
        "try: main()\n"
        f"finally: print('HEAVY', [name for name in {unused!r} if name in sys.modules])"
    )
    env = {**os.environ, "PREVIEW_ASSET_ROOTS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script, command, *files], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("dlq", "nonsense"), "No such command 'nonsense'"),
        (("status",), "Missing argument 'JOB'"),
        (("jobs", "--state", "lost"), "'lost' is not one of"),
        (("jobs", "--limit", "0"), "--limit"),
        (("submit",), "Missing argument 'FILE...'"),
        (("--queue", "a b", "stats"), "allowed 1 to 100 of the characters"),
        (("--queue", "shop:dead", "stats"), "without a colon"),
        (("--queue", "", "stats"), "is empty"),
        (("--data-dir", "", "stats"), "is empty"),
        (("completion", "tcsh"), "'tcsh' is not one of"),
    ],
)
def test_invalid_usage_exits_2(program: Program, arguments: tuple[str, ...], text: str) -> None:
    done = program.run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert text in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(program: Program, shell: str) -> None:
    done = program.run("completion", shell)
    assert done.code == 0
    assert f"_PREVIEWOPS_COMPLETE={shell}_complete" in done.out
    assert "\\u00" not in done.out


def test_the_bash_script_parses(program: Program) -> None:
    script = program.run("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("previewops sta", ["plain,status", "plain,stats"]),
        ("previewops dlq re", ["plain,requeue"]),
        ("previewops jobs --state d", ["plain,delayed", "plain,dead"]),
        ("previewops --ver", ["plain,--verbose", "plain,--version"]),
    ],
)
def test_completion_offers(program: Program, typed: str, offered: list[str]) -> None:
    done = program.run(
        _PREVIEWOPS_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(len(typed.split()) - 1)
    )
    assert done.out.splitlines() == offered
