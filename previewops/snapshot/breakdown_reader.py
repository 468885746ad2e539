"""Reads the breakdown of ended jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from previewops.queue.keys import Keys
from previewops.queue.output_formats import OUTPUT_FORMATS
from previewops.queue.scripts import ScriptName, Scripts, decode_pairs
from previewops.queue.tolerant_values import UnreadableCollector, UnreadableKeys, parse_counts
from previewops.settings import Settings
from previewops.snapshot.breakdown import (
    BREAKDOWN_BUCKETS,
    BREAKDOWN_MS,
    Breakdown,
    BreakdownBucket,
    Dimension,
    Figures,
    break_down,
)
from previewops.snapshot.histogram import parse_bins
from previewops.states import Priority

if TYPE_CHECKING:
    from redis.asyncio import Redis

BUCKETS_PER_CALL = 4
"""Buckets that one call reads: Redis serves nobody else meanwhile."""

_PRIORITIES = {priority.value: priority for priority in Priority}


class BreakdownReader:
    """Reads breakdowns of one queue. It keeps closed buckets, so a repeated reading costs one call.

    ``unreadable`` are the damaged keys of the last reading.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self.unreadable = UnreadableKeys()
        self._scripts = Scripts(redis, self.keys)
        self._kept: dict[int, BreakdownBucket] = {}
        self._with_projects = False
        self._lock = asyncio.Lock()

    async def read(self, dimension: Dimension) -> Breakdown:
        """Returns the ended jobs of the last hour by a dimension.

        Its cost does not depend on the number of jobs or projects.
        """
        async with self._lock:  # two readings at once would see each other's unfinished buckets
            return await self._read(dimension)

    async def _read(self, dimension: Dimension) -> Breakdown:
        with_projects = dimension is Dimension.PROJECT
        if with_projects and not self._with_projects:
            self._kept.clear()
            self._with_projects = True
        collector, reported = UnreadableCollector(), UnreadableKeys()
        # The newest kept bucket was open when it was read.
        first = max(self._kept, default=0)
        while True:
            reply = await self._scripts.run(
                ScriptName.BREAKDOWN, first, BUCKETS_PER_CALL, int(self._with_projects)
            )
            now_ms = int(reply[0])
            last = now_ms // BREAKDOWN_MS
            buckets = [_bucket(self.keys, collector, *row) for row in reply[1]]
            reported += UnreadableKeys.from_reply(reply[2])
            self._kept |= {bucket.number: bucket for bucket in buckets}
            first = max((bucket.number + 1 for bucket in buckets), default=last + 1)
            if first > last:
                break
        self._kept = {n: bucket for n, bucket in self._kept.items() if last - BREAKDOWN_BUCKETS < n <= last}
        self.unreadable = collector.result(reported)
        return break_down(list(self._kept.values()), dimension, now_ms)


def _bucket(
    keys: Keys,
    unreadable: UnreadableCollector,
    number: bytes,
    flat: Sequence[bytes],
    projects: Sequence[tuple[bytes, Sequence[bytes]]],
) -> BreakdownBucket:
    n = int(number)
    classes: dict[tuple[Priority, str], dict[str, str]] = {}
    for name, value in decode_pairs(flat).items():
        priority, _, rest = name.partition(":")
        output_format, _, series = rest.partition(":")
        if priority in _PRIORITIES and output_format in OUTPUT_FORMATS:
            classes.setdefault((_PRIORITIES[priority], output_format), {})[series] = value
    return BreakdownBucket(
        n,
        {name: _figures(f"{keys.ended_prefix}{n}", raw, unreadable) for name, raw in classes.items()},
        {
            name: _figures(f"{keys.ended_project_prefix}{n}:{name}", decode_pairs(fields), unreadable)
            for name, fields in ((raw.decode("utf-8", "replace"), fields) for raw, fields in projects)
        },
    )


def _figures(key: str, raw: Mapping[str, str], unreadable: UnreadableCollector) -> Figures:
    fields: dict[str, Any] = parse_counts(key, raw, raw, unreadable)
    bins = {name: count for name, count in fields.items() if name not in ("dead", "retried")}
    return Figures(
        fields.get("dead", 0), fields.get("retried", 0), parse_bins(bins, "w"), parse_bins(bins, "r")
    )
