"""Sorting of the job list by a column.

A list of one state is sorted over all its pages by the time by which its index is ordered. By any other column only
the rows of the page are sorted: the other pages are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from previewops.queue.records import JobRecord
from previewops.states import JobState, Priority
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.jobs.rows import since_ms, wait_or_run_ms
from previewops.tui.viewmodel.spans import Tone

SortKey: TypeAlias = tuple[int | str, ...]
"""What rows are compared by; an empty one has no value, and its row comes last."""

_INDEXED: Mapping[JobState, str] = {
    **dict.fromkeys(JobState, "since"),
    JobState.DELAYED: "due",
}
"""The column of each list of one state whose order is that of the index."""

_STATES, _PRIORITIES = tuple(JobState), (Priority.HIGH, Priority.NORMAL, Priority.LOW)


@dataclass(frozen=True, slots=True)
class JobSort:
    """The column by which the list or the page is sorted, by its title; "" for the order of the list."""

    column: str = ""
    descending: bool = False

    def within(self, columns: Sequence[TableColumn]) -> JobSort:
        """The sort, or none if the list does not have its column."""
        return self if self.column in [column.title for column in columns] else JobSort()

    def next_column(self, columns: Sequence[TableColumn]) -> JobSort:
        """Sorted by the next column; after the last one, in the order of the list."""
        titles = ["", *(column.title for column in columns)]
        place = titles.index(self.column) if self.column in titles else 0
        return _sorted_by(titles[(place + 1) % len(titles)])

    def reversed(self) -> JobSort:
        return replace(self, descending=not self.descending)

    def select(self, title: str) -> JobSort:
        """After a click on a title: sorted by it, then reversed, then in the order of the list."""
        first = _sorted_by(title)
        if self.column != title:
            return first
        return first.reversed() if self == first else JobSort()

    def newest_first(self, state: JobState | None) -> bool | None:
        """The order in which all pages of a list of this state are sorted so; None if only the page can be."""
        if state is None or self.column != _INDEXED[state]:
            return None
        # A large age is an old job, a large due time a late one.
        return self.descending if self.column == "due" else not self.descending

    def describe(self, state: JobState | None) -> str:
        """For the frame of the list, "" if it is not sorted."""
        if not self.column:
            return ""
        what = "this page" if self.newest_first(state) is None else "all pages"
        return f"{what} by {self.column} {'▼' if self.descending else '▲'}"

    def apply(self, rows: Sequence[JobRecord], now_ms: int) -> tuple[JobRecord, ...]:
        """The rows in order. Rows without a value come last in both directions."""
        if not self.column:
            return tuple(rows)
        key = _KEYS[self.column]
        keys = {record.job_id: key(record, now_ms) for record in rows}
        with_value = [record for record in rows if keys[record.job_id]]
        with_value.sort(key=lambda record: keys[record.job_id], reverse=self.descending)
        return (*with_value, *(record for record in rows if not keys[record.job_id]))

    def headers(self, columns: Sequence[TableColumn]) -> tuple[TableColumn, ...]:
        """The columns with titles that can be clicked; that of the sorted one stands out."""
        return tuple(
            replace(
                column,
                action=f"screen.sort_by('{column.title}')",
                tone=Tone.INFO if column.title == self.column else Tone.DIM,
            )
            for column in columns
        )


def _sorted_by(title: str) -> JobSort:
    """Figures start with the largest, text with a."""
    return JobSort(title, descending=title in _FIGURES)


def _text(text: str | None) -> SortKey:
    return (text.casefold(),) if text else ()


def _figure(value: int | None) -> SortKey:
    return () if value is None else (value,)


def _progress_or_reason(record: JobRecord, _now_ms: int) -> SortKey:
    """Running jobs by their progress, behind the others by error."""
    if record.state is JobState.ACTIVE:
        return (1, "", round((record.progress or 0.0) * 1_000))
    shown = " ".join(part for part in (record.code, record.reason) if part)
    return (0, shown.casefold()) if shown and record.state is not JobState.COMPLETED else ()


_KEYS: Mapping[str, Callable[[JobRecord, int], SortKey]] = {
    "state": lambda record, _: (_STATES.index(record.state),),
    "pri": lambda record, _: (_PRIORITIES.index(record.priority),),
    "job": lambda record, _: _text(record.job_id),
    "project": lambda record, _: _text(record.project_id),
    "fail/crash": lambda record, _: (record.attempts, record.crashes),
    "since": lambda record, now_ms: (now_ms - since_ms(record),),
    "due": lambda record, _: _figure(record.due_ms),
    "wait/run": lambda record, now_ms: _figure(wait_or_run_ms(record, now_ms)),
    "worker": lambda record, _: _text(record.worker),
    "progress/reason": _progress_or_reason,
    "reason": _progress_or_reason,
}
"""What each column of ``job_columns`` is sorted by."""

_FIGURES = frozenset({"fail/crash", "since", "wait/run"})
