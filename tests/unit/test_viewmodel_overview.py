"""The overview's lines: figures, bars and charts of sample data."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from previewops.snapshot.history import HistoryColumn, Period
from previewops.states import Priority
from previewops.tui.keymap import SCREENS
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.bars import (
    format_clock_line,
    format_key_line,
    format_tab_line,
    format_title_line,
    short_count,
)
from previewops.tui.viewmodel.chart_drawing import AXIS_COLUMNS, MARK, MARK_TONE
from previewops.tui.viewmodel.overview import charts, panels
from previewops.tui.viewmodel.spans import Tone, plain_text, width_of
from tests.tui.scenes import BUSY, EMPTY, HEALTH, IDLE, PAUSED, WELL

BUSY_PICTURE = replace(QueueView(queue_name="preview-jobs").with_snapshot(BUSY), health=HEALTH)


def text(lines: object) -> str:
    return "\n".join(plain_text(line) for line in lines)  # type: ignore[attr-defined]


def test_depth_lines_show_count_and_age_per_priority() -> None:
    shown = text(panels.format_depth_lines(BUSY_PICTURE, 60))
    assert "high        3" in shown
    assert "1,204" in shown
    assert "oldest 6 min 52 s" in shown
    assert "delayed 6" in shown
    assert "dead 82" in shown
    assert "oldest" not in text(panels.format_depth_lines(QueueView().with_snapshot(IDLE), 60))


@pytest.mark.parametrize("columns", [30, 50, 90])
def test_no_line_is_wider_than_its_panel(columns: int) -> None:
    for lines in (
        panels.headline(BUSY_PICTURE, columns),
        panels.format_worker_lines(BUSY_PICTURE, columns, 5),
        charts.format_throughput_lines(BUSY_PICTURE, Period.HOUR, columns, 10),
        charts.format_latency_lines(BUSY_PICTURE, Period.DAY, columns, 16),
        charts.format_latency_lines(BUSY_PICTURE, Period.DAY, columns, 5),
        panels.format_event_lines(BUSY_PICTURE, columns, 5),
    ):
        assert max(map(width_of, lines)) <= columns


def test_alarms_come_worst_first_with_advice() -> None:
    lines = [plain_text(line) for line in panels.headline(BUSY_PICTURE, 100)]
    assert lines[0].startswith(" ✖ a job has waited 6 min 52 s  5 opens Workers  add workers or slots")
    assert "1,430 jobs pending" in lines[1]
    assert lines[2].startswith(" ▲ 82 dead letters  4 opens Dead letters")
    well = replace(BUSY_PICTURE, health=WELL)
    assert len(panels.headline(well, 100)) == 1


def test_an_alarm_keeps_its_key_and_its_advice_is_never_cut() -> None:
    for columns in (40, 60, 80, 120):
        for line in panels.headline(BUSY_PICTURE, columns):
            assert width_of(line) <= columns
            text_of = plain_text(line)
            assert "add work" not in text_of or "add workers or slots" in text_of
        assert " opens Workers" in plain_text(panels.headline(BUSY_PICTURE, columns)[0])


def test_no_workers_shows_how_to_start_some() -> None:
    shown = text(panels.format_worker_lines(QueueView().with_snapshot(EMPTY), 60, 5))
    assert "no workers" in shown
    assert "previewops up" in shown


def test_a_host_with_a_worker_that_was_given_up_is_marked() -> None:
    shown = text(panels.format_worker_lines(BUSY_PICTURE, 60, 8))
    assert "▲ render-2" in shown
    assert "1 given up" in shown
    assert "● render-1" in shown


def test_a_single_job_that_waits_fills_no_bar() -> None:
    one = replace(IDLE, waiting={**IDLE.waiting, Priority.HIGH: 1})
    many = replace(IDLE, waiting={**IDLE.waiting, Priority.HIGH: panels.FULL_FROM})
    bars = [
        plain_text(panels.format_depth_lines(QueueView().with_snapshot(snapshot), 60)[0]).count("█")
        for snapshot in (one, many)
    ]
    assert 0 < bars[0] * 8 <= bars[1]


@pytest.mark.parametrize("rows", [4, 12, 24])
@pytest.mark.parametrize("columns", [36, 70, 120])
@pytest.mark.parametrize("period", Period)
def test_charts_fill_their_room_and_end_now(period: Period, columns: int, rows: int) -> None:
    lines = charts.format_throughput_lines(BUSY_PICTURE, period, columns, rows)
    assert len(lines) == rows
    assert plain_text(lines[-1]).endswith("06:03 UTC")
    assert len(charts.format_latency_lines(BUSY_PICTURE, period, 70, 16)) == 16


def test_every_entry_of_the_legend_is_drawn_and_its_sum_is_of_the_window_drawn() -> None:
    for columns in (36, 70, 120):
        legend, *chart = charts.format_throughput_lines(BUSY_PICTURE, Period.HOUR, columns, 9)
        drawn = {span.tone for line in chart for span in line} | {
            span.background for line in chart for span in line
        }
        marks = {(span.text.strip(), span.tone) for span in legend if span.text.strip() in ("■", MARK)}
        assert {tone for _, tone in marks} == {Tone.DONE, Tone.DIED, MARK_TONE}
        assert {tone for _, tone in marks} <= drawn
        assert any(span.text == MARK for line in chart for span in line)
    samples = BUSY_PICTURE.history.columns(Period.HOUR, 70 - AXIS_COLUMNS, BUSY.now_ms)
    done = sum(column.counts.get("completed", 0) for column in samples)
    low, *low_chart = charts.format_throughput_lines(BUSY_PICTURE, Period.HOUR, 36, 4)
    assert "arrived" not in plain_text(low), "it is not drawn"
    assert not any(span.text == MARK for line in low_chart for span in line)
    legend = plain_text(charts.format_throughput_lines(BUSY_PICTURE, Period.HOUR, 70, 9)[0])
    minutes = round((BUSY.now_ms - samples[0].start_ms) / 60_000)
    assert f"done {short_count(done)} " in legend
    assert legend.endswith(f"in {minutes} min")


def test_the_time_axis_has_clock_times_in_utc_or_local_time() -> None:
    axis = plain_text(charts.format_throughput_lines(BUSY_PICTURE, Period.HOUR, 70, 9)[-1])
    clocks = re.findall(r"\d\d:\d\d", axis)
    assert clocks[-1] == "06:03"
    assert len(clocks) == 5
    assert clocks == sorted(clocks)
    local = charts.ClockZone("CET", 3_600)
    assert plain_text(charts.format_throughput_lines(BUSY_PICTURE, Period.HOUR, 70, 9, local)[-1]).endswith(
        "07:03 CET"
    )
    assert plain_text(charts.format_latency_lines(BUSY_PICTURE, Period.HOUR, 70, 16, local)[-1]).endswith(
        "07:03 CET"
    )


def test_the_backlog_is_drawn_from_what_came_and_went() -> None:
    ends = [{"accepted": 10}, {"completed": 4, "died": 1}, {"requeued": 5}, {"cancelled": 3}]
    samples = [HistoryColumn(n * 1_000, 1_000, counts, {}, {}) for n, counts in enumerate(ends)]
    assert charts.pending_history(samples, 7) == [10.0, 5.0, 10.0, 7.0]
    assert charts.pending_history(samples, 0)[0] == 3.0
    text_of = text(charts.format_throughput_lines(BUSY_PICTURE, Period.HOUR, 70, 18))
    assert f"pending jobs {short_count(BUSY.pending)} now" in text_of


def test_axes_name_their_units_and_scale() -> None:
    shown = text(charts.format_latency_lines(BUSY_PICTURE, Period.HOUR, 70, 20))
    assert shown.count("log scale") == 2
    assert "longest" in shown
    labels = re.findall(r"([\w ]+?) ┤", shown)
    assert labels
    assert all(re.fullmatch(r" *\d+ (ms|s|min|h|d)", label) for label in labels)


def test_percentiles_are_those_of_the_period() -> None:
    shown = text(charts.format_latency_lines(BUSY_PICTURE, Period.HOUR, 70, 5))
    assert "p50" in shown
    assert "ms" in shown.splitlines()[1]
    nothing = text(charts.format_latency_lines(QueueView().with_snapshot(EMPTY), Period.HOUR, 70, 5))
    assert nothing.splitlines()[1].split()[:5] == ["wait", "-", "-", "-", "-"]


def test_nothing_is_drawn_before_the_first_snapshot() -> None:
    empty = QueueView()
    assert panels.format_depth_lines(empty, 60) == []
    assert panels.format_worker_lines(empty, 60, 5) == []
    assert charts.format_throughput_lines(empty, Period.HOUR, 60, 10) == []
    assert plain_text(panels.format_event_lines(empty, 60, 5)[0]) == "no events yet"


def test_tabs_fit_80_columns_and_are_clicked_by_name() -> None:
    line = format_tab_line(BUSY_PICTURE, "dead", 80)
    assert width_of(line) <= 80
    assert "7 Health" in plain_text(line)
    assert {span.action for span in line if span.action} >= {"app.show('dead')", "app.show('health')"}
    assert next(span.text for span in line if span.tone is Tone.BADGE).strip() == "4 Dead"


@pytest.mark.parametrize("current", [mode for mode, _ in SCREENS])
def test_the_smallest_terminal_has_the_keys_of_all_screens_and_the_current_name(current: str) -> None:
    line = format_tab_line(BUSY_PICTURE, current, 60)
    assert width_of(line) <= 60
    assert [span.text.strip()[0] for span in line if span.action] == list("12345678")
    assert dict(SCREENS)[current].split()[0] in next(span.text for span in line if span.tone is Tone.BADGE)


def test_a_frozen_display_looks_unlike_a_paused_queue() -> None:
    frozen = replace(BUSY_PICTURE, frozen=True)
    paused = QueueView().with_snapshot(PAUSED)
    assert "FROZEN" in plain_text(format_clock_line(frozen))
    assert "FROZEN" not in plain_text(format_clock_line(paused))
    assert "PAUSED" in plain_text(format_title_line(paused, 120))
    assert "PAUSED" not in plain_text(format_title_line(frozen, 120))


@pytest.mark.parametrize(
    ("number", "expected"),
    [(7, "7"), (9_999, "9,999"), (12_340, "12.3k"), (412_000, "412k"), (1_204_331, "1.2M")],
)
def test_counts_are_short(number: int, expected: str) -> None:
    assert short_count(number) == expected


def test_help_is_among_the_keys_however_little_room_there_is() -> None:
    from previewops.tui.keymap import GLOBAL

    for columns in (12, 40, 120):
        line = format_key_line(GLOBAL, columns)
        assert width_of(line) <= columns
        assert "? Help" in " ".join(plain_text(line).split())
