"""Selection of jobs for a bulk command: states and filter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """How many jobs match, by state, at ``cut_off_ms`` (server ms), and the ids of some of them, oldest first."""

    by_state: Mapping[JobState, int]
    cut_off_ms: int
    sample: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return sum(self.by_state.values())

    def within(self, states: tuple[JobState, ...]) -> int:
        """How many of them are in one of ``states``."""
        return sum(self.by_state.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class JobsChanged:
    """Result of a bulk command. ``skipped`` counts jobs that matched before and could not be changed any more."""

    done: int
    skipped: int = 0
