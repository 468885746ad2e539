"""The job list's lines: pages, rows, times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewops.queue.filter_query import parse_filter
from previewops.queue.pages import Cursor, ListPage
from previewops.states import JobState, Priority
from previewops.tui.viewmodel.columns import fit_widths, lay_out_row
from previewops.tui.viewmodel.durations import coarse_duration, short_duration
from previewops.tui.viewmodel.jobs.list_state import (
    MAX_EXAMINED_LIVE,
    JobListState,
    changes_too_fast,
    format_empty_lines,
    subtitle_of,
    title_of,
)
from previewops.tui.viewmodel.jobs.rows import (
    format_job_cells,
    job_columns,
    merge_running_jobs,
    progress_or_reason,
    state_tabs,
)
from previewops.tui.viewmodel.spans import plain_text, width_of
from tests.tui import scenes
from tests.tui.scenes import NOW_MS, record

CURSOR = Cursor("1", b"5", b"a")
MANY = replace(scenes.BUSY, completed_kept=1_204_331)


def page(rows: int, cursor: Cursor | None = CURSOR, examined: int = 200) -> ListPage:
    return ListPage(scenes.JOBS[:rows], cursor, examined)


def test_pages_go_on_where_the_last_one_ended_and_come_back() -> None:
    first = JobListState(JobState.COMPLETED).with_page(page(200))
    third = first.next_page().with_page(page(200)).next_page()
    assert third.query(cursor=third.starts[-1].cursor, limit=7).cursor == CURSOR
    shown = third.with_page(page(200))
    assert title_of(shown, MANY) == "completed jobs 401-600 of 1,204,331"
    assert (shown.number, shown.total_examined) == (3, 600)
    assert third.previous_page().same_page(first.next_page())
    assert not third.same_page(first)


@pytest.mark.parametrize(
    ("listing", "title"),
    [
        (JobListState(), "jobs"),
        (JobListState().with_page(page(0, None, 0)), "no jobs"),
        (JobListState(JobState.DEAD).with_page(page(0, None, 0)), "no dead jobs"),
        (JobListState(JobState.DEAD).with_page(page(82, None)), "dead jobs 1-82 of 82"),
        (JobListState().with_page(page(200)), "jobs 1-200 of about 1,205,874"),
        (JobListState(JobState.WAITING).with_page(page(200)), "waiting jobs 1-200 of 1,419"),
        (JobListState().with_page(page(200)).next_page().with_page(page(0, None, 0)), "no more jobs"),
        (
            JobListState(terms=parse_filter("x")).with_page(page(12, CURSOR, 40_000)),
            "12 found among the newest 40,000 examined; ] continues",
        ),
        (
            JobListState(terms=parse_filter("x"), newest_first=False).with_page(page(12, CURSOR, 40_000)),
            "12 found among the oldest 40,000 examined; ] continues",
        ),
        (
            JobListState(terms=parse_filter("x")).with_page(page(12, None, 350)),
            "12 found among all 350 jobs examined",
        ),
    ],
)
def test_titles_show_the_row_range(listing: JobListState, title: str) -> None:
    assert title_of(listing, MANY) == title


def test_a_shrunk_total_is_at_least_the_last_row() -> None:
    listing = JobListState(JobState.DELAYED).with_page(page(200))
    assert title_of(listing, MANY) == "delayed jobs 1-200"


def test_only_a_first_page_that_was_found_nearby_is_live() -> None:
    near = JobListState().with_page(page(200))
    assert near.live
    assert not near.next_page().live
    assert not JobListState(terms=parse_filter("x")).with_page(page(3, CURSOR, MAX_EXAMINED_LIVE + 1)).live


def test_subtitles_of_freshness() -> None:
    near, far = JobListState().with_page(page(200)), JobListState().with_page(page(200)).next_page()
    calm = {"fetch_error": "", "examined": None, "frozen": False, "marked": 0}
    assert subtitle_of(near, **calm) == "newest first · live"
    assert subtitle_of(near, **{**calm, "frozen": True, "marked": 3}) == "3 marked · newest first · frozen"
    assert subtitle_of(far, **calm) == "newest first · page 2 is not live; F5 refreshes"
    assert subtitle_of(near, **{**calm, "examined": 12_000}).endswith("searching: 12,000 examined")
    assert subtitle_of(near, **{**calm, "fetch_error": "gone"}).endswith("not updated: gone")


def test_rows_race_when_most_on_top_are_new() -> None:
    rows = scenes.JOBS
    assert changes_too_fast(rows[100:300], rows[:200])
    assert not changes_too_fast(rows[10:210], rows[:200])
    assert not changes_too_fast(None, rows[:200])
    assert not changes_too_fast(rows[:5], ())


def test_empty_states_of_the_job_list() -> None:
    nothing = JobListState(terms=parse_filter("zebra")).with_page(page(0, CURSOR, 40_000))
    assert [plain_text(line) for line in format_empty_lines(nothing, "", frozen=False)] == [
        "None of 40,000 examined jobs matches zebra",
        "] continues; esc clears the filter.",
    ]
    assert plain_text(format_empty_lines(JobListState(), "no server", frozen=False)[0]) == "no server"
    assert plain_text(format_empty_lines(JobListState(), "", frozen=True)[0]).startswith(
        "The display is frozen"
    )


@pytest.mark.parametrize("columns", [78, 118, 198])
def test_the_line_of_states_fits(columns: int) -> None:
    line = state_tabs(scenes.BUSY, JobState.DEAD, columns)
    assert width_of(line) <= columns
    assert "dead 82" in plain_text(line)


@pytest.mark.parametrize("state", [None, *JobState])
def test_at_eighty_columns_the_row_fits_and_keeps_what_matters(state: JobState | None) -> None:
    columns = job_columns(state)
    widths = fit_widths(columns, 73)
    assert sum(widths) + 2 * (sum(1 for width in widths if width) - 1) <= 73
    kept = {column.title for column, width in zip(columns, widths, strict=True) if width}
    assert {"pri", "job", "since", "due" if state is JobState.DELAYED else "wait/run"} <= kept
    for job in scenes.JOBS[:140]:
        assert len(format_job_cells(job, scenes.NOW_MS, state)) == len(columns)


def test_running_jobs_are_updated_from_the_snapshot() -> None:
    waiting = scenes.record(scenes.RUNS[1].job_id, JobState.WAITING)
    (fresh,) = merge_running_jobs([waiting], scenes.BUSY)
    assert fresh.state is JobState.ACTIVE
    assert plain_text(progress_or_reason(fresh)).endswith("  80% animation")
    assert merge_running_jobs([waiting], None) == (waiting,)


def test_a_failure_shows_code_and_reason() -> None:
    dead = scenes.record("a", JobState.DEAD, code="asset-missing", reason="no file")
    assert plain_text(progress_or_reason(dead)) == "asset-missing: no file"
    assert plain_text(progress_or_reason(replace(dead, code=None))) == "no file"
    assert plain_text(progress_or_reason(replace(dead, reason=None))) == "asset-missing"
    assert plain_text(progress_or_reason(replace(dead, state=JobState.COMPLETED))) == ""


def test_cells_show_times_and_failures() -> None:
    job = scenes.record(
        "a",
        JobState.COMPLETED,
        priority=Priority.HIGH,
        claimed_ms=scenes.NOW_MS - 33_400,
        finished_ms=scenes.NOW_MS - 31_000,
        attempts=2,
        crashes=1,
    )
    cells = [plain_text(cell) for cell in format_job_cells(job, scenes.NOW_MS, None)]
    assert cells[:7] == ["completed", "high", "a", "morris", "2/1", "30 s", "2.4 s"]


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (-5, "<10 s"),
        (9_999, "<10 s"),
        (29_000, "20 s"),
        (60_000, "1 min"),
        (7_200_000, "2 h"),
        (259_200_000, "3 d"),
    ],
)
def test_lengths_that_grow_are_coarse(ms: int, expected: str) -> None:
    assert coarse_duration(ms) == expected


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (-1, "0 ms"),
        (999, "999 ms"),
        (2_400, "2.4 s"),
        (59_960, "1.0 min"),
        (200_000, "3.3 min"),
        (7_600_000, "2.1 h"),
        (86_400_000 * 3, "3.0 d"),
    ],
)
def test_lengths_that_are_over_are_brief(ms: int, expected: str) -> None:
    assert short_duration(ms) == expected
    assert len(expected) <= 8


def test_a_requeued_job_waits_since_its_requeue() -> None:
    waiting = record("a", JobState.WAITING, accepted_ms=NOW_MS - 540_000, queued_ms=NOW_MS - 15_000)
    cells = dict(
        zip(
            (column.title for column in job_columns(None)),
            format_job_cells(waiting, NOW_MS, None),
            strict=True,
        )
    )
    assert plain_text(cells["wait/run"]) == plain_text(cells["since"]) == "10 s"


def test_since_is_how_long_a_job_has_been_in_its_state() -> None:
    times = {"accepted_ms": NOW_MS - 7_200_000, "claimed_ms": NOW_MS - 60_000}
    since = {
        state: plain_text(format_job_cells(record("a", state, **times), NOW_MS, None)[5])
        for state in (JobState.WAITING, JobState.ACTIVE, JobState.COMPLETED, JobState.DEAD)
    }
    assert since == {
        JobState.WAITING: "2 h",
        JobState.ACTIVE: "1 min",
        JobState.COMPLETED: "30 s",
        JobState.DEAD: "30 s",
    }


def test_a_worker_keeps_its_host() -> None:
    for width in (80, 120, 200):
        columns = job_columns(None)
        widths = fit_widths(columns, width - 7)
        row = record("a", JobState.ACTIVE, worker="render-host-7-4711-9f0c2a")
        line = plain_text(lay_out_row(format_job_cells(row, NOW_MS, None), columns, widths))
        place = [column.title for column in columns].index("worker")
        assert not widths[place] or "render-host-" in line
