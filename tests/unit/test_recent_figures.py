"""What workers and supervisors report about their last minutes, and how it is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from previewops.queue.tolerant_values import StoredFields, UnreadableCollector
from previewops.snapshot.fleet import HostGauges, parse_supervisor
from previewops.snapshot.recent import RECENT_STEPS
from previewops.supervisor.host_gauges import DiskMeter, GaugeMeter, GaugeRecorder
from previewops.supervisor.log_tail import (
    MAX_BYTES,
    MAX_LINE,
    MAX_LINES,
    LogUnavailable,
    format_tail,
    read_log_tail,
)
from previewops.tui.viewmodel.fleet.gauges import gauge_lines, percent_trend
from previewops.tui.viewmodel.fleet.log_lines import format_log_lines
from previewops.tui.viewmodel.fleet.table import format_rate_line
from previewops.tui.viewmodel.spans import Line, Tone, width_of
from previewops.worker.engine.recent_completions import RecentCompletions
from tests.tui import scenes


class ManualTime:
    def __init__(self) -> None:
        self.seconds = 30_000.0

    def __call__(self) -> float:
        return self.seconds


def text(line: Line) -> str:
    return "".join(span.text for span in line)


def test_completions_by_closed_steps() -> None:
    now = ManualTime()
    recent = RecentCompletions(now)
    assert recent.read() == []
    for _ in range(3):
        recent.add()
    assert recent.read() == [], "the current step is not reported: it would change with each job"
    now.seconds += 30
    assert recent.read() == [3]
    recent.add()
    now.seconds += 90
    assert recent.read() == [3, 1, 0, 0]
    now.seconds += 30 * 1_000
    assert recent.read() == [0] * RECENT_STEPS
    before = recent.read()
    now.seconds += 30
    assert recent.read() == before, "an idle worker reports the same"


def test_gauges_are_means_of_closed_steps() -> None:
    now = ManualTime()
    recorder = GaugeRecorder(now)
    for percent in (10, 30):
        recorder.add(percent)
    assert recorder.means() == ()
    now.seconds += 30
    recorder.add(99)
    assert recorder.means() == (20,)


def test_the_gauges_of_this_host_survive_their_way_through_redis(tmp_path: Path) -> None:
    meter = GaugeMeter(tmp_path, ManualTime())
    meter.record(0.5)
    gauges = meter.gauges()
    assert gauges.cpu_percent == 50
    assert 0 <= gauges.memory_percent <= 100
    state = scenes.supervisor("h", (), gauges=gauges).state
    stored = StoredFields.from_json("key", json.dumps(state.as_json()).encode(), UnreadableCollector())
    assert parse_supervisor(stored).gauges == gauges


@pytest.mark.parametrize("damaged", [7, [], "x", {"cpu": "x", "cpuRecently": ["x", 4], "load": []}])
def test_damaged_gauges_are_counted_and_do_not_hide_the_supervisor(damaged: object) -> None:
    unreadable = UnreadableCollector()
    raw = json.dumps({"host": "h", "gauges": damaged}).encode()
    assert parse_supervisor(StoredFields.from_json("key", raw, unreadable)).host == "h"
    assert unreadable.result().count == 1


def test_the_disk_of_a_missing_folder_is_unknown(tmp_path: Path) -> None:
    disk = DiskMeter(tmp_path / "missing", ManualTime())
    disk.read()
    assert disk.read() is None


@pytest.mark.parametrize(
    ("recent", "expected"),
    [
        ((), "-"),
        ((5,), "-"),
        ((1, 2), "         █     3"),
        ((9, 1, 2), "         █     3"),
        ((4, 4, 0, 0), "        █▁     0"),
        ((6_000,) * RECENT_STEPS, "██████████ 12.0k"),
    ],
)
def test_rates_are_of_whole_minutes(recent: tuple[int, ...], expected: str) -> None:
    assert text(format_rate_line(recent)) == expected


def test_trends_are_relative_to_the_whole() -> None:
    assert percent_trend((0, 50, 100)) == "▁▅█"
    assert percent_trend((100, 0, 100), 2) == "▅"
    assert percent_trend(()) == ""


@pytest.mark.parametrize("columns", [20, 40, 78])
def test_gauge_lines_fit_and_a_full_disk_stands_out(columns: int) -> None:
    full = HostGauges(100, 1, 0.5, 2**34, 2**33, 2**40, 2**30)
    lines = gauge_lines(full, columns)
    assert max(map(width_of, lines)) <= columns
    (disk,) = (line for line in lines if line[0].text.startswith("disk"))
    assert columns < 40 or any("100%" in span.text and span.tone is Tone.WARN for span in disk)
    assert len(gauge_lines(HostGauges(0, 2, 0, 0, 0, 0, 0), columns)) == 3, "an unknown disk has no line"


def test_the_tail_of_a_log_is_short_redacted_and_plain() -> None:
    lines = [f"line {number}" for number in range(200)]
    lines += ["redis://:secret@host:6379/0 failed", "\x1b[31mred\x07", "x" * 5_000]
    tail = format_tail("\n".join(lines).encode() + b"\n\xff").splitlines()
    assert len(tail) == MAX_LINES
    assert "secret" not in "\n".join(tail)
    assert "\x1b" not in "\n".join(tail)
    assert max(map(len, tail)) == MAX_LINE
    wide = format_tail(("é" * 900 + "\n").encode() * 60)
    assert len(wide.encode()) <= MAX_BYTES
    assert wide.startswith("é" * 900), "a line that does not fit is left out whole"


async def test_the_end_of_a_long_file_is_read(tmp_path: Path) -> None:
    log = tmp_path / "worker-1.log"
    log.write_text("".join(f"line {number} {'x' * 50}\n" for number in range(5_000)))
    tail = (await read_log_tail(log)).splitlines()
    assert tail[-1].startswith("line 4999 ")
    assert tail[0].startswith("line 4950 ")
    with pytest.raises(LogUnavailable, match="No such file"):
        await read_log_tail(tmp_path / "missing")
    with pytest.raises(LogUnavailable, match="directory"):
        await read_log_tail(tmp_path)


async def test_the_output_of_a_command_is_read() -> None:
    assert await read_log_tail(("sh", "-c", "echo one; echo two")) == "one\ntwo"
    with pytest.raises(LogUnavailable, match="exit status 1"):
        await read_log_tail(("false",))
    with pytest.raises(LogUnavailable, match="No such file"):
        await read_log_tail(("no-such-command",))


def test_lines_of_json_are_told_as_text() -> None:
    entry = {
        "event": "job.failed",
        "level": "warning",
        "timestamp": "2026-11-29T10:11:12Z",
        "jobId": "a\x1b",
        "n": [1],
    }
    first, second = format_log_lines(f"{json.dumps(entry)}\nTraceback: x")
    assert text(first).startswith("10:11:12  warning  job.failed  jobId=a")
    assert text(first).endswith("n=[1]")
    assert "\x1b" not in text(first)
    assert text(second) == "Traceback: x"
    assert text(format_log_lines("")[0]) == "the log is empty"
