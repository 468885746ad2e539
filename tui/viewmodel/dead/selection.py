"""Selection of dead letters for a command. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from previewops.formatting import pluralize
from previewops.queue.dead_letter_facets import HOUR_MS
from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
from previewops.queue.filter_query import FilterQuery
from previewops.queue.records import JobRecord
from previewops.tui.viewmodel.dead.rows import restrict_to_errors


@dataclass(frozen=True, slots=True)
class DeadListQuery:
    """The listed rows: the groups, the jobs of one ``group``, or with ``flat`` all jobs; filtered by ``terms``.

    ``hour_ms`` is the start of the hour (server ms) in which the listed jobs died, None for any time.
    """

    flat: bool = False
    group: DeadLetterGroup | None = None
    terms: FilterQuery = field(default_factory=FilterQuery)
    hour_ms: int | None = None

    @property
    def by_group(self) -> bool:
        """Whether the rows are groups rather than jobs."""
        return not self.flat and self.group is None

    @property
    def filter(self) -> DeadLetterFilter:
        """The filter of all listed dead letters, including those beyond the page."""
        if self.by_group:
            return DeadLetterFilter(query=restrict_to_errors(self.terms))
        fingerprint = None if self.group is None else self.group.fingerprint
        before_ms = None if self.hour_ms is None else self.hour_ms + HOUR_MS
        return DeadLetterFilter(
            fingerprint=fingerprint,
            query=self.terms,
            died_from_ms=self.hour_ms,
            died_before_ms=before_ms,
        )

    @property
    def is_filtered(self) -> bool:
        """Whether the list is restricted by words or to an hour."""
        return bool(self.terms.terms) or self.hour_ms is not None


@dataclass(frozen=True, slots=True)
class DeadSelection:
    """The dead letters that a command affects.

    ``filters`` match disjoint sets of jobs. ``keys`` are the selected rows, none if the selection extends beyond the
    page; ``hidden_count`` of them are not visible. ``label`` describes the selection. ``seen_ms`` is the displayed
    time of death of a single job (server ms): it is requeued without a dialog, so a later death must not be
    affected. It is None for several jobs, which are counted and confirmed.
    """

    filters: tuple[DeadLetterFilter, ...]
    label: str
    keys: tuple[str, ...] = ()
    hidden_count: int = 0
    seen_ms: int | None = None

    def with_seen_death(self, rows: Sequence[JobRecord]) -> DeadSelection:
        """The selection with the time of death that these rows show for its single job."""
        deaths = (row.finished_ms for row in rows if row.job_id == self.single_job_id)
        return replace(self, seen_ms=next(deaths, None))

    @property
    def single_job_id(self) -> str:
        """The job's id if exactly one job is selected, else ""."""
        ids = self.filters[0].job_ids if len(self.filters) == 1 else ()
        return ids[0] if len(ids) == 1 else ""


def select(
    query: DeadListQuery, *, everything: bool, marks: Sequence[str], cursor: str, shown: Sequence[str]
) -> DeadSelection | None:
    """Everything that matches if ``everything``, else the marked rows, else the row at the cursor; None without rows.

    ``shown`` are the visible rows. Of a group, only jobs that match the filter are selected.
    """
    if everything:
        return DeadSelection((query.filter,), "all that match" if query.is_filtered else "all of them")
    keys = tuple(marks) or ((cursor,) if cursor else ())
    if not keys:
        return None
    unseen = len(set(keys) - set(shown))
    if query.by_group:
        description = "this group" if not marks else f"the {pluralize(len(keys), 'marked group')}"
        if query.is_filtered:
            description = f"matching jobs of {description}"
        terms = restrict_to_errors(query.terms)
        filters = tuple(DeadLetterFilter(fingerprint=key, query=terms) for key in keys)
        return DeadSelection(filters, description, keys, unseen)
    description = keys[0] if not marks else f"the {len(keys):,} marked"
    return DeadSelection((DeadLetterFilter(job_ids=keys),), description, keys, unseen)
