"""Counting what an act would apply to, before it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from previewops.tui.ports import Source
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


async def tally_of(source: Source, choice: Choice, view: View, groups: Sequence[DeadGroup]) -> Tally:
    """How many dead letters are meant at this moment, and the causes they fall into.

    Raises:
        PreviewopsError: they could not be counted.
    """
    if choice.keys and view.causes:
        return await _of_groups(source, choice, groups)
    chosen = choice.filters[0]
    if choice.keys:
        return _of_records(await _rows(source, chosen))
    count = await source.dead_count(chosen)
    if view.group is not None:
        return Tally(count, (_part(count, view.group.example),))
    return Tally(count, await _largest(source, chosen, count, narrowed=view.narrowed))


async def _of_groups(source: Source, choice: Choice, groups: Sequence[DeadGroup]) -> Tally:
    examples = {group.fingerprint: group.example for group in groups}
    parts: list[Part] = []
    for chosen in choice.filters:
        count = await source.dead_count(chosen)
        example = examples.get(chosen.fingerprint or "")
        if count:
            parts.append(Part(count, "unknown", "") if example is None else _part(count, example))
    return Tally(sum(part.count for part in parts), _largest_first(parts))


async def _rows(source: Source, chosen: DeadFilter) -> list[JobRecord]:
    rows: list[JobRecord] = []
    cursor: Cursor | None = None
    while True:
        page = await source.dead_page(chosen, cursor, _PAGE)
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            return rows


def _of_records(rows: Sequence[JobRecord]) -> Tally:
    counts = Counter(row.fingerprint for row in rows)
    examples = {row.fingerprint: row for row in reversed(rows)}
    parts = [_part(count, examples[fingerprint]) for fingerprint, count in counts.items()]
    return Tally(len(rows), _largest_first(parts))


async def _largest(source: Source, chosen: DeadFilter, count: int, *, narrowed: bool) -> tuple[Part, ...]:
    """The parts that the largest groups have in a filter, until they make up all of it."""
    parts: list[Part] = []
    left = count
    groups = await source.dead_groups(MOST_GROUPS)
    for group in groups[:_COUNTED_GROUPS] if narrowed else groups:
        if left <= 0:
            break
        within = replace(chosen, fingerprint=group.fingerprint)
        here = await source.dead_count(within) if narrowed else group.count
        if here:
            parts.append(_part(here, group.example))
            left -= here
    return _largest_first(parts)


def _part(count: int, example: JobRecord) -> Part:
    return Part(count, error_of(example), example.reason or "")


def _largest_first(parts: Sequence[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: -part.count))
