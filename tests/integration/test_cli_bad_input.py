"""Invalid input: rejected with field, found and allowed value; nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.cli_program import Program, payload

pytestmark = pytest.mark.redis

HUGE = 100_000_000
GOOD = json.dumps(payload()).encode()
EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Iterator[Program]:
    yield Program(tmp_path, redis_url)
    with redis.Redis.from_url(redis_url) as client:
        left = [key for key in client.scan_iter() if key != b"preview-jobs:totals"]
        assert not left, "a rejected payload left more than its count"
    assert not (tmp_path / "data").exists()


BAD = {
    "not JSON": (b"{'jobId': 1}", "(document)", "JSON"),
    "not UTF-8": (b'{"jobId": "\xff"}', "byte 0xff", "UTF-8"),
    "10,000 levels": (b"[" * 10_000 + b"]" * 10_000, "nested too deeply", "64 levels"),
    "NaN": (GOOD.replace(b"false", b"NaN"), "NaN", "finite"),
    "duplicate names": (
        GOOD.replace(b'"dryRun"', b'"jobId": "b", "dryRun"'),
        "is repeated in its object",
        "each name once",
    ),
    "a path as jobId": (GOOD.replace(b'"job-1"', b'"../../x"'), "../../x", "without '..'"),
    "a path as projectId": (GOOD.replace(b'"lessons"', b'"/etc"'), "/etc", "/projectId"),
    "empty": (b"", "is empty", "one JSON object"),
    "an array": (b"[]", "must be an object", "an object"),
    "a number of 10,000 digits": (GOOD.replace(b"false", b"9" * 10_000), "/dryRun", "whole number"),
}


def test_a_time_that_is_not_a_number_is_rejected(program: Program) -> None:
    done = program.run("submit", program.write("job.json", GOOD), "--wait", "--timeout", "nan")
    assert done.code == 2
    assert "'nan' is not a number" in done.err


@pytest.mark.parametrize("how", ["file", "stdin"])
@pytest.mark.parametrize(("raw", "found", "allowed"), BAD.values(), ids=BAD)
def test_invalid_payload_is_rejected(
    program: Program, how: str, raw: bytes, found: str, allowed: str
) -> None:
    if how == "file":
        done = program.run("submit", program.write("bad.json", raw))
    else:
        done = program.run("submit", "-", stdin=raw)
    assert done.code == 65
    assert done.out == ""
    assert done.err.startswith("bad.json: " if how == "file" else "stdin: ")
    assert found in done.err
    assert allowed in done.err


def test_100_mb_file_is_not_read(program: Program) -> None:
    with (program.folder / "huge.json").open("wb") as file:
        file.truncate(HUGE)
    done = program.run("submit", "huge.json")
    assert done.code == 65
    assert "found    100000000 bytes" in done.err
    assert "allowed  1048576 bytes" in done.err


def test_100_mb_pipe_is_not_read(program: Program) -> None:
    with program.start("submit", "-", stdin=-1, stdout=-1, stderr=-1) as started:
        assert started.stdin is not None
        assert started.stderr is not None
        written = 0
        with suppress(BrokenPipeError):
            while written < HUGE:
                written += started.stdin.write(b" " * 65_536)
        assert written < HUGE
        text = started.stderr.read().decode()
        with suppress(BrokenPipeError):
            started.stdin.close()
    assert started.returncode == 65
    assert "found    more than 1048576 bytes" in text


def test_overlong_jsonl_line_does_not_stop_the_file(program: Program) -> None:
    name = program.write("jobs.jsonl", b"x" * 3_000_000 + b"\n" + b"{}\n")
    done = program.run("validate", name, "--json")
    assert done.code == 65
    first, second = done.json_lines
    assert (first["source"], first["violations"][0]["code"]) == ("jobs.jsonl:1", "too-large")
    assert (second["source"], second["error"]) == ("jobs.jsonl:2", "invalid-payload")


# Too deep nesting is rejected before parsing, with another pointer than a parsed value's.
INVALID = sorted(set((EXAMPLES / "invalid").glob("*[!s].json")) - {EXAMPLES / "invalid" / "27-too-deep.json"})


@pytest.mark.parametrize("example", INVALID, ids=lambda path: path.stem)
def test_invalid_examples_give_their_violations(program: Program, example: Path) -> None:
    program.write("themes/acme.toml", b"")
    settings = {"PREVIEW_ASSET_ROOTS": "/srv/previews/assets", "PREVIEW_WEBHOOK_HOSTS": "app.example"}
    settings["PREVIEW_THEMES"] = str(program.folder / "themes")
    done = program.run("validate", str(example), "--json", **settings)
    assert done.code == 65
    (reply,) = done.json_lines
    assert reply["valid"] is False
    assert reply["violations"] == json.loads(example.with_suffix(".errors.json").read_text())


def test_violations_are_json_on_stdout_and_text_on_stderr(program: Program) -> None:
    bad = payload(priority="urgent", extra=1)
    done = program.run("submit", program.write("bad.json", bad), "--json")
    assert done.code == 65
    (reply,) = done.json_lines
    assert reply["source"] == "bad.json"
    assert [item["pointer"] for item in reply["violations"]] == ["/extra", "/priority"]
    assert all(item["found"] and item["allowed"] for item in reply["violations"])
    assert "bad.json: 2 violations" in done.err


@pytest.mark.parametrize(("name", "text"), [("nowhere.json", "No such file"), ("folder", "Is a directory")])
def test_unreadable_file_is_a_usage_error(program: Program, name: str, text: str) -> None:
    (program.folder / "folder").mkdir()
    for command in ("submit", "validate"):
        done = program.run(command, name)
        assert done.code == 2
        assert text in done.out + done.err


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("cancel",), ("jobs", "--filter"), ("dlq", "requeue"), ("dlq", "list", "--project")],
)
def test_argument_that_is_not_utf_8_is_a_usage_error(program: Program, arguments: tuple[str, ...]) -> None:
    done = program.run(*arguments, os.fsdecode(b"a\xff"))
    assert done.code == 2
    assert r"an argument is not UTF-8 text: 'a\udcff'" in done.err


def test_escape_sequences_do_not_reach_the_terminal(program: Program) -> None:
    evil: dict[str, Any] = payload(jobId="\x1b[2J\x07\u202egone")
    done = program.run("submit", program.write("a\x1b[1mb.json", evil))
    assert done.code == 65
    assert "\x1b" not in done.err
    assert "\x07" not in done.err
    assert "\u202e" not in done.err
    assert "\\u001b[2J" in done.err


def test_all_invalid_settings_are_reported(program: Program) -> None:
    done = program.run("stats", PREVIEW_QUEUE_MAX="many", PREVIEW_LEASE_MS="1")
    assert done.code == 2
    assert "PREVIEW_QUEUE_MAX: found 'many'" in done.err
    assert "PREVIEW_LEASE_MS: found '1'" in done.err
