"""The rows of the table: what has ended, and for projects what they wait for and run now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from previewops.snapshot.breakdown import BREAKDOWN_BUCKETS, Breakdown, BreakdownRow, Figures

if TYPE_CHECKING:
    from previewops.queue.projects import ProjectLoad

OTHERS = "\0others"
"""Key of the row of projects without a row of their own: no project has this name."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row. ``load`` is None unless it is a project that waits, runs jobs or has limits."""

    key: str
    ended: BreakdownRow
    load: ProjectLoad | None = None

    @property
    def is_others(self) -> bool:
        """Whether it sums projects without a row of their own."""
        return self.key == OTHERS

    @property
    def figures(self) -> Figures:
        """What has become of its jobs."""
        return self.ended.figures

    @property
    def value(self) -> str:
        """The project, format or priority; "" for none, and for the other projects."""
        return self.ended.value


def merge_rows(breakdown: Breakdown, loads: Sequence[ProjectLoad]) -> tuple[TableRow, ...]:
    """The rows of a breakdown, each with its load, and those of projects of which no job has ended."""
    by_project = {load.project: load for load in loads}
    rows = [TableRow(row.value, row, by_project.pop(row.value, None)) for row in breakdown.rows]
    idle = (Figures(),) * BREAKDOWN_BUCKETS
    rows += [
        TableRow(project, BreakdownRow(project, Figures(), idle), load)
        for project, load in by_project.items()
    ]
    if breakdown.others is not None:
        rows.append(TableRow(OTHERS, breakdown.others))
    return tuple(rows)
