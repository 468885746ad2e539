"""State of the job list: page position, examined jobs, title and subtitle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from previewops.queue.filter_query import FilterQuery
from previewops.queue.pages import Cursor, ListPage
from previewops.queue.records import JobRecord
from previewops.snapshot.model import Snapshot
from previewops.states import JobState
from previewops.tui.keymap import key_of
from previewops.tui.protocols import JobQuery
from previewops.tui.viewmodel.empty_states import format_loading_lines
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

PAGE_ROWS = 200

MAX_EXAMINED = 40_000
"""Maximum of jobs examined for one page of a list whose filter is being typed."""

MAX_EXAMINED_LIVE = 10_000
"""A first page that examined more jobs is not refreshed automatically: the load on Redis would be noticeable."""


@dataclass(frozen=True, slots=True)
class PageStart:
    """Start of a page: the cursor, and the numbers of rows and of examined jobs before it."""

    cursor: Cursor | None = None
    rows: int = 0
    examined: int = 0


@dataclass(frozen=True, slots=True)
class JobListState:
    """A list of jobs and its current page.

    ``starts`` are the starts of all pages up to the current one. ``rows`` is None while it is loading;
    ``examined`` is the number of jobs examined for it; ``next_cursor`` is the next page's cursor, None at the end.
    ``to_the_end``: the filter is kept, so its pages are filled however many jobs have to be examined.
    """

    state: JobState | None = None
    terms: FilterQuery = field(default_factory=FilterQuery)
    newest_first: bool = True
    to_the_end: bool = False
    starts: tuple[PageStart, ...] = (PageStart(),)
    rows: tuple[JobRecord, ...] | None = None
    examined: int = 0
    next_cursor: Cursor | None = None

    @property
    def number(self) -> int:
        return len(self.starts)

    @property
    def max_examined(self) -> float:
        """Maximum of jobs that are examined for a page."""
        return math.inf if self.to_the_end else MAX_EXAMINED

    @property
    def live(self) -> bool:
        """Whether the page is fetched again with each snapshot.

        Only the first one is: moving rows further down cannot be read.
        """
        return self.number == 1 and self.examined <= MAX_EXAMINED_LIVE

    @property
    def first(self) -> int:
        return self.starts[-1].rows + 1

    @property
    def last(self) -> int:
        return self.starts[-1].rows + len(self.rows or ())

    @property
    def total_examined(self) -> int:
        """The number of jobs examined for this page and the pages before it."""
        return self.starts[-1].examined + self.examined

    def query(self, *, cursor: Cursor | None, limit: int) -> JobQuery:
        """The query for rows of the page from ``cursor`` on."""
        return JobQuery(self.state, self.terms, self.newest_first, cursor, limit)

    def same_page(self, other: JobListState) -> bool:
        """Whether both are the same page of the same list, loaded or not."""
        return replace(other, rows=self.rows, examined=self.examined, next_cursor=self.next_cursor) == self

    def with_page(self, page: ListPage) -> JobListState:
        return replace(self, rows=page.rows, examined=page.examined, next_cursor=page.cursor)

    def first_page(self) -> JobListState:
        """The first page, not loaded yet."""
        return replace(self, starts=(PageStart(),), rows=None, examined=0, next_cursor=None)

    def next_page(self) -> JobListState:
        """The next page, not loaded yet. Requires ``next_cursor``."""
        start = PageStart(self.next_cursor, self.last, self.total_examined)
        return replace(self, starts=(*self.starts, start), rows=None, examined=0, next_cursor=None)

    def previous_page(self) -> JobListState:
        """The previous page, not loaded yet."""
        return replace(self, starts=self.starts[:-1], rows=None, examined=0, next_cursor=None)


_TOP_ROWS = 40


def changes_too_fast(before: Sequence[JobRecord] | None, after: Sequence[JobRecord]) -> bool:
    """Whether most of the top rows are new: they change too fast to be read, or sent over a slow connection."""
    top = after[:_TOP_ROWS]
    known = {record.job_id for record in before or ()}
    return before is not None and sum(record.job_id in known for record in top) * 2 < len(top)


def total_of(snapshot: Snapshot | None, state: JobState | None) -> int | None:
    """The number of jobs in a state, or in all states for None; None if unknown."""
    if snapshot is None:
        return None
    counts = state_counts(snapshot)
    return sum(counts.values()) if state is None else counts[state]


def state_counts(snapshot: Snapshot) -> dict[JobState, int]:
    """Jobs by state. The cancelled count includes jobs whose records have expired."""
    return {
        JobState.WAITING: sum(snapshot.waiting.values()),
        JobState.DELAYED: snapshot.delayed,
        JobState.ACTIVE: snapshot.active,
        JobState.COMPLETED: snapshot.completed_kept,
        JobState.DEAD: snapshot.dead,
        JobState.CANCELLED: snapshot.counters.get("cancelled", 0),
    }


def title_of(listing: JobListState, snapshot: Snapshot | None, *, matched: int | None = None) -> str:
    """Which jobs are shown, out of how many; ``matched`` is the number of selected jobs if all are selected."""
    title = _title(listing, snapshot)
    if matched is None:
        return title
    # In front: a narrow frame cuts the end, and a command acts on the selection.
    return f"all {matched:,}{' that match' if listing.terms else ''} selected · {title}"


def _title(listing: JobListState, snapshot: Snapshot | None) -> str:
    what = "jobs" if listing.state is None else f"{listing.state.value} jobs"
    if listing.rows is None:
        return what
    if listing.terms:
        return _filtered_title(listing, what)
    if not listing.rows:
        return f"no {what}" if listing.number == 1 else f"no more {what}"
    return f"{what} {listing.first:,}-{listing.last:,}{_total_suffix(listing, snapshot)}"


def _total_suffix(listing: JobListState, snapshot: Snapshot | None) -> str:
    if listing.next_cursor is None:
        return f" of {listing.last:,}"
    total = total_of(snapshot, listing.state)
    if total is None or total <= listing.last:
        return ""
    about = "about " if listing.state in (None, JobState.CANCELLED) else ""
    return f" of {about}{total:,}"


def _filtered_title(listing: JobListState, what: str) -> str:
    end = "newest" if listing.newest_first else "oldest"
    if listing.next_cursor is None:
        where = f"all {listing.total_examined:,} {what} examined"
    else:
        key = key_of("turn_page(1)", "jobs")
        where = f"the {end} {listing.total_examined:,} examined; {key} continues"
    if listing.number > 1 and listing.rows:
        return f"{listing.first:,}-{listing.last:,} found among {where}"
    return f"{listing.last:,} found among {where}"


def subtitle_of(
    listing: JobListState,
    *,
    fetch_error: str,
    examined: int | None,
    frozen: bool,
    marked: int,
    slowed: bool = False,
    sort: str = "",
    counting: int | None = None,
) -> str:
    """Freshness of the page.

    ``fetch_error`` is the error of the last fetch, ``examined`` the number of jobs examined by a slow fetch.
    ``slowed``: not every snapshot refreshes the rows, since they change too fast. ``sort``: by what this page is
    sorted, "" for the order of the list. ``counting``: progress of a count of all jobs that match.
    """
    if counting is not None:
        return f"counting … {counting:,} examined, {key_of('back')} cancels" if counting else "counting …"
    order = sort or ("newest first" if listing.newest_first else "oldest first")
    if fetch_error:
        fresh = f"not updated: {fetch_error}"
    elif examined is not None:
        fresh = f"searching: {examined:,} examined"
    elif frozen:
        fresh = "frozen"
    elif listing.live:
        fresh = "live, slowed down" if slowed else "live"
    elif listing.number == 1:
        fresh = f"costly page, not live; {key_of('refresh_page', 'jobs')} refreshes"
    else:
        fresh = f"page {listing.number} is not live; {key_of('refresh_page', 'jobs')} refreshes"
    parts = ([f"{marked:,} marked"] if marked else []) + [order, fresh]
    return " · ".join(parts)


def format_empty_lines(listing: JobListState, fetch_error: str, *, frozen: bool) -> Sequence[Line]:
    """The text in place of rows."""
    if listing.rows is None:
        return format_loading_lines(fetch_error, frozen=frozen)
    if listing.terms:
        return _nothing_matches(listing)
    if listing.number > 1:
        back = key_hint("turn_page(-1)", "goes back.", "jobs")
        return [(Span("No more jobs; ", Tone.DIM), *back)]
    if listing.state is not None:
        return [(Span(f"There are no {listing.state.value} jobs.", Tone.DIM),)]
    return [
        (Span("There are no jobs yet.", Tone.DIM),),
        (Span("previewops submit FILE", Tone.TEXT), Span(" submits one.", Tone.DIM)),
    ]


def _nothing_matches(listing: JobListState) -> Sequence[Line]:
    which = "No other" if listing.number > 1 else "None"
    head = Span(f"{which} of {listing.total_examined:,} examined jobs matches ", Tone.DIM)
    more = key_hint("turn_page(1)", "continues; ", "jobs") if listing.next_cursor is not None else ()
    return [(head, clean_span(listing.terms)), (*more, *key_hint("back", "clears the filter."))]
