"""Which page of a long list is shown: where pages begin, what was looked at for them, and how that is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from previewops.queue.filter_query import FilterQuery
from previewops.states import JobState
from previewops.tui.protocols import JobQuery
from previewops.tui.viewmodel.empty_states import loading_lines
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

if TYPE_CHECKING:
    from previewops.queue.pages import Cursor, ListPage
    from previewops.queue.records import JobRecord
    from previewops.snapshot.model import Snapshot

PAGE_ROWS = 200

MAX_EXAMINED = 40_000
"""So many jobs are looked at for one page of a filtered list; then the operator decides whether to look on."""

MAX_EXAMINED_LIVE = 10_000
"""A first page for which more had to be looked at is not looked up again and again: that is felt by the server."""


@dataclass(frozen=True, slots=True)
class PageStart:
    """Where a page begins: the cursor, how many rows come before it, and how many jobs were looked at for those."""

    cursor: Cursor | None = None
    rows: int = 0
    looked: int = 0


@dataclass(frozen=True, slots=True)
class JobListState:
    """A list of jobs, and the page of it that is shown.

    ``starts`` are the beginnings of all pages up to the one shown; ``rows`` is None until that has come;
    ``looked`` counts the jobs looked at for it, ``follows`` is where the next page begins, None at the end.
    """

    state: JobState | None = None
    terms: FilterQuery = field(default_factory=FilterQuery)
    newest_first: bool = True
    starts: tuple[PageStart, ...] = (PageStart(),)
    rows: tuple[JobRecord, ...] | None = None
    looked: int = 0
    follows: Cursor | None = None

    @property
    def number(self) -> int:
        """The page's number, from 1."""
        return len(self.starts)

    @property
    def live(self) -> bool:
        """Whether the page is fetched again with each picture.

        Only the first is: rows that move while one reads far down help nobody.
        """
        return self.number == 1 and self.looked <= MAX_EXAMINED_LIVE

    @property
    def first(self) -> int:
        """The number of the first row, from 1."""
        return self.starts[-1].rows + 1

    @property
    def last(self) -> int:
        """The number of the last row."""
        return self.starts[-1].rows + len(self.rows or ())

    @property
    def looked_at(self) -> int:
        """How many jobs were looked at for this page and those before it."""
        return self.starts[-1].looked + self.looked

    def query(self, *, cursor: Cursor | None, limit: int) -> JobQuery:
        """What is asked of the source for rows of the page from ``cursor`` on."""
        return JobQuery(self.state, self.terms, self.newest_first, cursor, limit)

    def same_page(self, other: JobListState) -> bool:
        """Whether both mean the same page of the same list, whatever has come of it so far."""
        return (self.state, self.terms, self.newest_first, self.starts) == (
            other.state,
            other.terms,
            other.newest_first,
            other.starts,
        )

    def with_page(self, page: ListPage) -> JobListState:
        """The page has come."""
        return replace(self, rows=page.rows, looked=page.examined, follows=page.cursor)

    def next_page(self) -> JobListState:
        """The page after this one, yet to come. Only where ``follows`` says that there is one."""
        start = PageStart(self.follows, self.last, self.looked_at)
        return replace(self, starts=(*self.starts, start), rows=None, looked=0, follows=None)

    def previous_page(self) -> JobListState:
        """The page before this one, yet to come."""
        return replace(self, starts=self.starts[:-1], rows=None, looked=0, follows=None)

    def with_query(self, state: JobState | None, terms: FilterQuery, newest_first: bool) -> JobListState:
        """Another list from its first page on."""
        return JobListState(state, terms, newest_first)


_TOP_ROWS = 40


def changes_too_fast(before: Sequence[JobRecord] | None, after: Sequence[JobRecord]) -> bool:
    """Whether most of the rows on top are others than before: too many a second to be read, or sent over a line."""
    top = after[:_TOP_ROWS]
    known = {record.job_id for record in before or ()}
    return before is not None and sum(record.job_id in known for record in top) * 2 < len(top)


def total_of(snapshot: Snapshot | None, state: JobState | None) -> int | None:
    """How many jobs are on record in a state, or in all for None. None where that is not known."""
    if snapshot is None:
        return None
    counts = state_counts(snapshot)
    return sum(counts.values()) if state is None else counts[state]


def state_counts(snapshot: Snapshot) -> dict[JobState, int]:
    """Jobs by state. Cancelled ones are counted over all time: how many are still on record nobody counts."""
    return {
        JobState.WAITING: sum(snapshot.waiting.values()),
        JobState.DELAYED: snapshot.delayed,
        JobState.ACTIVE: snapshot.active,
        JobState.COMPLETED: snapshot.completed_kept,
        JobState.DEAD: snapshot.dead,
        JobState.CANCELLED: snapshot.counters.get("cancelled", 0),
    }


def title_of(listing: JobListState, snapshot: Snapshot | None) -> str:
    """Which jobs are shown, out of how many."""
    what = "jobs" if listing.state is None else f"{listing.state.value} jobs"
    if listing.rows is None:
        return what
    if listing.terms:
        return _found(listing, what)
    if not listing.rows:
        return f"no {what}" if listing.number == 1 else f"no more {what}"
    return f"{what} {listing.first:,}-{listing.last:,}{_of(listing, snapshot)}"


def _of(listing: JobListState, snapshot: Snapshot | None) -> str:
    if listing.follows is None:
        return f" of {listing.last:,}"
    total = total_of(snapshot, listing.state)
    if total is None or total <= listing.last:
        return ""
    about = "about " if listing.state in (None, JobState.CANCELLED) else ""
    return f" of {about}{total:,}"


def _found(listing: JobListState, what: str) -> str:
    end = "newest" if listing.newest_first else "oldest"
    if listing.follows is None:
        where = f"all {listing.looked_at:,} {what} looked at"
    else:
        where = f"the {end} {listing.looked_at:,} looked at; ] looks on"
    if listing.number > 1 and listing.rows:
        return f"{listing.first:,}-{listing.last:,} found among {where}"
    return f"{listing.last:,} found among {where}"


def subtitle_of(
    listing: JobListState,
    *,
    trouble: str,
    looking: int | None,
    frozen: bool,
    marked: int,
    slowed: bool = False,
) -> str:
    """How fresh the page is.

    ``trouble`` is why it could not be fetched, ``looking`` how far a long look is; ``slowed`` tells that not every
    picture brings new rows, as there would be too many.
    """
    order = "newest first" if listing.newest_first else "oldest first"
    if trouble:
        fresh = f"not renewed: {trouble}"
    elif looking is not None:
        fresh = f"looking on: {looking:,} looked at"
    elif frozen:
        fresh = "frozen"
    elif listing.live:
        fresh = "live, slowed down" if slowed else "live"
    elif listing.number == 1:
        fresh = "found far back, so it stands still; r looks again"
    else:
        fresh = f"page {listing.number} stands still; r looks again"
    parts = ([f"{marked:,} marked"] if marked else []) + [order, fresh]
    return " · ".join(parts)


def empty_lines(listing: JobListState, trouble: str, *, frozen: bool) -> Sequence[Line]:
    """What stands where rows would be."""
    if listing.rows is None:
        return loading_lines(trouble, frozen=frozen)
    if listing.terms:
        return _nothing_matches(listing)
    if listing.number > 1:
        return [(Span("Nothing comes after the page before; ", Tone.DIM), Span("[", Tone.INFO), *_goes_back)]
    if listing.state is not None:
        return [(Span(f"There are no {listing.state.value} jobs.", Tone.DIM),)]
    return [
        (Span("There are no jobs yet.", Tone.DIM),),
        (Span("previewops submit FILE", Tone.TEXT), Span(" brings one.", Tone.DIM)),
    ]


_goes_back = (Span(" goes back to it.", Tone.DIM),)


def _nothing_matches(listing: JobListState) -> Sequence[Line]:
    which = "Nothing else" if listing.number > 1 else "Nothing"
    lines: list[Line] = [
        (
            Span(f"{which} of {listing.looked_at:,} jobs looked at matches ", Tone.DIM),
            clean_span(listing.terms),
        )
    ]
    clears = (Span("esc", Tone.INFO), Span(" clears the filter.", Tone.DIM))
    if listing.follows is not None:
        lines.append((Span("]", Tone.INFO), Span(" looks on; ", Tone.DIM), *clears))
    else:
        lines.append(clears)
    return lines
