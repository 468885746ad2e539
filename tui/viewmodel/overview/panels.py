"""The overview's panels without charts: status, queue depth, workers and latest events."""

from __future__ import annotations

from previewops.formatting import clean, format_duration, pluralize
from previewops.health import Status
from previewops.snapshot.model import Snapshot
from previewops.states import Priority
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import bar
from previewops.tui.viewmodel.event_text import format_event_line
from previewops.tui.viewmodel.queue_status import (
    STATUS_MARKS,
    alive_workers,
    drain_ms,
    flow_rates,
    queue_status,
)
from previewops.tui.viewmodel.spans import Line, Span, Tone, clip, justify, pad, width_of

_MAX_ALARMS = 3

FULL_FROM = 10
"""Minimum of waiting jobs for a full bar, so that a single job does not fill it."""


def headline(view: QueueView, columns: int) -> list[Line]:
    """The queue's status, then the failed health checks."""
    state = queue_status(view)
    status = (Span(f" {state.mark} {state.headline}", state.tone), Span(f"  {state.details}"))
    lines = [clip(status, columns)]
    if view.health is not None:
        bad = [check for check in view.health.checks if check.status is not Status.OK]
        bad.sort(key=lambda check: check.status is not Status.CRITICAL)
        for check in bad[:_MAX_ALARMS]:
            mark, tone = STATUS_MARKS[check.status]
            advice = f"  {clean(check.advice)}" if check.advice else ""
            alarm = (Span(f" {mark} {clean(check.message)}", tone), Span(advice, Tone.DIM))
            lines.append(clip(alarm, columns))
        if len(bad) > _MAX_ALARMS:
            lines.append((Span(f"   and {len(bad) - _MAX_ALARMS} more in Health", Tone.DIM),))
    return lines


def format_depth_lines(view: QueueView, columns: int) -> list[Line]:
    """Waiting jobs by priority with the oldest wait; then delayed, running, dead and completed jobs."""
    snapshot = view.snapshot
    if snapshot is None:
        return []
    maximum = max(FULL_FROM, *snapshot.waiting.values())
    lines = [_format_class_line(snapshot, priority, maximum, columns) for priority in Priority]
    incoming, finished = flow_rates(view.history, snapshot.now_ms)
    remaining = drain_ms(snapshot, view.history)
    trend = "drained in " + format_duration(remaining) if snapshot.backlog and remaining is not None else ""
    if snapshot.backlog and remaining is None and incoming > finished:
        trend = f"grows by {incoming - finished:.0f} a minute"
    counts = (
        *_count("delayed", snapshot.delayed, Tone.TEXT),
        *_count("active", snapshot.active, Tone.GOOD if snapshot.active else Tone.DIM),
        *_count("dead", snapshot.dead, Tone.BAD if snapshot.dead else Tone.DIM),
    )
    lines.append(justify(counts, (Span(trend, Tone.DIM),), columns))
    done = snapshot.counters.get("completed", 0)
    lines.append((Span("completed ", Tone.DIM), Span(f"{done:,}", Tone.TEXT), Span("  in total", Tone.DIM)))
    return lines


def _format_class_line(snapshot: Snapshot, priority: Priority, maximum: int, columns: int) -> Line:
    count = snapshot.waiting.get(priority, 0)
    since = f"oldest {format_duration(snapshot.oldest_wait_ms.get(priority, 0))}" if count else ""
    left = (
        Span(f"{priority.value:<7}", Tone(priority.value)),
        *pad((Span(short_count(count), Tone.STRONG if count else Tone.DIM),), 6, right=True),
        Span(" "),
    )
    right = pad((Span(since, Tone.DIM),), 18, right=True)
    room = max(4, columns - width_of(left) - 18 - 1)
    return (*left, *bar(count / maximum, room, Tone(priority.value)), Span(" "), *right)


def _count(name: str, count: int, tone: Tone) -> Line:
    return (Span(f"{name} ", Tone.DIM), Span(f"{short_count(count)}  ", tone))


def format_worker_lines(view: QueueView, columns: int, rows: int) -> list[Line]:
    """Busy slots, and one line per host."""
    snapshot = view.snapshot
    if snapshot is None:
        return []
    alive = set(alive_workers(snapshot))
    workers = [worker for worker in snapshot.workers if worker.worker_id in alive]
    if not workers:
        return [
            (Span("no workers", Tone.BAD),),
            (Span("no worker claims jobs; start some with", Tone.DIM),),
            (Span("previewops up"), Span(" or ", Tone.DIM), Span("previewops supervise")),
        ]
    slots = sum(worker.job_slots for worker in workers)
    busy = sum(worker.busy for worker in workers)
    share = busy / slots if slots else 0.0
    count = (Span(pluralize(len(workers), "worker"), Tone.STRONG),)
    usage = (Span(f"{busy} of {slots} slots busy", Tone.TEXT if busy else Tone.DIM),)
    load = bar(share, columns, Tone.GOOD if share < 0.9 else Tone.WARN)
    return [justify(count, usage, columns), load, *_format_host_lines(snapshot, alive, columns)][:rows]


def _format_host_lines(snapshot: Snapshot, alive: set[str], columns: int) -> list[Line]:
    hosts: dict[str, list[int]] = {}
    for worker in snapshot.workers:
        alive_count, silent, busy = hosts.setdefault(worker.host, [0, 0, 0])
        is_alive = worker.worker_id in alive
        hosts[worker.host] = [alive_count + is_alive, silent + (not is_alive), busy + worker.busy]
    fatal = {
        view.state.host: sum(worker.phase == "fatal" for worker in view.state.workers)
        for view in snapshot.supervisors
        if not view.silent
    }
    lines: list[Line] = []
    for host, (alive_count, silent, busy) in sorted(hosts.items()):
        given_up = fatal.get(host, 0)
        problems = [f"{silent} silent"] * bool(silent) + [f"{given_up} given up"] * bool(given_up)
        mark = Span("▲ " if problems else "● ", Tone.WARN if problems else Tone.GOOD)
        right = (Span(", ".join(problems), Tone.WARN),) if problems else (Span(f"{busy} busy", Tone.DIM),)
        left = (mark, Span(clean(host)), Span(f"  {pluralize(alive_count, 'worker')}", Tone.DIM))
        lines.append(justify(left, right, columns))
    return lines


def format_event_lines(view: QueueView, columns: int, rows: int) -> list[Line]:
    """The latest events, newest first."""
    if not view.events:
        return [(Span("no events yet", Tone.DIM),)]
    return [clip(format_event_line(event), columns) for event in reversed(view.events[-rows:])]
