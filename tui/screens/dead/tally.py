"""Counting what an act would apply to, before it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from previewops.tui.ports import Looked, Source
from previewops.tui.screens.dead.catalogue import MOST_GROUPS
from previewops.tui.shape.bulk import Part, Tally
from previewops.tui.shape.choice import Choice, View
from previewops.tui.shape.dead import error_of

if TYPE_CHECKING:
    from previewops.listviews import Cursor, DeadFilter, DeadGroup
    from previewops.records import JobRecord

_COUNTED_GROUPS = 20
"""In so many of the largest groups a filter is counted; what lies beyond is told as one figure."""

_PAGE = 500


async def tally_of(
    source: Source, choice: Choice, view: View, groups: Sequence[DeadGroup], looked: Looked | None = None
) -> Tally:
    """How many dead letters are meant at this moment, and the causes they fall into.

    ``looked`` is told how many were looked at so far by a count that takes long.

    Raises:
        PreviewopsError: they could not be counted.
    """
    cut_off_ms = await source.now_ms() if choice.seen_ms is None else choice.seen_ms
    added = _Added(looked)
    if choice.keys and view.causes:
        parts = await _of_groups(source, choice, groups, cut_off_ms, added)
        return Tally(sum(part.count for part in parts), parts, cut_off_ms)
    chosen = choice.filters[0]
    if choice.keys:
        rows = await _rows(source, chosen, cut_off_ms)
        return Tally(len(rows), _of_records(rows), cut_off_ms)
    count = await source.dead_count(chosen, cut_off_ms, added())
    if view.group is not None:
        return Tally(count, (_part(count, view.group.example),), cut_off_ms)
    largest = await _largest(source, chosen, count, cut_off_ms, added, narrowed=view.narrowed)
    return Tally(count, largest, cut_off_ms)


class _Added:
    """Adds up how many letters several counts, one after the other, have looked at."""

    def __init__(self, told: Looked | None) -> None:
        self._told = told
        self._before = self._sum = 0

    def __call__(self) -> Looked:
        """What the next count tells how far it is."""
        self._before = self._sum
        return self._look

    def _look(self, looked: int) -> None:
        self._sum = self._before + looked
        if self._told is not None:
            self._told(self._sum)


async def _of_groups(
    source: Source, choice: Choice, groups: Sequence[DeadGroup], cut_off_ms: int, added: _Added
) -> tuple[Part, ...]:
    examples = {group.fingerprint: group.example for group in groups}
    parts: list[Part] = []
    for chosen in choice.filters:
        count = await source.dead_count(chosen, cut_off_ms, added())
        example = examples.get(chosen.fingerprint or "")
        if count:
            parts.append(Part(count, "unknown", "") if example is None else _part(count, example))
    return _largest_first(parts)


async def _rows(source: Source, chosen: DeadFilter, cut_off_ms: int) -> list[JobRecord]:
    rows: list[JobRecord] = []
    cursor: Cursor | None = None
    while True:
        page = await source.dead_page(chosen, cursor, _PAGE, cut_off_ms)
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            return rows


def _of_records(rows: Sequence[JobRecord]) -> tuple[Part, ...]:
    counts = Counter(row.fingerprint for row in rows)
    examples = {row.fingerprint: row for row in reversed(rows)}
    parts = [_part(count, examples[fingerprint]) for fingerprint, count in counts.items()]
    return _largest_first(parts)


async def _largest(
    source: Source, chosen: DeadFilter, count: int, cut_off_ms: int, added: _Added, *, narrowed: bool
) -> tuple[Part, ...]:
    """The parts that the largest groups have in a filter, until they make up all of it."""
    parts: list[Part] = []
    left = count
    groups = await source.dead_groups(MOST_GROUPS)
    for group in groups[:_COUNTED_GROUPS] if narrowed else groups:
        if left <= 0:
            break
        within = replace(chosen, fingerprint=group.fingerprint)
        here = await source.dead_count(within, cut_off_ms, added()) if narrowed else group.count
        if here:
            parts.append(_part(here, group.example))
            left -= here
    return _largest_first(parts)


def _part(count: int, example: JobRecord) -> Part:
    return Part(count, error_of(example), example.reason or "")


def _largest_first(parts: Sequence[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: -part.count))
