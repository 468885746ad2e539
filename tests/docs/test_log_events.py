"""docs/logs.md has every log event with its fields and levels."""

from __future__ import annotations

import ast
import logging
import re
from collections import defaultdict
from collections.abc import Iterator

from previewops.logs.redaction import MAX_LINE
from previewops.logs.setup import JobLogContext
from previewops.settings import Settings
from previewops.supervisor.actions import Action
from tests.docs.documents import ROOT, section, table

LOGS = ROOT / "docs" / "logs.md"
LEVELS = ("debug", "info", "warning", "error", "critical")


def logged() -> dict[str, tuple[set[str], set[str]]]:
    """Returns levels and fields of every event by name, from the source."""
    events: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for folder in ("previewops", "worker"):
        for path in (ROOT / folder).rglob("*.py"):
            for level, name, fields in _calls(ast.parse(path.read_text("utf-8"))):
                events[name][0].add(level)
                events[name][1].update(fields)
    return dict(events)


def _calls(tree: ast.AST) -> Iterator[tuple[str, str, list[str]]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=method), args=args, keywords=named
            ) if method in (*LEVELS, "log", "bind"):
                name = args[-1]
                assert isinstance(name, ast.Constant), ast.unparse(node)
                fields = [keyword.arg or "**" for keyword in named if keyword.arg != "exc_info"]
                yield ("its own" if method == "log" else method), str(name.value), fields


def test_the_events_are_those_of_the_code() -> None:
    documented = {
        name: (set(levels.split(", ")), set(fields.split(", ")) - {""})
        for name, levels, fields, _ in table(LOGS, "## Events")
    }
    assert documented == logged()


def test_each_action_of_the_supervisor_has_a_level_and_is_logged() -> None:
    documented = {name: level for name, level, _ in table(LOGS, "## Actions of the supervisor")}
    assert documented == {action.kind: logging.getLevelName(action.level).lower() for action in Action}
    source = "".join(path.read_text("utf-8") for path in (ROOT / "previewops" / "supervisor").glob("*.py"))
    assert {action.name for action in Action} == set(re.findall(r"\bAction\.([A-Z_]+)", source))


def test_fields_of_every_line_are_documented() -> None:
    documented = {name for name, _ in table(LOGS, "## Every line")}
    job = JobLogContext("j", 1, "w", {"projectId": "p", "requestId": "r"})
    assert documented == {"event", "level", "timestamp", *job.fields()}
    runbook = section(ROOT / "docs" / "runbook.md", "## Read the logs")
    named = set(re.findall(r"`([a-z]\w*)`", runbook))
    assert "jobId" in named
    assert named <= documented


def test_the_bound_and_the_settings_are_those_of_the_code() -> None:
    assert f"{MAX_LINE:,} characters" in section(LOGS, "## What is not logged")
    text = LOGS.read_text("utf-8")
    assert all(name in text for name, _, _ in Settings.table() if name.startswith("PREVIEW_LOG_"))
