"""``previewops stats``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from previewops.cli.breakdown_table import breakdown_lines
from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_json, print_out, print_unreadable
from previewops.cli.shared_options import json_option
from previewops.cli.workers import format_workers
from previewops.formatting import format_age, format_duration, format_fields, pluralize
from previewops.queue.tolerant_values import UnreadableKeys
from previewops.settings import Settings
from previewops.snapshot.breakdown import Breakdown, Dimension
from previewops.snapshot.model import Snapshot

if TYPE_CHECKING:
    from previewops.queue.queue import Queue

HISTORY_S = 3600


@click.command(
    epilog="""\b
Examples:
  previewops stats
  previewops stats --json
  previewops stats --by project
"""
)
@click.option(
    "--by",
    "dimension",
    type=click.Choice([dimension.value for dimension in Dimension]),
    help="Show the jobs that ended in the last hour by project, output format or priority.",
)
@json_option
@pass_context
def stats(context: Context, dimension: str | None, as_json: bool) -> None:
    """Show the queue: depth, counters, wait and run times, workers.

    With --by: jobs, failures, and the median and 95th percentile of wait and run time. --json then adds
    "breakdown" to the rest.
    """
    if dimension is None:
        snapshot = context.snapshot(history_s=HISTORY_S)
        if as_json:
            print_json(snapshot.as_json())
        else:
            print_out(_lines(snapshot))
            print_unreadable(snapshot.unreadable)
        return
    breakdown, unreadable = context.call(lambda queue: _read(queue, context.settings, Dimension(dimension)))
    if as_json:
        snapshot = context.snapshot(history_s=HISTORY_S)
        print_json({**snapshot.as_json(), "breakdown": breakdown.as_json()})
    else:
        print_out(breakdown_lines(breakdown))
        print_unreadable(unreadable)


async def _read(queue: Queue, settings: Settings, dimension: Dimension) -> tuple[Breakdown, UnreadableKeys]:
    from previewops.snapshot.breakdown_reader import BreakdownReader

    reader = BreakdownReader(queue.redis, settings)
    return await reader.read(dimension), reader.unreadable


def _lines(snapshot: Snapshot) -> list[str]:
    waiting = ", ".join(f"{count:,} {priority.value}" for priority, count in snapshot.waiting.items())
    now = format_fields(
        [
            ("queue", snapshot.queue_name),
            ("paused", _paused(snapshot)),
            ("waiting", f"{sum(snapshot.waiting.values()):,} ({waiting})"),
            (
                "oldest",
                format_duration(snapshot.oldest_waiting_ms) if any(snapshot.waiting.values()) else None,
            ),
            ("delayed", f"{snapshot.delayed:,}"),
            ("active", f"{snapshot.active:,}"),
            ("dead", f"{snapshot.dead:,}"),
        ]
    )
    total = format_fields((name, f"{count:,}") for name, count in snapshot.counters.items())
    return [
        *now,
        "",
        "Last hour",
        *(f"  {line}" for line in _hour(snapshot)),
        "",
        "Since the queue was created",
        *(f"  {line}" for line in total),
        "",
        pluralize(len(snapshot.workers), "worker"),
        *(f"  {line}" for line in format_workers(snapshot)),
    ]


def _paused(snapshot: Snapshot) -> str | None:
    if not snapshot.paused:
        return None
    reason = f": {snapshot.pause_reason}" if snapshot.pause_reason else ""
    return f"by {snapshot.paused_by or 'unknown'} {format_age(snapshot.paused_since_ms, snapshot.now_ms)}{reason}"


def _hour(snapshot: Snapshot) -> list[str]:
    counts = [
        (name, f"{sum(bucket.counts.get(name, 0) for bucket in snapshot.buckets):,}")
        for name in ("accepted", "completed", "retried", "crashed", "died")
    ]
    return format_fields(
        [*counts, ("wait", _percentiles(snapshot, "wait")), ("run", _percentiles(snapshot, "run"))]
    )


def _percentiles(snapshot: Snapshot, series: str) -> str | None:
    percentiles = snapshot.percentiles_ms(series)
    if all(value is None for value in percentiles.values()):
        return None
    return ", ".join(f"{name} {format_duration(value)}" for name, value in percentiles.items())
