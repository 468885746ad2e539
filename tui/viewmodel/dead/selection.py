"""Which dead letters an act applies to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from previewops.formatting import pluralize
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.filter_query import FilterQuery
from previewops.tui.viewmodel.dead.rows import restrict_to_errors

if TYPE_CHECKING:
    from previewops.queue.dead_letter_filter import DeadLetterGroup
    from previewops.queue.records import JobRecord


@dataclass(frozen=True, slots=True)
class DeadListQuery:
    """What is looked at: the causes, or the jobs of one ``group``, or with ``flat`` all jobs; through ``terms``."""

    flat: bool = False
    group: DeadLetterGroup | None = None
    terms: FilterQuery = field(default_factory=FilterQuery)

    @property
    def by_cause(self) -> bool:
        """Whether the rows are causes rather than jobs."""
        return not self.flat and self.group is None

    @property
    def filter(self) -> DeadLetterFilter:
        """All dead letters that the view means, those beyond what is visible too."""
        if self.by_cause:
            return DeadLetterFilter(query=restrict_to_errors(self.terms))
        fingerprint = None if self.group is None else self.group.fingerprint
        return DeadLetterFilter(fingerprint=fingerprint, query=self.terms)

    @property
    def is_filtered(self) -> bool:
        """Whether a filter is on."""
        return bool(self.terms.terms)


@dataclass(frozen=True, slots=True)
class DeadSelection:
    """What an act applies to.

    ``filters`` mean jobs that are in none of the others; ``keys`` are the rows that the choice is made of, none
    when it reaches beyond the rows; ``words`` name it for people. ``unseen`` of the rows are not in sight.
    ``seen_ms`` is when the one job that is meant died, as its row says (server ms): it is done unasked, so a later
    death of the same job is not meant. None where more are meant, which are counted and asked for.
    """

    filters: tuple[DeadLetterFilter, ...]
    label: str
    keys: tuple[str, ...] = ()
    hidden_count: int = 0
    seen_ms: int | None = None

    def with_seen_death(self, rows: Sequence[JobRecord]) -> DeadSelection:
        """The choice, bound to the death that its one job has in these rows."""
        deaths = (row.finished_ms for row in rows if row.job_id == self.single_job_id)
        return replace(self, seen_ms=next(deaths, None))

    @property
    def single_job_id(self) -> str:
        """The id, when it is a single job; otherwise ""."""
        ids = self.filters[0].job_ids if len(self.filters) == 1 else ()
        return ids[0] if len(ids) == 1 else ""


def select(
    view: DeadListQuery, *, everything: bool, marks: Sequence[str], cursor: str, shown: Sequence[str]
) -> DeadSelection | None:
    """All that match if ``everything`` is chosen, else what is marked, else what the cursor is on; or nothing.

    ``shown`` are the rows in sight. Of a cause only those jobs are meant that the filter means.
    """
    if everything:
        return DeadSelection((view.filter,), "all that match" if view.is_filtered else "all of them")
    keys = tuple(marks) or ((cursor,) if cursor else ())
    if not keys:
        return None
    unseen = len(set(keys) - set(shown))
    if view.by_cause:
        words = "this cause" if not marks else f"the {pluralize(len(keys), 'marked cause')}"
        if view.is_filtered:
            words = f"what matches of {words}"
        terms = restrict_to_errors(view.terms)
        return DeadSelection(
            tuple(DeadLetterFilter(fingerprint=key, query=terms) for key in keys), words, keys, unseen
        )
    words = keys[0] if not marks else f"the {len(keys):,} marked"
    return DeadSelection((DeadLetterFilter(job_ids=keys),), words, keys, unseen)
