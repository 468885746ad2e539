"""Which dead letters an act applies to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from previewops.listviews import DeadFilter
from previewops.terms import Terms
from previewops.text import plural
from previewops.tui.shape.dead import on_errors

if TYPE_CHECKING:
    from previewops.listviews import DeadGroup
    from previewops.records import JobRecord


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at: the causes, or the jobs of one ``group``, or with ``flat`` all jobs; through ``terms``."""

    flat: bool = False
    group: DeadGroup | None = None
    terms: Terms = field(default_factory=Terms)

    @property
    def causes(self) -> bool:
        """Whether the rows are causes rather than jobs."""
        return not self.flat and self.group is None

    @property
    def filter(self) -> DeadFilter:
        """All dead letters that the view means, those beyond what is visible too."""
        if self.causes:
            return DeadFilter(terms=on_errors(self.terms))
        fingerprint = None if self.group is None else self.group.fingerprint
        return DeadFilter(fingerprint=fingerprint, terms=self.terms)

    @property
    def narrowed(self) -> bool:
        """Whether a filter is on."""
        return bool(self.terms.terms)


@dataclass(frozen=True, slots=True)
class Choice:
    """What an act applies to.

    ``filters`` mean jobs that are in none of the others; ``keys`` are the rows that the choice is made of, none
    when it reaches beyond the rows; ``words`` name it for people. ``unseen`` of the rows are not in sight.
    ``seen_ms`` is when the one job that is meant died, as its row says (server ms): it is done unasked, so a later
    death of the same job is not meant. None where more are meant, which are counted and asked for.
    """

    filters: tuple[DeadFilter, ...]
    words: str
    keys: tuple[str, ...] = ()
    unseen: int = 0
    seen_ms: int | None = None

    def as_seen(self, rows: Sequence[JobRecord]) -> Choice:
        """The choice, bound to the death that its one job has in these rows."""
        deaths = (row.finished_ms for row in rows if row.job_id == self.one_job)
        return replace(self, seen_ms=next(deaths, None))

    @property
    def one_job(self) -> str:
        """The id, when it is a single job; otherwise ""."""
        ids = self.filters[0].job_ids if len(self.filters) == 1 else ()
        return ids[0] if len(ids) == 1 else ""


def choose(
    view: View, *, everything: bool, marks: Sequence[str], cursor: str, shown: Sequence[str]
) -> Choice | None:
    """All that match if ``everything`` is chosen, else what is marked, else what the cursor is on; or nothing.

    ``shown`` are the rows in sight. Of a cause only those jobs are meant that the filter means.
    """
    if everything:
        return Choice((view.filter,), "all that match" if view.narrowed else "all of them")
    keys = tuple(marks) or ((cursor,) if cursor else ())
    if not keys:
        return None
    unseen = len(set(keys) - set(shown))
    if view.causes:
        words = "this cause" if not marks else f"the {plural(len(keys), 'marked cause')}"
        if view.narrowed:
            words = f"what matches of {words}"
        terms = on_errors(view.terms)
        return Choice(tuple(DeadFilter(fingerprint=key, terms=terms) for key in keys), words, keys, unseen)
    words = keys[0] if not marks else f"the {len(keys):,} marked"
    return Choice((DeadFilter(job_ids=keys),), words, keys, unseen)
