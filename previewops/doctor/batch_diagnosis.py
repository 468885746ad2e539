"""Decides whether a batch agrees with the records of its jobs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from previewops.doctor.job_diagnosis import Finding


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Numbers of jobs of a batch by state, and the project of one of them."""

    FIELDS: ClassVar[tuple[str, ...]] = ("pending", "completed", "dead", "cancelled")

    pending: int = 0
    completed: int = 0
    dead: int = 0
    cancelled: int = 0
    project: str = ""

    def numbers(self) -> tuple[int, ...]:
        """The numbers in the order of ``FIELDS``."""
        return (self.pending, self.completed, self.dead, self.cancelled)

    def plus(self, row: Sequence[Any]) -> BatchCounts:
        """Adds a reply of the script ``repair_batch``."""
        *numbers, project = row
        pending, completed, dead, cancelled = map(int, numbers)
        return BatchCounts(
            self.pending + pending,
            self.completed + completed,
            self.dead + dead,
            self.cancelled + cancelled,
            project.decode("utf-8", "replace") or self.project,
        )


def diagnose_members(key: str, missing: int) -> Finding:
    """Returns the finding about ``missing`` jobs whose records name a batch that does not list them."""
    found = f"{missing} {'job' if missing == 1 else 'jobs'} of the batch not in it"
    return Finding(key, found, "every job whose record names the batch", "add them")


def diagnose_unlisted(key: str, batch: str) -> Finding:
    """Returns the finding about a batch that is not in the list of batches."""
    return Finding(key, f"batch {batch[:40]!r} not in it", "every batch, so that it expires", "add it")


def diagnose_batch(
    key: str, stored: Sequence[bytes | None], counted: BatchCounts
) -> tuple[Finding, BatchCounts] | None:
    """Returns what is damaged about a batch, and the counts to store; None if nothing is.

    Records of completed and cancelled jobs expire, so a batch may count more of these than have a record.

    Args:
        stored: the values of ``BatchCounts.FIELDS``, of the project and of the creation time; None for none.
        counted: by the records of its jobs.
    """
    *values, project, created = stored
    pending, completed, dead, cancelled = (_parse(value) for value in values)
    right = BatchCounts(
        counted.pending,
        max(counted.completed, completed or 0),
        counted.dead,
        max(counted.cancelled, cancelled or 0),
        counted.project or (project or b"").decode("utf-8", "replace"),
    )
    if project is None and not any(right.numbers()):
        return None  # it has expired, or was deleted meanwhile
    if (
        (pending, completed, dead, cancelled) == right.numbers()
        and project is not None
        and created is not None
    ):
        return None
    shown = " ".join("none" if value is None else repr(value)[2:-1][:20] for value in values)
    expected = " ".join(map(str, right.numbers()))
    names = ", ".join(BatchCounts.FIELDS)
    return Finding(key, f"{names}: {shown}", expected, "store the counts; an event keeps those before"), right


def _parse(value: bytes | None) -> int | None:
    """Returns a count: 0 for a missing one, None for a damaged one."""
    if value is None:
        return 0
    return int(value) if value.isdigit() and len(value) <= 15 else None
