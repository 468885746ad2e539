"""``previewops record`` as a process: content, rejected files, Redis outages."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from previewops.recording.reader import Recording
from tests.integration.cli_program import Program, payload, queue_driver
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


def wait_for_line(process: subprocess.Popen[bytes], text: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line.decode():
            return line.decode()
    raise AssertionError(f"process ended without printing {text!r}")


async def test_recording_contains_the_tui_data(program: Program, redis_url: str) -> None:
    async with queue_driver(redis_url) as driver:
        await driver.add_dead_letters("dead-1")
        await driver.submit(payload("a-1"), payload("b-1", priority="high"))
        await driver.claim()
        await driver.heartbeat()
    done = program.run("record", "night.rec", "--every", "0.25", "--for", "1s")
    assert done.code == 0, done.err
    assert done.out.startswith("recording preview-jobs into night.rec every 0.25 s for 1.0 s\n")
    assert " snapshots over " in done.out
    with closing(Recording.open(program.folder / "night.rec")) as recording:
        (stretch,) = recording.intervals
        frame = recording.frame_at(stretch.end_ms).frame
    assert frame is not None
    snapshot = frame.snapshot
    assert (snapshot.queue_name, snapshot.dead, snapshot.active) == ("preview-jobs", 1, 1)
    assert [run.job_id for run in snapshot.running_jobs] == ["b-1"]
    assert [worker.worker_id for worker in snapshot.workers] == ["w-1"]
    assert [event.kind for event in snapshot.events] == ["dead"]
    assert sum(bucket.counts.get("accepted", 0) for bucket in snapshot.buckets) == 3
    assert frame.health is not None
    assert {"workers", "redis", "dead-letters"} <= {check.name for check in frame.health.checks}


def test_signal_ends_the_recording_cleanly(program: Program) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        process = program.start(
            "record", "night.rec", "--every", "0.25", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"recording ")
        path = program.folder / "night.rec"
        before = path.stat().st_size
        while path.stat().st_size == before and process.poll() is None:
            pass
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert b"in night.rec" in out
        assert err == b""
    with closing(Recording.open(program.folder / "night.rec")) as recording:
        assert not recording.faults
        assert len(recording.intervals) == 1, "the second one went on where the first had ended"


def test_redis_outage_is_recorded_as_a_gap(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    server = redis_process(start=False)
    program = Program(tmp_path, server.url)
    process = program.start(
        "record", "night.rec", "--every", "0.25", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert "cannot be used" in wait_for_line(process, "note: no snapshot of the queue")
        server.start()
        wait_for_line(process, "recording again")
        server.kill()
        wait_for_line(process, "note: no snapshot of the queue")
        server.start()
        wait_for_line(process, "recording again")
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"2 gaps of " in out
    with closing(Recording.open(tmp_path / "night.rec")) as recording:
        assert not recording.faults
        start = recording.frame_at(recording.intervals[0].start_ms)
        assert start.frame is None
        assert start.gap is not None
        assert recording.frame_at(recording.intervals[-1].end_ms).frame is not None


def test_redis_never_reachable_exits_69(tmp_path: Path) -> None:
    program = Program(tmp_path, f"unix://{tmp_path}/nobody.sock")
    done = program.run("record", "night.rec", "--every", "0.25", "--for", "1s")
    assert done.code == 69
    assert "no snapshot of the queue" in done.err
    assert "0 snapshots" in done.out


def test_other_files_are_not_overwritten(program: Program) -> None:
    for name, content in (("notes.txt", b"dear diary\n"), ("picture.png", b"\x89PNG\r\n\x1a\n")):
        program.write(name, content)
        done = program.run("record", name, "--for", "1s")
        assert done.code == 2
        assert f"{name} is not a recording: it begins with" in done.err
        assert (program.folder / name).read_bytes() == content
    done = program.run("record", "nowhere/night.rec", "--for", "1s")
    assert done.code == 1
    assert "nowhere/night.rec cannot be written: No such file or directory" in done.err


@pytest.mark.parametrize(
    "arguments", [("--for", "soon"), ("--for", "0s"), ("--every", "0"), ("--max-mb", "0")]
)
def test_invalid_options_are_usage_errors(program: Program, arguments: tuple[str, ...]) -> None:
    done = program.run("record", "night.rec", *arguments)
    assert done.code == 2
    assert not (program.folder / "night.rec").exists()
