"""previewops projects as a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli_program import Program, aligned
from tests.queue_support import payload, queue_fixture

pytestmark = pytest.mark.redis


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


async def test_projects_are_listed_with_who_waits_and_who_is_held(program: Program, redis_url: str) -> None:
    assert program.run("projects").out == "every other project: weight 1, no maximum of active jobs\n"
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload(f"{name}{n}", project=name) for name in "ab" for n in range(3)])
        limits = ("--weight", "3", "--max-active", "1", "--reason", "long renders")
        done = program.run("projects", "set", "a", *limits)
        assert (done.code, done.out) == (0, "a has weight 3, at most 1 active\n")
        await b.worker().claim(2)
        await b.worker().claim(1)
    lines = program.run("projects").out.splitlines()
    assert aligned(lines[:-1])
    assert [line.split()[0] for line in lines[1:-1]] == ["a", "b"]
    assert lines[1].split()[-4:] == ["1", "1", "3", "held"]
    data = program.run("projects", "--json").json
    assert [(row["project"], row["held"]) for row in data["projects"]] == [("a", True), ("b", False)]
    events = program.run("events", "--operators", "--json").out
    assert all(text in events for text in ("project-limits", "weight:3,active:1", "long renders"))


def test_limits_are_set_kept_and_reset(program: Program) -> None:
    assert program.run("projects", "set", "*", "--max-active", "8").out.startswith(
        "every other project has weight 1"
    )
    assert program.run("projects", "set", "a", "--weight", "2").out == "a has weight 2, at most 8 active\n"
    again = program.run("projects", "set", "a", "--weight", "2").out
    assert again == "a had already weight 2, at most 8 active\n"
    unlimited = program.run("projects", "set", "a", "--max-active", "none").out
    assert unlimited == "a has weight 2, no maximum of active jobs\n"
    assert program.run("projects", "reset", "a").out == "a has again weight 1, at most 8 active\n"
    assert "had no limits of its own" in program.run("projects", "reset", "a").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "a"),
        ("set", "a b", "--weight", "1"),
        ("set", "a", "--weight", "0"),
        ("set", "a", "--max-active", "0"),
        ("set", "a", "--max-active", "many"),
        ("reset", ""),
    ],
)
def test_bad_input_is_a_usage_error(program: Program, arguments: tuple[str, ...]) -> None:
    done = program.run("projects", *arguments)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "allowed" in done.err or "range" in done.err
