"""Pages of jobs and of dead letters, and which dead letters are meant: plain values. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from previewops.queue.filter_query import FilterQuery
from previewops.queue.fingerprint import FINGERPRINT_DIGITS
from previewops.queue.records import JobRecord


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended. Only what made it can read it; it is good for the same listing at any later time."""

    part: str
    score: bytes
    member: bytes


@dataclass(frozen=True, slots=True)
class ListPage:
    """Rows of a listing, without payloads, and where the next page begins: ``cursor`` is None at the end.

    A page may hold fewer rows than were asked for, even none, and have a cursor all the same: ``examined`` ids
    were as many as one call may look at.
    """

    rows: tuple[JobRecord, ...]
    cursor: Cursor | None
    examined: int


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters are meant. Every condition that is given has to hold; none given means all.

    ``error`` matches the error class or code exactly, or a part of the message; ``fingerprint`` is how one
    begins; ``older_than_ms`` is an age; ``terms`` look at id, project, priority, worker and error (class, code
    and message).
    """

    job_ids: tuple[str, ...] = ()
    error: str | None = None
    project: str | None = None
    fingerprint: str | None = None
    older_than_ms: int | None = None
    query: FilterQuery = field(default_factory=FilterQuery)

    @property
    def group(self) -> str | None:
        """The one group that is meant, where a whole fingerprint is given."""
        whole = self.fingerprint is not None and len(self.fingerprint) == FINGERPRINT_DIGITS
        return self.fingerprint if whole else None

    @property
    def is_indexed(self) -> bool:
        """Whether the indexes alone tell which are meant."""
        narrowed = (self.error, self.project, None if self.group else self.fingerprint)
        return not self.job_ids and narrowed == (None, None, None) and not self.query

    def missing_ids(self, found: Collection[str]) -> tuple[str, ...]:
        """The ids that are named, once each, and not among those found."""
        return tuple(job_id for job_id in dict.fromkeys(self.job_ids) if job_id not in found)

    def event_fields(self) -> dict[str, str]:
        """What was chosen, for the record of an act; empty for all."""
        words = {
            "job": self.job_ids[0] if len(self.job_ids) == 1 else "",
            "jobs": str(len(self.job_ids)) if len(self.job_ids) > 1 else "",
            "error": self.error or "",
            "project": self.project or "",
            "fingerprint": self.fingerprint or "",
            "olderThanMs": "" if self.older_than_ms is None else str(self.older_than_ms),
            "filter": str(self.query),
        }
        return {name: word for name, word in words.items() if word}


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters of one cause: how many, first and last death (server ms), and the newest as an example."""

    fingerprint: str
    count: int
    first_ms: int
    last_ms: int
    example: JobRecord


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What a bulk act did. Skipped are jobs that had left the dead-letter queue, or died again, meanwhile.

    ``left`` are those that a bound on the act kept it from trying. ``missing`` are the ids that were named and are no
    dead letters of those that were meant.
    """

    done: int
    skipped: int
    left: int = 0
    missing: tuple[str, ...] = ()
