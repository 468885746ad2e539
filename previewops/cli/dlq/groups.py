"""Groups of dead letters by error fingerprint."""

from __future__ import annotations

from collections.abc import Iterable

from previewops.queue.dead_letter_filter import DeadLetterGroup
from previewops.queue.records import JobRecord


def group_by_cause(newest_first: Iterable[JobRecord]) -> tuple[DeadLetterGroup, ...]:
    """Groups dead letters by fingerprint, largest group first. The example of a group is its newest letter."""
    members: dict[str, list[JobRecord]] = {}
    for record in newest_first:
        members.setdefault(record.fingerprint or "", []).append(record)
    groups = [
        DeadLetterGroup(name, len(of), of[-1].finished_ms or 0, of[0].finished_ms or 0, of[0])
        for name, of in members.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.count, group.fingerprint)))
