"""Selection of jobs for a command, on the screen of all jobs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.job_selection import ENDED_STATES, PENDING_STATES, JobSelection, MatchedJobs
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.tui.viewmodel.dead.selection import DeadListQuery, DeadSelection
from previewops.tui.viewmodel.jobs.list_state import JobListState

NOT_STARTED = (JobState.WAITING, JobState.DELAYED)


@dataclass(frozen=True, slots=True)
class SelectedJobs:
    """The marked rows, else the row at the cursor, else, with ``matched``, all jobs that match.

    ``states`` are those of the visible jobs; marked jobs of other pages may be in any.
    """

    job_ids: tuple[str, ...] = ()
    states: Mapping[str, JobState] = field(default_factory=dict)
    matched: MatchedJobs | None = None

    def ids_in(self, states: Collection[JobState]) -> tuple[str, ...]:
        """Ids of the rows that may be in one of the states."""
        return tuple(job_id for job_id in self.job_ids if self.states.get(job_id) in (None, *states))

    def count_in(self, states: tuple[JobState, ...]) -> int:
        """How many of the selected jobs may be in one of the states."""
        return len(self.ids_in(states)) if self.matched is None else self.matched.count.total_in(states)

    def possible(self) -> Mapping[str, bool]:
        """The actions of the screen on selected jobs, and whether they apply to any."""
        rows = self.matched is None
        pending, dead = self.count_in(PENDING_STATES) > 0, self.count_in((JobState.DEAD,)) > 0
        ended = self.count_in(ENDED_STATES) > 0
        return {
            "mark": bool(self.job_ids),
            "copy": bool(self.job_ids),
            "cancel": pending,
            "priority": rows and self.count_in(NOT_STARTED) > 0,
            "run_now": rows and self.count_in((JobState.DELAYED,)) > 0,
            "discard": dead and not pending,  # the same key cancels jobs
            "requeue": dead,
            "run_again": ended and not dead,  # the same key requeues dead letters
            "delete": ended,
        }


def select(
    rows: Sequence[JobRecord], *, marks: tuple[str, ...], cursor: str, matched: MatchedJobs | None
) -> SelectedJobs:
    """What a command affects; ``rows`` are those of the page."""
    ids = marks or ((cursor,) if cursor else ())
    return SelectedJobs(ids, {record.job_id: record.state for record in rows}, matched)


def selection_of(listing: JobListState) -> JobSelection:
    """All jobs of the list, including those beyond the page."""
    return JobSelection(() if listing.state is None else (listing.state,), listing.terms)


def dead_query(selected: SelectedJobs) -> DeadListQuery:
    """The list of dead letters that the selection is a part of."""
    matched = selected.matched
    return (
        DeadListQuery(flat=True)
        if matched is None
        else DeadListQuery(flat=True, terms=matched.selection.query)
    )


def select_dead(selected: SelectedJobs, rows: Sequence[JobRecord]) -> DeadSelection:
    """The dead letters among the selected jobs."""
    if selected.matched is not None:
        terms = selected.matched.selection.query
        return DeadSelection((DeadLetterFilter(query=terms),), "all that match" if terms else "all of them")
    dead = selected.ids_in((JobState.DEAD,))
    label = dead[0] if len(dead) == 1 else f"the {len(dead):,} marked"
    hidden = len(set(dead) - {record.job_id for record in rows})
    selection = DeadSelection((DeadLetterFilter(job_ids=dead),), label, dead, hidden)
    return selection.with_seen_death(rows)
