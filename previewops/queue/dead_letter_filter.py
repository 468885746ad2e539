"""Values of dead-letter operations: filter, group and bulk result. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from previewops.clock import iso_from_ms
from previewops.queue.filter_query import FilterQuery
from previewops.queue.fingerprint import FINGERPRINT_DIGITS
from previewops.queue.records import JobRecord


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Selects dead letters. All given conditions must match; without conditions all dead letters match.

    ``error`` equals the error class or code, or is a part of the message. ``fingerprint`` is a prefix.
    ``older_than_ms`` is a minimum age. ``query`` matches id, project, priority, worker and error (class,
    code, message). ``projects`` are those whose dead letters the caller may see, None for all. ``died_from_ms`` and
    ``died_before_ms`` limit the time of death (server).
    """

    job_ids: tuple[str, ...] = ()
    error: str | None = None
    project: str | None = None
    fingerprint: str | None = None
    older_than_ms: int | None = None
    query: FilterQuery = field(default_factory=FilterQuery)
    projects: frozenset[str] | None = None
    died_from_ms: int | None = None
    died_before_ms: int | None = None

    @property
    def group(self) -> str | None:
        """The fingerprint of the one group selected, if a complete fingerprint is given."""
        complete = self.fingerprint is not None and len(self.fingerprint) == FINGERPRINT_DIGITS
        return self.fingerprint if complete else None

    @property
    def is_indexed(self) -> bool:
        """Whether the sorted-set indexes alone decide what matches."""
        narrowed = (self.error, self.project, None if self.group else self.fingerprint)
        unlimited = self.projects is None
        return not self.job_ids and narrowed == (None, None, None) and not self.query and unlimited

    def only_names(self, limit: int) -> bool:
        """Whether the filter is at most ``limit`` ids and has no other condition."""
        return 0 < len(self.job_ids) <= limit and replace(self, job_ids=()) == DeadLetterFilter()

    def missing_ids(self, present: Collection[str]) -> tuple[str, ...]:
        """Returns the named ids that are not in ``present``, without duplicates."""
        return tuple(job_id for job_id in dict.fromkeys(self.job_ids) if job_id not in present)

    def cut_off(self, cut_off_ms: int | None) -> int | None:
        """Returns the latest time of death that a call may look at; ``cut_off_ms`` is that of the caller, if any."""
        if self.died_before_ms is None:
            return cut_off_ms
        last_ms = self.died_before_ms - 1
        return last_ms if cut_off_ms is None else min(last_ms, cut_off_ms)

    def event_fields(self) -> dict[str, str]:
        """The conditions as event fields; empty for all dead letters."""
        fields = {
            "job": self.job_ids[0] if len(self.job_ids) == 1 else "",
            "jobs": str(len(self.job_ids)) if len(self.job_ids) > 1 else "",
            "error": self.error or "",
            "project": self.project or "",
            "fingerprint": self.fingerprint or "",
            "olderThanMs": "" if self.older_than_ms is None else str(self.older_than_ms),
            "filter": str(self.query),
            "diedFrom": "" if self.died_from_ms is None else iso_from_ms(self.died_from_ms),
            "diedBefore": "" if self.died_before_ms is None else iso_from_ms(self.died_before_ms),
            "projects": ", ".join(sorted(self.projects or ())),
        }
        return {name: value for name, value in fields.items() if value}


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters with one fingerprint: count, first and last death (server ms), and the newest as an example."""

    fingerprint: str
    count: int
    first_ms: int
    last_ms: int
    example: JobRecord


@dataclass(frozen=True, slots=True)
class BulkResult:
    """Result of a bulk operation. ``skipped`` jobs left the dead-letter queue or died again meanwhile.

    ``left`` counts jobs above ``max_jobs``. ``missing`` are named ids that are not matching dead letters.
    """

    done: int
    skipped: int
    left: int = 0
    missing: tuple[str, ...] = ()
