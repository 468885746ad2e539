"""Lines of every screen at every size with extreme values: nothing overlaps, no figure is cut or loses its unit.

Pure: view-model functions are drawn without a terminal. ``tests/tui/test_extremes.py`` draws whole screens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from previewops.snapshot.history import Period
from previewops.snapshot.hosts import Fleet
from previewops.states import JobState
from previewops.tui.state.queue_view import ConnectionLoss, QueueView
from previewops.tui.viewmodel import bars
from previewops.tui.viewmodel.columns import TableColumn, fit_widths, lay_out_row
from previewops.tui.viewmodel.dead import dialog_text
from previewops.tui.viewmodel.dead import rows as dead_rows
from previewops.tui.viewmodel.durations import coarse_duration, short_duration
from previewops.tui.viewmodel.empty_states import (
    ACTING_COLUMNS,
    MIN_COLUMNS,
    MIN_ROWS,
    format_too_small_lines,
)
from previewops.tui.viewmodel.events import feed
from previewops.tui.viewmodel.fleet import detail as fleet_detail
from previewops.tui.viewmodel.fleet import table as fleet_table
from previewops.tui.viewmodel.health import checks
from previewops.tui.viewmodel.jobs import rows as job_rows
from previewops.tui.viewmodel.overview import charts, panels
from previewops.tui.viewmodel.spans import Line, plain_text, width_of
from tests.tui import extremes

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing example says enough; to shrink it draws everything hundreds of times."""

COLUMNS = st.integers(MIN_COLUMNS, 250)
"""A smaller terminal shows the size that it needs."""
ROWS = st.integers(MIN_ROWS, 70)
COUNTS = st.sampled_from(extremes.COUNTS)
AGES_MS = st.sampled_from(extremes.DURATIONS_MS)
NAMES = st.sampled_from(["a", extremes.LONG, extremes.WIDE])

_UNIT = r"(?:ms|min|s|h|d|%|k|M|G|KiB|MiB|GiB)"
COLLISION = re.compile(rf"\d ?{_UNIT}\d|%\d")
"""A figure directly behind another one: "3 min 22 s8 min"."""
CUT = re.compile(rf"[\d,.]…|\d {_UNIT}?…|\d [a-z]{{1,2}}…")
"""A figure or its unit cut by an ellipsis."""


def check(lines: Iterable[Line], columns: int) -> None:
    for line in lines:
        text = plain_text(line)
        assert width_of(line) <= columns, (columns, text)
        assert not COLLISION.search(text), (columns, text)
        assert not CUT.search(text), (columns, text)


def table(columns: tuple[TableColumn, ...], cells: tuple[Line, ...], width: int) -> Iterator[Line]:
    widths = fit_widths(columns, width)
    yield lay_out_row(cells, columns, widths)


@cache
def view_of(count: int, age_ms: int, name: str) -> QueueView:
    view = QueueView(queue_name=name, environment=name).with_snapshot(extremes.snapshot(count, age_ms, name))
    return replace(view, health=extremes.health(count))


@settings(max_examples=120, phases=PHASES)
@given(columns=COLUMNS, rows=ROWS, count=COUNTS, age_ms=AGES_MS, name=NAMES)
def test_overview_and_bars(columns: int, rows: int, count: int, age_ms: int, name: str) -> None:
    view = view_of(count, age_ms, name)
    stale = replace(
        view, connection_loss=ConnectionLoss(name, count), age_s=age_ms // 1_000, running_command=name
    )
    for shown in (view, stale):
        check(panels.headline(shown, columns), columns)
        check([bars.format_title_line(shown, columns), bars.format_tab_line(shown, "jobs", columns)], columns)
        check([bars.format_running_command_line(shown, columns)], columns)
    wide, narrow = columns * 3 // 5 - 4, columns * 2 // 5 - 4
    check(panels.format_depth_lines(view, wide), wide)
    for inner in (wide, narrow):
        check(panels.format_worker_lines(view, inner, 5), inner)
        check(panels.format_event_lines(view, inner, rows), inner)
    half = columns // 2 - 4 if columns >= ACTING_COLUMNS else columns - 4
    for period in Period:
        check(charts.format_throughput_lines(view, period, half, rows), half)
        check(charts.format_latency_lines(view, period, half, rows), half)
        check(charts.format_latency_lines(view, period, half, 4), half)


@settings(max_examples=120, phases=PHASES)
@given(columns=COLUMNS, count=COUNTS, age_ms=AGES_MS, name=NAMES)
def test_lists(columns: int, count: int, age_ms: int, name: str) -> None:
    inner = columns - 7
    snapshot = extremes.snapshot(count, age_ms, name)
    for state in (None, *JobState):
        check([job_rows.state_tabs(snapshot, state, columns)], columns)
        record = extremes.record(state or JobState.ACTIVE, count, age_ms, name)
        cells = job_rows.format_job_cells(record, extremes.NOW_MS, state)
        check(table(job_rows.job_columns(state), cells, inner), inner)
    letter = extremes.record(JobState.DEAD, count, age_ms, name)
    group = extremes.group(count, age_ms)
    check(
        table(dead_rows.GROUP_COLUMNS, dead_rows.format_group_cells(group, count, extremes.NOW_MS), inner),
        inner,
    )
    for with_error, tables in ((True, dead_rows.ALL_COLUMNS), (False, dead_rows.ONE_GROUP_COLUMNS)):
        cells = dead_rows.format_job_cells(letter, extremes.NOW_MS, with_error=with_error)
        check(table(tables, cells, inner), inner)
    check(dead_rows.format_group_lines(group, count, extremes.NOW_MS, inner), inner)
    check(dead_rows.format_job_lines(letter, extremes.NOW_MS, inner), inner)
    newest_first = snapshot.events[::-1]
    dated = feed.dated(newest_first, extremes.NOW_MS)
    for event in newest_first:
        check(table(feed.columns(dated=dated), feed.cells(event, extremes.NOW_MS), inner), inner)


@settings(max_examples=120, phases=PHASES)
@given(columns=COLUMNS, count=COUNTS, age_ms=AGES_MS, name=NAMES)
def test_workers_health_and_dialogs(columns: int, count: int, age_ms: int, name: str) -> None:
    inner = columns - 7
    snapshot = extremes.snapshot(count, age_ms, name)
    runs = fleet_table.runs_by_id(snapshot.running_jobs)
    rows = fleet_table.fleet_rows(snapshot)
    for row in rows:
        for differ in (True, False):
            cells = fleet_table.cells(row, snapshot.now_ms, runs, Fleet.of(snapshot.workers), differ=differ)
            check(table(fleet_table.columns(differ=differ), cells, inner), inner)
        jobs = fleet_detail.jobs_of(row, snapshot, rows)
        check(fleet_detail.format_detail_lines(row, jobs, snapshot, runs, inner), inner)
    view = view_of(count, age_ms, name)
    check(checks.format_verdict_lines(view, columns), columns)
    for _, block in checks.format_check_blocks(view.health, snapshot.now_ms, inner):
        check(block, inner)
    check(checks.format_figure_lines(view.health.figures if view.health else (), inner), inner)
    cause = dialog_text.GroupCount(count, "asset-missing", extremes.WIDE)
    preview = dialog_text.CountPreview(count, (cause,), filter_text=name, sample=(name,))
    check(dialog_text.format_count_lines(preview)[1:], 72)


@given(columns=st.integers(60, MIN_COLUMNS), rows=st.integers(15, MIN_ROWS))
def test_too_small(columns: int, rows: int) -> None:
    check(format_too_small_lines(columns, rows), columns)


@given(count=st.integers(0, 10**16))
def test_short_counts_take_five_columns_at_most(count: int) -> None:
    assert len(bars.short_count(count)) <= 5


@given(ms=st.integers(0, extremes.AGE_MS))
def test_durations_keep_to_their_columns(ms: int) -> None:
    assert len(coarse_duration(ms)) <= 7
    assert len(short_duration(ms)) <= 8


def test_the_patterns_find_what_they_are_for() -> None:
    found: tuple[tuple[Callable[[str], object], str], ...] = (
        (COLLISION.search, "wait    3 min 22 s8 min 1 s9 min 32"),
        (COLLISION.search, "cpu 99%1,000"),
        (CUT.search, "active 7 … grows"),
        (CUT.search, "1,23…"),
        (CUT.search, "9 mi…"),
    )
    assert all(search(text) for search, text in found)
    for text in ("3 min 22 s  8 min", "asset a (dem…", "1-200 of 300", "4 workers  5 of 8 slots busy"):
        assert not CUT.search(text)
