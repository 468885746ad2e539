"""``previewops dlq`` as a process, on dead letters in Redis."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

import pytest
import redis

from previewops.cli.dlq import bulk
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.queue import Queue
from previewops.states import JobState
from tests.integration.cli_program import ESCAPES, Program, ProgramResult, aligned, payload, queue_driver

pytestmark = pytest.mark.redis

LONG = "asset board (pictures/board.png): there is no such file, although several folders were searched"


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


@pytest.fixture
async def program_with_dead(program: Program, redis_url: str) -> Program:
    """Three dead letters of one cause and one of another, in two projects."""
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters("m-1", "m-2", message=LONG)
        await driver.wait_for_next_ms()
        await driver.add_dead_letters("m-3", project="trials", message=LONG)
        await driver.wait_for_next_ms()
        await driver.add_dead_letters("c-1", code="image-corrupt", message="asset b: cannot be decoded")
    return program


def dead(program: Program) -> set[str]:
    return {item["jobId"] for item in program.run("dlq", "list", "--json").json["deadLetters"]}


async def test_list(program_with_dead: Program) -> None:
    done = program_with_dead.run("dlq", "list")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["JOB", "PROJECT", "ERROR", "DIED", "REASON"]
    assert [line.split()[0] for line in lines[1:]][:2] == ["c-1", "m-3"]
    assert {line.split()[0] for line in lines[3:]} == {"m-1", "m-2"}
    assert aligned(lines)


async def test_list_as_json(program_with_dead: Program) -> None:
    data = program_with_dead.run("dlq", "list", "--json", "--limit", "2").json
    assert data["more"] is True
    newest = data["deadLetters"][0]
    assert (newest["jobId"], newest["status"], newest["errorCode"]) == ("c-1", "dead", "image-corrupt")
    assert newest["failedReason"] == "asset b: cannot be decoded"
    assert len(newest["fingerprint"]) == 12


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--error", "image-corrupt"), {"c-1"}),
        (("--error", "PermanentJobError"), {"c-1", "m-1", "m-2", "m-3"}),
        (("--error", "SEVERAL FOLDERS"), {"m-1", "m-2", "m-3"}),
        (("--project", "trials"), {"m-3"}),
        (("--project", "trials", "--error", "image-corrupt"), set()),
        (("--older-than", "1h"), set()),
        (("--older-than", "0s"), {"c-1", "m-1", "m-2", "m-3"}),
        (("m-1", "c-1", "never"), {"m-1", "c-1"}),
        (("--filter", "project:tri"), {"m-3"}),
        (("--filter", "!id:m- decoded"), {"c-1"}),
        (("--all",), {"c-1", "m-1", "m-2", "m-3"}),
    ],
    ids=lambda value: " ".join(sorted(value)),
)
async def test_filters(program_with_dead: Program, arguments: tuple[str, ...], expected: set[str]) -> None:
    data = program_with_dead.run("dlq", "list", "--json", *arguments)
    assert {item["jobId"] for item in data.json["deadLetters"]} == expected
    exported = program_with_dead.run("dlq", "export", *arguments)
    assert {item["jobId"] for item in exported.json_lines} == expected


async def test_fingerprint_prefix_selects_a_group(program_with_dead: Program) -> None:
    group = program_with_dead.run("dlq", "list", "c-1", "--json").json["deadLetters"][0]["fingerprint"]
    for digits in (group, group[:6], group[:6].upper()):
        data = program_with_dead.run("dlq", "list", "--fingerprint", digits, "--json").json["deadLetters"]
        assert [item["jobId"] for item in data] == ["c-1"]


async def test_groups(program_with_dead: Program) -> None:
    done = program_with_dead.run("dlq", "list", "--groups")
    lines = done.out.splitlines()
    assert lines[0].split() == ["GROUP", "COUNT", "ERROR", "LAST", "EXAMPLE", "REASON"]
    assert [line.split()[1:3] for line in lines[1:]] == [["3", "asset-missing"], ["1", "image-corrupt"]]
    assert aligned(lines)
    data = program_with_dead.run("dlq", "list", "--groups", "--json").json["groups"]
    assert [item["count"] for item in data] == [3, 1]
    assert data[0]["example"]["jobId"] == "m-3"
    narrowed = program_with_dead.run("dlq", "list", "--groups", "--project", "lessons", "--json").json[
        "groups"
    ]
    assert [item["count"] for item in narrowed] == [2, 1]


async def test_show(program_with_dead: Program) -> None:
    done = program_with_dead.run("dlq", "show", "m-1")
    assert done.code == 0
    for text in (
        "asset-missing",
        "Failed attempts",
        "after 1.2 s, on driver",
        "Traceback of attempt 1",
        "line 2",
    ):
        assert text in done.out
    assert json.loads(done.out.partition("Payload\n")[2]) == payload("m-1")
    complete = program_with_dead.run("dlq", "show", "m-1", "--json").json
    assert complete["payload"] == payload("m-1")
    assert complete["history"][0]["traceback"].startswith("Traceback")


async def test_show_rejects_a_completed_job(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.complete("fine")
    done = program.run("dlq", "show", "fine", "--json")
    assert done.code == 1
    assert "job fine is completed, not a dead letter" in done.err
    assert done.json["message"].startswith("job fine is completed")
    assert program.run("dlq", "show", "never").code == 1


async def test_requeue_by_filter(program_with_dead: Program) -> None:
    done = program_with_dead.run(
        "dlq", "requeue", "--error", "asset-missing", "--yes", "--priority", "low", "--reason", "found"
    )
    assert (done.code, done.out) == (0, "requeued 3, skipped 0\n")
    assert "3 dead letters in 1 group:" in done.err
    assert dead(program_with_dead) == {"c-1"}
    data = program_with_dead.run("status", "m-1", "--json").json
    assert (data["status"], data["priority"], data["requeues"]) == ("waiting", "low", 1)


async def test_bulk_command_is_recorded_with_operator_and_reason(
    program_with_dead: Program, redis_url: str
) -> None:
    program_with_dead.run(
        "dlq", "requeue", "--all", "--yes", "--reason", "storage is back", SUDO_USER="alice"
    )
    with redis.Redis.from_url(redis_url) as client:
        ((_, event),) = client.xrevrange("preview-jobs:events", count=1)
    assert event[b"who"].startswith(b"alice@")
    assert (event[b"why"], event[b"done"]) == (b"storage is back", b"4")


async def test_requeue_of_one_job_needs_no_confirmation(program_with_dead: Program) -> None:
    done = program_with_dead.run("dlq", "requeue", "m-1")
    assert (done.code, done.out) == (0, "requeued 1, skipped 0\n")


async def test_requeue_with_another_payload(
    program_with_dead: Program, redis_url: str, tmp_path: Path
) -> None:
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(payload("m-1", project="mended")))
    done = program_with_dead.run("dlq", "requeue", "--payload", str(mended), "--reason", "a typo", "m-1")
    assert (done.code, done.out) == (0, f"requeued m-1 with the payload of {mended}\n")
    data = program_with_dead.run("status", "m-1", "--json").json
    assert (data["status"], data["projectId"]) == ("waiting", "mended")
    with redis.Redis.from_url(redis_url) as client:
        _, fields = client.xrevrange("preview-jobs:events", count=1)[0]
    assert (fields[b"edited"], fields[b"why"]) == (b"1", b"a typo")


async def test_requeue_with_a_payload_obeys_the_asset_hosts(program_with_dead: Program) -> None:
    with_asset = payload("m-1")
    with_asset["previewRequest"]["assets"] = [{"id": "a", "uri": "https://images.example.org/a.png"}]
    file = program_with_dead.write("with-asset.json", with_asset)
    rejected = program_with_dead.run("dlq", "requeue", "--payload", file, "m-1")
    assert (rejected.code, "uri-host" in rejected.err or "PREVIEW_ASSET_HOSTS" in rejected.err) == (65, True)
    allowed = {"PREVIEW_ASSET_HOSTS": "images.example.org"}
    done = program_with_dead.run("dlq", "requeue", "--payload", file, "m-1", **allowed)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("m-1", "m-2"), 2, "--payload requires exactly one JOB"),
        (("m-1", "--project", "p"), 2, "--payload requires exactly one JOB"),
        (("m-2",), 65, "payload for job m-2: found jobId m-1, allowed m-2"),
    ],
    ids=["two", "filter", "other"],
)
async def test_payload_option_requires_one_job_and_its_job_id(
    program_with_dead: Program, tmp_path: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(payload("m-1")))
    done = program_with_dead.run("dlq", "requeue", "--payload", str(mended), *arguments)
    assert (done.code, text in done.err) == (code, True), done.err
    (tmp_path / "broken.json").write_text("{}")
    assert (
        program_with_dead.run("dlq", "requeue", "--payload", str(tmp_path / "broken.json"), "m-1").code == 65
    )
    assert program_with_dead.run("dlq", "requeue", "--payload", str(tmp_path / "none.json"), "m-1").code == 2
    assert dead(program_with_dead) == {"c-1", "m-1", "m-2", "m-3"}


@pytest.mark.parametrize("text", ["", " ", "! ", "error:", '""'])
async def test_empty_filter_does_not_select_all(program_with_dead: Program, text: str) -> None:
    done = program_with_dead.run("dlq", "discard", "--yes", "--filter", text)
    assert (done.code, "--filter is empty" in done.err) == (2, True)
    assert len(dead(program_with_dead)) == 4


async def test_job_that_is_not_a_dead_letter_is_skipped_and_reported(program_with_dead: Program) -> None:
    done = program_with_dead.run("dlq", "requeue", "m-1", "never", "--yes")
    assert (done.code, done.out) == (1, "requeued 1, skipped 1\n")
    assert "not dead letters: never" in done.err


async def test_discard(program_with_dead: Program) -> None:
    done = program_with_dead.run("dlq", "discard", "--project", "trials", "-y")
    assert (done.code, done.out) == (0, "discarded 1, skipped 0\n")
    assert dead(program_with_dead) == {"c-1", "m-1", "m-2"}
    assert program_with_dead.run("status", "m-3").code == 1


@pytest.mark.parametrize("act", ["requeue", "discard"])
async def test_without_terminal_and_yes_nothing_is_executed(program_with_dead: Program, act: str) -> None:
    done = program_with_dead.run("dlq", act, "--all")
    assert done.code == 2
    assert "4 dead letters would be" in done.err
    assert "hint: add --yes" in done.err
    assert len(dead(program_with_dead)) == 4


async def test_discard_of_one_job_needs_confirmation(program_with_dead: Program) -> None:
    assert program_with_dead.run("dlq", "discard", "m-1").code == 2
    assert "m-1" in dead(program_with_dead)


@pytest.mark.parametrize("act", ["requeue", "discard"])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "no dead letters selected"),
        (("--yes",), "no dead letters selected"),
        (("--all", "--error", "x"), "--all cannot be combined with"),
        (("--all", "m-1"), "--all cannot be combined with"),
        (("--error", ""), "--error is empty"),
        (("--older-than", "5y"), "found '5y', allowed 30s"),
        (("--older-than", "-5s"), "found '-5s', allowed 30s"),
    ],
)
def test_invalid_options(program: Program, act: str, arguments: tuple[str, ...], text: str) -> None:
    done = program.run("dlq", act, *arguments)
    assert done.code == 2
    assert text in done.err


def test_empty_queue(program: Program) -> None:
    done = program.run("dlq", "requeue", "--all")
    assert (done.code, done.out) == (0, "requeued 0, skipped 0\n")
    assert "no dead letters" in program.run("dlq", "list").err
    assert "no dead letters" in program.run("dlq", "list", "--groups").err


def run_with_reply(program: Program, typed: bytes, *arguments: str) -> ProgramResult:
    """Runs a command on a terminal and types ``typed``."""
    ours, theirs = pty.openpty()
    try:
        with program.start(*arguments, stdin=theirs, stdout=-1, stderr=-1) as started:
            os.close(theirs)
            os.write(ours, typed)
            out, err = started.communicate(timeout=60)
    finally:
        os.close(ours)
    return ProgramResult(started.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("typed", [b"\n", b"n\n", b"nonsense\n", b"\x04"])
async def test_any_reply_but_yes_cancels(program_with_dead: Program, typed: bytes) -> None:
    done = run_with_reply(program_with_dead, typed, "dlq", "discard", "--all")
    assert done.code == 1
    assert "discard 4 dead letters: they are deleted permanently" in done.err
    assert "Continue? [y/N]" in done.err
    assert "nothing was discarded" in done.err
    assert len(dead(program_with_dead)) == 4


async def test_yes_confirms(program_with_dead: Program) -> None:
    done = run_with_reply(program_with_dead, b"y\n", "dlq", "requeue", "--all")
    assert (done.code, done.out) == (0, "requeued 4, skipped 0\n")


async def test_letters_that_die_during_confirmation_are_kept(
    program_with_dead: Program, redis_url: str
) -> None:
    ours, theirs = pty.openpty()
    try:
        arguments = ("dlq", "discard", "--all")
        with program_with_dead.start(*arguments, stdin=theirs, stdout=-1, stderr=-1) as started:
            os.close(theirs)
            assert started.stderr is not None
            prompt = b""
            while b"Continue?" not in prompt:
                text = os.read(started.stderr.fileno(), 4096)
                assert text, prompt
                prompt += text
            async with queue_driver(redis_url) as driver:
                await driver.add_dead_letters("late")
            os.write(ours, b"y\n")
            out, _ = started.communicate(timeout=60)
    finally:
        os.close(ours)
    assert b"discard 4 dead letters" in prompt
    assert out == b"discarded 4, skipped 0\n"
    assert dead(program_with_dead) == {"late"}


async def test_a_hundred_letters_require_the_typed_command(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters(*(f"j-{number}" for number in range(100)))
    done = run_with_reply(program, b"y\n", "dlq", "discard", "--all")
    assert done.code == 1
    assert "Type discard to continue:" in done.err
    done = run_with_reply(program, b"discard\n", "dlq", "discard", "--all")
    assert (done.code, done.out) == (0, "discarded 100, skipped 0\n")


async def test_export_to_a_file(program_with_dead: Program) -> None:
    done = program_with_dead.run("dlq", "export", "--project", "trials", "-o", "dead.jsonl")
    assert (done.code, done.out) == (0, "")
    assert "exported 1 dead letter to dead.jsonl" in done.err
    (line,) = (program_with_dead.folder / "dead.jsonl").read_text().splitlines()
    complete = json.loads(line)
    assert complete["payload"] == payload("m-3", project="trials")
    assert [item["code"] for item in complete["history"]] == ["asset-missing"]
    assert [path.name for path in program_with_dead.folder.iterdir() if ".part" in path.name] == []


async def test_export_to_unwritable_file(program_with_dead: Program) -> None:
    done = program_with_dead.run("dlq", "export", "-o", "nowhere/dead.jsonl")
    assert done.code == 1
    assert "nowhere/dead.jsonl cannot be written: No such file or directory" in done.err


@pytest.mark.parametrize("to", [("-o", "again.jsonl"), ()], ids=["file", "stdout"])
async def test_exported_payloads_can_be_submitted_again(
    program_with_dead: Program, redis_url: str, to: tuple[str, ...]
) -> None:
    ids = ("m-1", "m-3")
    done = program_with_dead.run("dlq", "export", "--payloads", *to, *ids)
    assert done.code == 0
    assert "exported 2 payloads" in done.err
    raw = done.out.encode() if not to else (program_with_dead.folder / "again.jsonl").read_bytes()
    assert [json.loads(line) for line in raw.splitlines()] == [
        payload("m-1"),
        payload("m-3", project="trials"),
    ]
    # As dead letters they are known jobs.
    known = program_with_dead.run("submit", "--jsonl", "-", "--json", stdin=raw).json_lines
    assert [(item["new"], item["status"]) for item in known] == [(False, "dead")] * 2
    taken = program_with_dead.run(
        "--queue", "other", "submit", "--jsonl", "-", "--json", stdin=raw
    ).json_lines
    assert [item["error"] for item in taken] == ["conflict"] * 2, "ids are the same in all queues of a Redis"
    program_with_dead.run("dlq", "discard", *ids, "--yes")
    again = program_with_dead.run("submit", "--jsonl", "-", "--json", stdin=raw)
    assert (again.code, [item["new"] for item in again.json_lines]) == (0, [True, True])
    async with queue_driver(redis_url) as driver:
        for claim in await driver.claim(2):
            await driver.finish(claim)
        states = [(await Queue(driver.redis, driver.settings).status(job_id)).state for job_id in ids]
    assert states == [JobState.COMPLETED] * 2


async def test_export_skips_and_reports_missing_payloads(program_with_dead: Program, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.delete("arq:job:m-1", "arq:result:m-1")
    done = program_with_dead.run("dlq", "export", "--payloads", "m-1", "m-3")
    assert done.code == 1
    assert [item["jobId"] for item in done.json_lines] == ["m-3"]
    assert "skipped, payload missing: m-1" in done.err


@pytest.mark.parametrize("form", [(), ("--payloads",)], ids=["whole", "payloads"])
def test_export_reports_jobs_that_are_not_dead_letters(
    program_with_dead: Program, form: tuple[str, ...]
) -> None:
    done = program_with_dead.run("dlq", "export", *form, "m-1", "nowhere", "m-3", "elsewhere")
    assert (done.code, [item["jobId"] for item in done.json_lines]) == (1, ["m-1", "m-3"])
    assert "not dead letters: nowhere, elsewhere" in done.err


async def test_escape_sequences_stay_in_redis(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters("m-1", message=f"evil {ESCAPES}\nsecond line", code=f"c{ESCAPES}")
    for arguments in (("list",), ("list", "--groups"), ("show", "m-1"), ("requeue", "m-1")):
        done = program.run("dlq", *arguments)
        assert done.code == 0
        assert "\\u001b[2J" in done.out + done.err
        assert "\x1b" not in done.out + done.err
        assert "\x07" not in done.out + done.err
        assert not any(line.startswith("second line") for line in done.out.splitlines())


async def test_preview_counts_more_letters_than_it_groups(
    program_with_dead: Program,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk, "MAX_PREVIEWED", 2)
    async with queue_driver(redis_url) as driver:
        dead_letters = DeadLetters(driver.redis, driver.settings)
        assert await bulk._preview(dead_letters, DeadLetterFilter(), await dead_letters.now_ms()) == (4, ())
    assert "4 dead letters in 2 groups, of the newest 2:" in capsys.readouterr().err
