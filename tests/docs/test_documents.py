"""Tables, names, links, paths and command lines of the documents, compared with the program."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from arq.connections import ArqRedis
from arq.version import VERSION as ARQ_VERSION
from arq.worker import Worker

from previewops import __version__
from previewops.cli import program
from previewops.errors import (
    EXIT_CONFIG,
    EXIT_DAMAGED,
    EXIT_FAILED,
    EXIT_INVALID,
    EXIT_TRY_AGAIN,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)
from previewops.health import Status
from previewops.queue.keys import ARQ_ABORTS, ARQ_IN_PROGRESS_PREFIX, ARQ_JOB_PREFIX, ARQ_RESULT_PREFIX, Keys
from previewops.queue.scripts import ScriptName
from previewops.settings import Settings
from tests.docs import write_reference
from tests.docs.documents import (
    CHANGELOG,
    CONTRIBUTING,
    DOCUMENTS,
    README,
    ROOT,
    SHELL,
    anchors,
    blocks,
    command_lines,
    commands_in_prose,
    links,
    prose,
    section,
    spans,
    table,
)

ARCHITECTURE = ROOT / "docs" / "architecture.md"
COMMANDS = ROOT / "docs" / "commands.md"
SETTINGS = ROOT / "docs" / "settings.md"
GUARANTEES = ROOT / "docs" / "guarantees.md"
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)

MACHINE = re.compile(
    r"(?<![\w.$~}/])/(?:home|root|work|Users|mnt|private|opt(?!/previewops)|var/folders)/|/tmp/\w|[A-Z]:\\|site-packages/"
)
INDEX = re.compile(r"pypi\.org|pythonhosted|npmjs|index-url|registry\.", re.IGNORECASE)


def test_generated_tables_are_up_to_date() -> None:
    for path, text in write_reference.documents().items():
        assert path.read_text("utf-8") == text, "run python -m tests.docs.write_reference"
    assert table(SETTINGS, "## Variables") == Settings.table()


def test_help_lists_the_documented_commands(capfd: pytest.CaptureFixture[str]) -> None:
    documented = table(COMMANDS, "## Commands")
    assert program.run(["--help"]) == 0
    listed = capfd.readouterr().out.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.strip()] == [row[0] for row in documented]


def test_the_exit_codes_are_those_of_the_program() -> None:
    documented = [int(code) for code, _ in table(COMMANDS, "## Exit codes")]
    assert documented == [
        0,
        EXIT_FAILED,
        EXIT_USAGE,
        EXIT_INVALID,
        EXIT_UNREACHABLE,
        EXIT_TRY_AGAIN,
        EXIT_DAMAGED,
        EXIT_CONFIG,
        program.EXIT_INTERRUPTED,
        program.EXIT_BROKEN_PIPE,
    ]
    plugin = ", ".join(f"{status.value} {status.name}" for status in Status)
    assert plugin in section(COMMANDS, "## Exit codes")


def test_each_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [
        re.split(r"[^a-z0-9.-]", requirement, maxsplit=1)[0] for requirement in project["dependencies"]
    ]
    documented = table(ARCHITECTURE, "## Dependencies")
    assert [name for name, _ in documented] == declared
    assert all(reason for _, reason in documented)


@EACH
def test_every_command_line_can_be_parsed(
    document: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # click checks the arguments of a command before it invokes it; the command must not run here.
    monkeypatch.setattr(click.Command, "invoke", lambda self, ctx: None)
    lines = command_lines(document, "previewops")
    # A sentence may name a command without its arguments.
    bare = [
        command for command in commands_in_prose(document, "previewops") if all(map(str.isalpha, command))
    ]
    lines += [command for command in commands_in_prose(document, "previewops") if command not in bare]
    for command in [*lines, *((*command, "--help") for command in bare)]:
        code = program.run(list(command))
        assert code == 0, f"previewops {' '.join(command)}: {capfd.readouterr().err}"


def test_command_lines_are_parsed() -> None:
    commands = command_lines(README, "previewops")
    assert ("submit", "job.json", "--import", "--wait") in commands
    assert ("pause", "--reason", "moving storage") in commands
    assert len(commands) >= 8
    assert ("--queue", "lessons", "stats") in commands_in_prose(COMMANDS, "previewops")


@EACH
def test_every_make_target_is_one(document: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = {command[0] for command in command_lines(document, "make")}
    assert shown <= targets


@EACH
def test_links_resolve(document: Path) -> None:
    for link in links(document):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{document.name} links to {link}"
        assert target.is_relative_to(ROOT), f"{document.name} links out of the repository: {link}"
        assert not anchor or anchor in anchors(target), f"{document.name} links to {link}: no such heading"


@EACH
def test_files_and_folders_that_are_named_exist(document: Path) -> None:
    inside = re.compile(r"(?:previewops|worker|tui|schemas|tests|benchmarks|docs)/[a-z0-9_./-]+")
    for span in spans(document):
        if inside.fullmatch(span) and "node_modules" not in span:
            assert (ROOT / span).exists(), f"{document.name} names {span}"


@EACH
def test_no_local_paths_and_no_package_index(document: Path) -> None:
    text = document.read_text("utf-8")
    assert MACHINE.search(text) is None
    assert INDEX.search(text) is None


@EACH
def test_json_is_json(document: Path) -> None:
    for block in blocks(document, "json"):
        json.loads(block.text)


CONFIGURATION = {
    "several-hosts.md": ("ini",),
    "rest-reference.md": ("toml",),
    "rendering-options.md": ("toml",),
}
"""Languages of blocks that the test of one page runs: test_the_page_brings_up_two_hosts,
test_a_new_token_has_the_line_that_is_shown, test_the_theme_of_the_page_is_the_example_and_valid."""


@EACH
def test_code_block_languages_are_tested_or_drawn(document: Path) -> None:
    drawn = ("text", "mermaid")
    tested = (*SHELL, "python", "json", *CONFIGURATION.get(document.name, ()))
    fences = re.findall(r"^ *```(\w*)$", document.read_text("utf-8"), re.MULTILINE)
    assert set(fences[::2]) <= {*drawn, *tested}


@EACH
def test_modules_and_tests_that_are_named_exist(document: Path) -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    for span in spans(document):
        if re.fullmatch(r"test_\w+", span):
            assert span in defined, span
        if re.fullmatch(r"previewops(\.\w+)+", span):
            *above, last = span.split(".")
            folder = ROOT.joinpath(*above)
            module = folder / f"{last}.py"
            described = (
                folder.with_suffix(".py").read_text("utf-8") if folder.with_suffix(".py").exists() else ""
            )
            assert (folder / last).exists() or module.exists() or f" {last}" in described, span


def test_each_guarantee_names_its_tests() -> None:
    for heading in ("## Promises", "## Faults survived"):
        rows = table(GUARANTEES, heading)
        assert rows
        assert all(row[-1].startswith("test_") for row in rows)


def test_the_keys_and_scripts_are_those_of_the_queue() -> None:
    keys: Any = Keys("Q")
    properties = [name for name, value in vars(Keys).items() if hasattr(value, "lua_name")]
    known = {getattr(keys, name) for name in properties}
    known |= {ARQ_JOB_PREFIX, ARQ_RESULT_PREFIX, ARQ_IN_PROGRESS_PREFIX, ARQ_ABORTS}
    known |= {
        "Q:waiting:high",
        "Q:waiting:normal",
        "Q:waiting:low",
        "Q:turns:high",
        "Q:turns:normal",
        "Q:turns:low",
        "Q:bucket:10s:",
        "Q:bucket:1m:",
    }
    for cell, *_ in table(ARCHITECTURE, "## Redis keys"):
        for name in cell.split(", "):
            assert name.partition("<")[0] in known, name
    scripts = {script.value for script in ScriptName}
    for cell, *_ in table(ARCHITECTURE, "## The life of a job"):
        assert set(cell.split(", ")) <= scripts, cell
    diagram = blocks(ARCHITECTURE, "mermaid")[0].text
    edges = set(re.findall(r"[a-z_]+", " ".join(re.findall(r": (.+)", diagram))))
    assert edges - {"a", "stock", "client", "s", "enqueue"} <= scripts
    of_one_job = blocks(ARCHITECTURE, "mermaid")[1].text
    assert set(re.findall(r">>R: (\w+)", of_one_job)) <= scripts


def test_statements_about_arq_are_correct() -> None:
    parameters = inspect.signature(Worker.__init__).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    assert ARQ_VERSION == "0.28.0"
    assert (defaults["poll_delay"], defaults["job_timeout"], defaults["keep_result"]) == (0.5, 300, 3600)
    assert defaults["job_completion_wait"] == 0
    expiry = inspect.signature(ArqRedis.__init__).parameters["expires_extra_ms"].default
    assert expiry == 24 * 3600 * 1000
    for named in ("start_jobs", "run_job", "finish_job", "handle_sig", "_poll_iteration", "main"):
        assert hasattr(Worker, named)


def test_the_changelog_knows_this_version() -> None:
    assert f"## [{__version__}]" in prose(CHANGELOG)


def test_contributing_explains_each_kind_of_addition() -> None:
    additions = ("a Lua script", "a command", "an output format", "a setting", "a class of dead letters")
    assert all(section(CONTRIBUTING, f"### … {what}").strip() for what in additions)


@EACH
def test_diagrams_have_no_semicolon(document: Path) -> None:
    for block in blocks(document, "mermaid"):
        assert ";" not in block.text, "Mermaid ends a statement there"
