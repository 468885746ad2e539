"""Counts the dead letters that a command affects, before the confirmation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
from previewops.queue.pages import Cursor
from previewops.queue.records import JobRecord
from previewops.tui.protocols import DataSource, ExaminedCallback
from previewops.tui.screens.dead.data import MAX_GROUPS
from previewops.tui.viewmodel.dead.dialog_text import CountPreview, GroupCount
from previewops.tui.viewmodel.dead.frame import filter_text
from previewops.tui.viewmodel.dead.rows import error_of
from previewops.tui.viewmodel.dead.selection import DeadListQuery, DeadSelection

_COUNTED_GROUPS = 20
"""A filter is counted in this many of the largest groups. The others are summed up in one number."""

_PAGE = 500

_SAMPLE_IDS = 3
_SAMPLE_CALLS = 20
"""Maximum of calls to find the sample: few of many dead letters may match."""


async def count_selection(
    source: DataSource,
    selection: DeadSelection,
    query: DeadListQuery,
    groups: Sequence[DeadLetterGroup],
    on_examined: ExaminedCallback | None = None,
) -> CountPreview:
    """The number of selected dead letters and their groups at this moment.

    ``on_examined`` receives the number examined so far by a slow count.

    Raises:
        PreviewopsError: the count failed.
    """
    cut_off_ms = await source.now_ms() if selection.seen_ms is None else selection.seen_ms
    counter = _Counter(source, cut_off_ms, on_examined)
    preview = await _count(counter, selection, query, groups)
    if not preview.count or preview.sample:
        return preview
    selected = selection.filters[0]
    text = filter_text(selected.query, selected.died_from_ms)
    return replace(preview, filter_text=text, sample=await _fetch_sample(source, selection, cut_off_ms))


async def _count(
    counter: _Counter, selection: DeadSelection, query: DeadListQuery, groups: Sequence[DeadLetterGroup]
) -> CountPreview:
    source, cut_off_ms = counter.source, counter.cut_off_ms
    if selection.keys and query.by_group:
        counts = await _count_groups(counter, selection, groups)
        return CountPreview(sum(part.count for part in counts), counts, cut_off_ms)
    selected = selection.filters[0]
    if selection.keys:
        rows = await _fetch_rows(source, selected, cut_off_ms)
        sample = tuple(row.job_id for row in rows[:_SAMPLE_IDS])
        return CountPreview(len(rows), _count_rows(rows), cut_off_ms, sample=sample)
    count = await counter.count(selected)
    if query.group is not None:
        return CountPreview(count, (_group_count(count, query.group.example),), cut_off_ms)
    largest = await _count_largest_groups(
        counter, selected, count, await source.dead_groups(MAX_GROUPS), query
    )
    return CountPreview(count, largest, cut_off_ms)


async def _fetch_sample(source: DataSource, selection: DeadSelection, cut_off_ms: int) -> tuple[str, ...]:
    """Ids of some selected dead letters, the newest first."""
    ids: list[str] = []
    calls = 0
    for selected in selection.filters:
        cursor: Cursor | None = None
        while len(ids) < _SAMPLE_IDS and calls < _SAMPLE_CALLS:
            calls += 1
            page = await source.dead_page(selected, cursor, _SAMPLE_IDS - len(ids), cut_off_ms)
            ids += [row.job_id for row in page.rows]
            cursor = page.cursor
            if cursor is None:
                break
    return tuple(ids)


class _Counter:
    """Counts dead letters, one filter after the other, and adds up the progress of all counts."""

    def __init__(self, source: DataSource, cut_off_ms: int, on_examined: ExaminedCallback | None) -> None:
        self.source = source
        self.cut_off_ms = cut_off_ms
        self._on_examined = on_examined
        self._examined = 0

    async def count(self, selected: DeadLetterFilter) -> int:
        before = self._examined

        def add(examined: int) -> None:
            self._examined = before + examined
            if self._on_examined is not None:
                self._on_examined(self._examined)

        return await self.source.dead_count(selected, self.cut_off_ms, add)


async def _count_groups(
    counter: _Counter, selection: DeadSelection, groups: Sequence[DeadLetterGroup]
) -> tuple[GroupCount, ...]:
    examples = {group.fingerprint: group.example for group in groups}
    counts: list[GroupCount] = []
    for selected in selection.filters:
        count = await counter.count(selected)
        example = examples.get(selected.fingerprint or "")
        if count:
            counts.append(
                GroupCount(count, "unknown", "") if example is None else _group_count(count, example)
            )
    return _largest_first(counts)


async def _fetch_rows(source: DataSource, selected: DeadLetterFilter, cut_off_ms: int) -> list[JobRecord]:
    rows: list[JobRecord] = []
    cursor: Cursor | None = None
    while True:
        page = await source.dead_page(selected, cursor, _PAGE, cut_off_ms)
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            return rows


def _count_rows(rows: Sequence[JobRecord]) -> tuple[GroupCount, ...]:
    counts = Counter(row.fingerprint for row in rows)
    examples = {row.fingerprint: row for row in reversed(rows)}
    return _largest_first(
        [_group_count(count, examples[fingerprint]) for fingerprint, count in counts.items()]
    )


async def _count_largest_groups(
    counter: _Counter,
    selected: DeadLetterFilter,
    total: int,
    groups: Sequence[DeadLetterGroup],
    query: DeadListQuery,
) -> tuple[GroupCount, ...]:
    """The matching jobs of the largest groups, until they add up to ``total``."""
    counts: list[GroupCount] = []
    for group in groups[:_COUNTED_GROUPS] if query.is_filtered else groups:
        if total <= 0:
            break
        count = group.count
        if query.is_filtered:
            count = await counter.count(replace(selected, fingerprint=group.fingerprint))
        if count:
            counts.append(_group_count(count, group.example))
            total -= count
    return _largest_first(counts)


def _group_count(count: int, example: JobRecord) -> GroupCount:
    return GroupCount(count, error_of(example), example.reason or "")


def _largest_first(counts: Sequence[GroupCount]) -> tuple[GroupCount, ...]:
    return tuple(sorted(counts, key=lambda part: -part.count))
