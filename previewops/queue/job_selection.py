"""Selection of jobs for a bulk command: states and filter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from previewops.queue.filter_query import FilterQuery
from previewops.states import JobState

PENDING_STATES = tuple(state for state in JobState if state.pending)
ENDED_STATES = (JobState.COMPLETED, JobState.CANCELLED)
"""States from which a job can run again. Dead letters are requeued instead."""


@dataclass(frozen=True, slots=True)
class JobSelection:
    """All jobs that are in one of ``states`` (empty: in any) and match ``query``."""

    states: tuple[JobState, ...] = ()
    query: FilterQuery = field(default_factory=FilterQuery)

    def states_argument(self) -> str:
        """The states as a script argument."""
        return ",".join(state.value for state in self.states)

    def event_fields(self) -> dict[str, str]:
        """The conditions as event fields."""
        fields = {"states": ", ".join(state.value for state in self.states), "filter": str(self.query)}
        return {name: value for name, value in fields.items() if value}


@dataclass(frozen=True, slots=True)
class MatchCount:
    """How many jobs match, by state, at ``cut_off_ms`` (server ms), and the ids of some of each, oldest first."""

    by_state: Mapping[JobState, int]
    cut_off_ms: int
    sample: Mapping[JobState, tuple[str, ...]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.by_state.values())

    def sample_ids(self, limit: int) -> tuple[str, ...]:
        """Some of the ids: one of each state, then the next of each."""
        of_states = [self.sample[state] for state in JobState if state in self.sample]
        rounds = zip_longest(*of_states)
        return tuple(job_id for ids in rounds for job_id in ids if job_id is not None)[:limit]

    def total_in(self, states: tuple[JobState, ...]) -> int:
        """How many of them are in one of ``states``."""
        return sum(self.by_state.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class MatchedJobs:
    """All jobs that match a selection, as they were counted before a bulk command."""

    selection: JobSelection
    count: MatchCount

    def within(self, states: tuple[JobState, ...]) -> MatchedJobs:
        """Those of them that are in one of ``states``."""
        chosen = self.selection.states
        narrowed = tuple(state for state in states if not chosen or state in chosen)
        count = self.count
        by_state = {state: number for state, number in count.by_state.items() if state in narrowed}
        sample = {state: ids for state, ids in count.sample.items() if state in narrowed}
        return MatchedJobs(
            JobSelection(narrowed, self.selection.query), MatchCount(by_state, count.cut_off_ms, sample)
        )


@dataclass(frozen=True, slots=True)
class JobsChanged:
    """Result of a bulk command. ``skipped`` counts jobs that matched before and could not be changed any more."""

    done: int
    skipped: int = 0
