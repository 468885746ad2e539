"""Sorting of the job list: all pages by the time of the index, one page by any other column."""

from __future__ import annotations

import pytest

from previewops.queue.records import JobRecord
from previewops.states import JobState, Priority
from previewops.tui.viewmodel.jobs.list_state import JobListState, subtitle_of
from previewops.tui.viewmodel.jobs.rows import job_columns
from previewops.tui.viewmodel.jobs.sorting import JobSort
from tests.tui.scenes import NOW_MS, record

ROWS = (
    record("b", JobState.WAITING, priority=Priority.LOW, project_id="p", accepted_ms=NOW_MS - 5_000),
    record(
        "C", JobState.ACTIVE, priority=Priority.HIGH, claimed_ms=NOW_MS - 9_000, progress=0.5, worker="w2"
    ),
    record("a", JobState.DEAD, attempts=3, code="asset-missing", worker="w1"),
    record("d", JobState.CANCELLED, claimed_ms=None, worker=None),
)


def order(sort: JobSort, rows: tuple[JobRecord, ...] = ROWS) -> str:
    return "".join(row.job_id for row in sort.apply(rows, NOW_MS))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("state", "bCad"),
        ("pri", "Cadb"),
        ("job", "abCd"),
        ("project", "Cadb"),
        ("fail/crash", "abCd"),
        ("since", "adCb"),
        ("wait/run", "aCbd"),
        ("worker", "aCbd"),
        ("progress/reason", "aCbd"),
    ],
)
def test_a_page_is_sorted_by_each_column(column: str, expected: str) -> None:
    assert order(JobSort().select(column)) == expected


@pytest.mark.parametrize("column", ["wait/run", "worker"])
def test_rows_without_a_value_come_last_in_both_directions(column: str) -> None:
    sort = JobSort().select(column)
    assert order(sort).endswith("d")
    assert order(sort.reversed()).endswith("d")
    assert order(sort) != order(sort.reversed())


def test_every_column_of_every_list_can_be_sorted_by() -> None:
    for state in (None, *JobState):
        for column in job_columns(state):
            assert len(order(JobSort(column.title))) == len(ROWS)


def test_the_key_goes_through_the_columns_and_back_to_the_order_of_the_list() -> None:
    columns = job_columns(JobState.DEAD)
    seen, sort = [], JobSort()
    for _ in range(len(columns) + 1):
        sort = sort.next_column(columns)
        seen.append(sort.column)
    assert seen == [*(column.title for column in columns), ""]


def test_clicks_on_a_title_sort_reverse_and_end() -> None:
    once = JobSort().select("since")
    assert (once.descending, once.select("since").descending) == (True, False)
    assert once.select("since").select("since") == JobSort()
    assert once.select("job") == JobSort("job", descending=False)


def test_a_column_that_the_list_does_not_have_ends_the_sort() -> None:
    assert JobSort("state").within(job_columns(JobState.DEAD)) == JobSort()
    assert JobSort("job").within(job_columns(JobState.DEAD)) == JobSort("job")


def test_the_frame_says_that_only_this_page_is_sorted() -> None:
    listing = JobListState(rows=ROWS)
    shown = subtitle_of(
        listing,
        fetch_error="",
        examined=None,
        frozen=False,
        marked=0,
        sort=JobSort("since", True).describe(None),
    )
    assert shown == "this page by since ▼ · live"


@pytest.mark.parametrize(
    ("state", "column", "descending", "newest_first"),
    [
        (JobState.WAITING, "since", True, False),
        (JobState.DEAD, "since", False, True),
        (JobState.DELAYED, "due", False, False),
        (JobState.DELAYED, "due", True, True),
        (JobState.DELAYED, "since", True, None),
        (JobState.WAITING, "job", False, None),
        (None, "since", True, None),
    ],
)
def test_all_pages_are_sorted_where_the_index_has_the_order(
    state: JobState | None, column: str, descending: bool, newest_first: bool | None
) -> None:
    sort = JobSort(column, descending)
    assert sort.newest_first(state) is newest_first
    assert sort.describe(state).startswith("this page" if newest_first is None else "all pages")


def test_delayed_jobs_are_sorted_by_their_due_time() -> None:
    rows = tuple(
        record(name, JobState.DELAYED, due_ms=due) for name, due in (("a", 9), ("b", 5), ("c", None))
    )
    assert order(JobSort().select("due"), rows) == "bac"
