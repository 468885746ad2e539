"""Counts the dead letters that a command affects, before the confirmation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from previewops.tui.protocols import DataSource, ExaminedCallback
from previewops.tui.screens.dead.data import MAX_GROUPS
from previewops.tui.viewmodel.dead.dialog_text import CauseCount, CountPreview
from previewops.tui.viewmodel.dead.rows import error_of
from previewops.tui.viewmodel.dead.selection import DeadListQuery, DeadSelection

if TYPE_CHECKING:
    from previewops.queue.pages import Cursor, DeadLetterFilter, DeadLetterGroup
    from previewops.queue.records import JobRecord

_COUNTED_GROUPS = 20
"""A filter is counted in this many of the largest groups. The others are summed up in one number."""

_PAGE = 500


async def count_selection(
    source: DataSource,
    selection: DeadSelection,
    query: DeadListQuery,
    groups: Sequence[DeadLetterGroup],
    looked: ExaminedCallback | None = None,
) -> CountPreview:
    """The number of selected dead letters and their causes at this moment.

    ``on_examined`` receives the number examined so far by a slow count.

    Raises:
        PreviewopsError: the count failed.
    """
    cut_off_ms = await source.now_ms() if selection.seen_ms is None else selection.seen_ms
    added = _Added(looked)
    if selection.keys and query.by_cause:
        parts = await _of_groups(source, selection, groups, cut_off_ms, added)
        return CountPreview(sum(part.count for part in parts), parts, cut_off_ms)
    chosen = selection.filters[0]
    if selection.keys:
        rows = await _rows(source, chosen, cut_off_ms)
        return CountPreview(len(rows), _of_records(rows), cut_off_ms)
    count = await source.dead_count(chosen, cut_off_ms, added())
    if query.group is not None:
        return CountPreview(count, (_part(count, query.group.example),), cut_off_ms)
    largest = await _largest(source, chosen, count, cut_off_ms, added, narrowed=query.is_filtered)
    return CountPreview(count, largest, cut_off_ms)


class _Added:
    """Adds up the progress of several counts that run one after the other."""

    def __init__(self, told: ExaminedCallback | None) -> None:
        self._told = told
        self._before = self._sum = 0

    def __call__(self) -> ExaminedCallback:
        """The progress callback for the next count."""
        self._before = self._sum
        return self._look

    def _look(self, looked: int) -> None:
        self._sum = self._before + looked
        if self._told is not None:
            self._told(self._sum)


async def _of_groups(
    source: DataSource,
    selection: DeadSelection,
    groups: Sequence[DeadLetterGroup],
    cut_off_ms: int,
    added: _Added,
) -> tuple[CauseCount, ...]:
    examples = {group.fingerprint: group.example for group in groups}
    parts: list[CauseCount] = []
    for chosen in selection.filters:
        count = await source.dead_count(chosen, cut_off_ms, added())
        example = examples.get(chosen.fingerprint or "")
        if count:
            parts.append(CauseCount(count, "unknown", "") if example is None else _part(count, example))
    return _largest_first(parts)


async def _rows(source: DataSource, chosen: DeadLetterFilter, cut_off_ms: int) -> list[JobRecord]:
    rows: list[JobRecord] = []
    cursor: Cursor | None = None
    while True:
        page = await source.dead_page(chosen, cursor, _PAGE, cut_off_ms)
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            return rows


def _of_records(rows: Sequence[JobRecord]) -> tuple[CauseCount, ...]:
    counts = Counter(row.fingerprint for row in rows)
    examples = {row.fingerprint: row for row in reversed(rows)}
    parts = [_part(count, examples[fingerprint]) for fingerprint, count in counts.items()]
    return _largest_first(parts)


async def _largest(
    source: DataSource,
    chosen: DeadLetterFilter,
    count: int,
    cut_off_ms: int,
    added: _Added,
    *,
    narrowed: bool,
) -> tuple[CauseCount, ...]:
    """The matching jobs of the largest groups, until they add up to ``count``."""
    parts: list[CauseCount] = []
    left = count
    groups = await source.dead_groups(MAX_GROUPS)
    for group in groups[:_COUNTED_GROUPS] if narrowed else groups:
        if left <= 0:
            break
        within = replace(chosen, fingerprint=group.fingerprint)
        here = await source.dead_count(within, cut_off_ms, added()) if narrowed else group.count
        if here:
            parts.append(_part(here, group.example))
            left -= here
    return _largest_first(parts)


def _part(count: int, example: JobRecord) -> CauseCount:
    return CauseCount(count, error_of(example), example.reason or "")


def _largest_first(parts: Sequence[CauseCount]) -> tuple[CauseCount, ...]:
    return tuple(sorted(parts, key=lambda part: -part.count))
