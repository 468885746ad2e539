"""The table and the charts of ended jobs."""

from __future__ import annotations

import pytest

from previewops.queue.projects import ProjectLoad
from previewops.snapshot.breakdown import (
    BREAKDOWN_BUCKETS,
    BREAKDOWN_MS,
    MAX_PROJECTS,
    BreakdownBucket,
    Dimension,
    Figures,
    break_down,
)
from previewops.states import Priority
from previewops.tui.viewmodel.columns import fit_widths, total_width
from previewops.tui.viewmodel.projects import charts, limits, table
from previewops.tui.viewmodel.projects.rows import OTHERS, merge_rows
from previewops.tui.viewmodel.spans import width_of

NOW_MS = 1_795_500_187_250
NUMBER = NOW_MS // BREAKDOWN_MS


def bucket(back: int, **projects: Figures) -> BreakdownBucket:
    """A bucket whose jobs are all of these projects."""
    classes = {
        (Priority.NORMAL, name): figures
        for name, figures in zip(("webp", "mp4"), projects.values(), strict=False)
    }
    return BreakdownBucket(NUMBER - back, classes, projects)


def done(count: int, dead: int = 0, run: int = 20) -> Figures:
    return Figures(dead, 0, {10: count + dead}, {run: count})


def load(
    project: str, *, waiting: int = 0, active: int = 0, maximum: int | None = None, held: bool = False
) -> ProjectLoad:
    return ProjectLoad(project, waiting, active, 1, maximum, held, 90_000 if waiting else None)


def text(line: tuple[table.Span, ...]) -> str:
    return "".join(span.text for span in line)


def test_projects_are_ordered_by_their_jobs_and_the_rest_is_others() -> None:
    names = {f"p{n}": done(n) for n in range(1, MAX_PROJECTS + 5)}
    total = sum(range(1, MAX_PROJECTS + 5))
    full = BreakdownBucket(NUMBER, {(Priority.LOW, "gif"): done(total)}, names)
    breakdown = break_down([full], Dimension.PROJECT, NOW_MS)
    assert [row.value for row in breakdown.rows[:2]] == [f"p{MAX_PROJECTS + 4}", f"p{MAX_PROJECTS + 3}"]
    assert len(breakdown.rows) == MAX_PROJECTS
    assert breakdown.others is not None
    assert breakdown.others.figures.completed == 1 + 2 + 3 + 4


def test_only_the_buckets_of_the_window_count() -> None:
    inside, outside = BREAKDOWN_BUCKETS - 1, BREAKDOWN_BUCKETS
    breakdown = break_down([bucket(inside, a=done(1)), bucket(outside, a=done(8))], Dimension.PROJECT, NOW_MS)
    (row,) = breakdown.rows
    assert [part.ended for part in row.buckets] == [1, *[0] * (BREAKDOWN_BUCKETS - 1)]
    assert breakdown.since_ms == (NUMBER - inside) * BREAKDOWN_MS


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (Figures(), "-"),
        (done(10), "0 %"),
        (done(1000, 1), "<1 %"),
        (done(1, 1000), ">99 %"),
        (done(0, 3), "100 %"),
        (done(1, 1), "50 %"),
    ],
)
def test_a_rate_hides_neither_one_failure_nor_one_success(figures: Figures, expected: str) -> None:
    assert text(table.format_rate_line(figures)) == expected


@pytest.mark.parametrize("dimension", Dimension)
def test_columns_that_do_not_fit_are_left_out_and_not_cut(dimension: Dimension) -> None:
    for room in (54, 74, 114, 194):
        widths = fit_widths(table.columns(dimension), room)
        assert total_width(widths) <= room
        shown = {
            column.title for column, width in zip(table.columns(dimension), widths, strict=True) if width
        }
        assert shown >= {"jobs", "failed"}


def test_sorting_by_each_column_and_back() -> None:
    breakdown = break_down(
        [bucket(0, slow=done(2, 2, run=60), fast=done(9, run=4))], Dimension.PROJECT, NOW_MS
    )
    columns = table.columns(Dimension.PROJECT)
    sort, orders = table.BreakdownSort(), {}
    for _ in columns:
        orders[sort.column] = [row.value for row in sort.apply(merge_rows(breakdown, ()))]
        sort = sort.next_column(columns)
    assert orders["jobs"] == ["fast", "slow"]
    assert orders["project"] == ["fast", "slow"]
    for figure in ("failed", "dead", "run p50", "run p95"):
        assert orders[figure] == ["slow", "fast"]
    assert set(orders) == {column.title for column in columns} - {"each 5 min"}
    by_jobs = table.BreakdownSort().select("jobs")
    assert [row.value for row in by_jobs.apply(merge_rows(breakdown, ()))] == ["slow", "fast"]


def test_rows_without_a_value_come_last() -> None:
    breakdown = break_down([bucket(0, only_dead=done(0, 9), works=done(2))], Dimension.PROJECT, NOW_MS)
    sort = table.BreakdownSort("run p95")
    assert [row.value for row in sort.apply(merge_rows(breakdown, ()))] == ["works", "only_dead"]
    assert [row.value for row in sort.reversed().apply(merge_rows(breakdown, ()))] == ["works", "only_dead"]


@pytest.mark.parametrize(("columns", "rows"), [(34, 5), (37, 7), (60, 12), (118, 30)])
def test_charts_fit_their_panel(columns: int, rows: int) -> None:
    breakdown = break_down([bucket(n, a=done(10**6, 10**5)) for n in range(13)], Dimension.PROJECT, NOW_MS)
    (row,) = merge_rows(breakdown, [load("a", waiting=10**6, active=4, maximum=4, held=True)])
    for draw in (charts.format_jobs_lines, charts.format_times_lines):
        lines = draw(breakdown, row, columns, rows)
        assert len(lines) <= rows
        assert max(map(width_of, lines)) <= columns


def test_projects_that_only_wait_have_a_row_before_the_others() -> None:
    full = BreakdownBucket(NUMBER, {(Priority.LOW, "gif"): done(5)}, {"a": done(2)})
    breakdown = break_down([full], Dimension.PROJECT, NOW_MS)
    rows = merge_rows(breakdown, [load("a", active=1), load("b", waiting=7)])
    assert [row.key for row in table.BreakdownSort().apply(rows)] == ["a", "b", OTHERS]
    assert [row.key for row in table.BreakdownSort("waiting").apply(rows)] == ["b", "a", OTHERS]
    assert len({len(table.cells(row, Dimension.PROJECT)) for row in rows}) == 1
    assert len(table.cells(rows[0], Dimension.PROJECT)) == len(table.columns(Dimension.PROJECT))
    assert len(table.cells(rows[0], Dimension.FORMAT)) == len(table.columns(Dimension.FORMAT))


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        (load("a", waiting=9, active=4, maximum=4, held=True), "‖ held 4/4"),
        (load("a", waiting=9, active=123_456, maximum=123_456, held=True), "‖ held 123k"),
        (load("a", active=3, maximum=4), "3/4"),
        (load("a", active=3), "3"),
    ],
)
def test_a_held_project_says_so_by_word_and_glyph(project: ProjectLoad, expected: str) -> None:
    assert text(table.format_active_line(project)) == expected


@pytest.mark.parametrize("columns", [30, 40, 60, 120])
def test_the_load_line_has_whole_parts(columns: int) -> None:
    line = text(table.format_load_line(load("a", waiting=9, active=4, maximum=4, held=True), columns))
    assert len(line) <= columns
    assert "held: 4 of 4 active, weight 1, 9 waiting for 1 min".startswith(
        line.removeprefix("‖ ").rstrip("…")
    )
    assert ("waiting" in line) == (columns > 45)


def test_typed_limits_are_checked() -> None:
    assert [limits.check_weight(typed) for typed in ("1", "100")] == ["", ""]
    assert all(limits.check_weight(typed) for typed in ("", "0", "101", "x", "-1", "²", "9" * 50, "none"))
    assert [limits.check_maximum(typed) for typed in ("1", "1000000", "none")] == ["", "", ""]
    assert all(limits.check_maximum(typed) for typed in ("", "0", "1000001", "all"))
    assert (limits.parse_maximum("none"), limits.parse_maximum("12")) == (0, 12)
