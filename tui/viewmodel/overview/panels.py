"""The overview's panels without charts: status, queue depth, workers and latest events."""

from __future__ import annotations

from itertools import islice

from rich.cells import cell_len

from previewops.formatting import clean, format_duration, pluralize
from previewops.snapshot.model import Snapshot
from previewops.states import Priority
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.alarms import Alarm, alarms_of, alive_workers
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import bar
from previewops.tui.viewmodel.event_text import KIND_COLUMNS, format_event_line
from previewops.tui.viewmodel.events.bursts import Burst, fold, format_burst_line
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.queue_status import (
    DETAILS_GAP,
    STATUS_MARKS,
    QueueStatus,
    queue_status,
    trend_text,
)
from previewops.tui.viewmodel.spans import Line, Span, Tone, clip, justify, pad, spread, width_of

MAX_ALARMS = 3
"""Alarms beside the worst one."""
_SHORTEST_BAR = 4

FULL_FROM = 10
"""Minimum of waiting jobs for a full bar, so that a single job does not fill it."""


def headline(view: QueueView, columns: int, max_alarms: int = MAX_ALARMS) -> list[Line]:
    """The queue's status, which is the worst alarm if there is one, then the other alarms, each with its key."""
    state = queue_status(view)
    lines = [_status_line(state, columns)]
    if view.connection_loss is not None:
        return lines
    if state.alarm is not None:
        lines.append((Span("   "), Span(_fitting(state.details, columns - 3), Tone.DIM)))
    others = [alarm for alarm in alarms_of(view) if alarm != state.alarm]
    for alarm in others[:max_alarms]:
        mark, tone = STATUS_MARKS[alarm.status]
        note = " (silenced)" if alarm.silenced else ""
        head = Span(f" {mark} {alarm.headline}{note}", Tone.DIM if alarm.silenced else tone)
        lines.append(_alarm_line(head, alarm, columns))
    if len(others) > max_alarms:
        more = key_hint("show('health')", f"shows {len(others) - max_alarms} more")
        lines.append((Span("   "), *more))
    return lines


def _status_line(state: QueueStatus, columns: int) -> Line:
    head = Span(f" {state.mark} {state.headline}", state.tone)
    if state.alarm is not None:
        return _alarm_line(head, state.alarm, columns)
    return clip((head, Span(f"  {_fitting(state.details, columns - width_of((head,)) - 2)}")), columns)


def _fitting(details: str, columns: int) -> str:
    """As many of the details as fit whole: a figure that is cut would look like another one."""
    kept, *others = details.split(DETAILS_GAP)
    for part in others:
        longer = f"{kept}{DETAILS_GAP}{part}"
        if cell_len(longer) > columns:
            break
        kept = longer
    return kept


def _alarm_line(head: Span, alarm: Alarm, columns: int) -> Line:
    """An alarm with its key, and its advice if that fits whole. A long headline is cut, not the key."""
    remedy = (Span("  "), *alarm.remedy)
    line = (*clip((head,), columns - width_of(remedy)), *remedy)
    advised = (*line, Span(f"  {clean(alarm.check.advice)}", Tone.DIM))
    return advised if alarm.check.advice and width_of(advised) <= columns else line


def format_depth_lines(view: QueueView, columns: int) -> list[Line]:
    """Waiting jobs by priority with the oldest wait; then delayed, running, dead and completed jobs."""
    snapshot = view.snapshot
    if snapshot is None:
        return []
    maximum = max(FULL_FROM, *snapshot.waiting.values())
    lines = [_format_class_line(snapshot, priority, maximum, columns) for priority in Priority]
    counts = (
        *_count("delayed", snapshot.delayed, Tone.TEXT),
        *_count("active", snapshot.active, Tone.GOOD if snapshot.active else Tone.DIM),
        *_count("dead", snapshot.dead, Tone.BAD if snapshot.dead else Tone.DIM),
    )
    lines.append(clip(counts, columns))
    done = short_count(snapshot.counters.get("completed", 0))
    total = (Span("completed ", Tone.DIM), Span(done, Tone.TEXT), Span("  in total", Tone.DIM))
    lines.append(spread(total, (Span(trend_text(snapshot, view.history), Tone.DIM),), columns))
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
    room = columns - width_of(left) - 18 - 1
    if room < _SHORTEST_BAR:
        return (*left, *right)
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
    tone = Tone.TEXT if busy else Tone.DIM
    usage: Line = (Span(f"{busy} of {slots} slots busy", tone),)
    if width_of((*count, *usage)) >= columns:
        usage = (Span(f"{busy}/{slots} busy", tone),)
    load = bar(share, columns, Tone.GOOD if share < 0.9 else Tone.WARN)
    return [justify(count, usage, columns), load, *_format_host_lines(snapshot, alive, columns)][:rows]


def _format_host_lines(snapshot: Snapshot, alive: set[str], columns: int) -> list[Line]:
    hosts: dict[str, list[int]] = {}
    for worker in snapshot.workers:
        alive_count, silent, busy = hosts.setdefault(worker.host, [0, 0, 0])
        is_alive = worker.worker_id in alive
        hosts[worker.host] = [alive_count + is_alive, silent + (not is_alive), busy + worker.busy]
    drained = {
        view.state.host: sum(worker.drained for worker in view.state.workers)
        for view in snapshot.supervisors
        if not view.silent
    }
    for host in drained:
        hosts.setdefault(
            host, [0, 0, 0]
        )  # a host whose workers are all drained has none that sends heartbeats
    fatal = {
        view.state.host: sum(worker.phase == "fatal" for worker in view.state.workers)
        for view in snapshot.supervisors
        if not view.silent
    }
    lines: list[Line] = []
    for host, (alive_count, silent, busy) in sorted(hosts.items()):
        given_up = fatal.get(host, 0)
        stopped = drained.get(host, 0)
        problems = [f"{silent} silent"] * bool(silent) + [f"{given_up} given up"] * bool(given_up)
        problems += [f"{stopped} drained"] * bool(stopped)
        mark = Span("▲ " if problems else "● ", Tone.WARN if problems else Tone.GOOD)
        right = (Span(", ".join(problems), Tone.WARN),) if problems else (Span(f"{busy} busy", Tone.DIM),)
        name, count = (mark, Span(clean(host))), Span(f"  {pluralize(alive_count, 'worker')}", Tone.DIM)
        whole = width_of((*name, count)) + 1 + width_of(right) <= columns
        lines.append(justify((*name, count) if whole else name, right, columns))
    return lines


def format_event_lines(view: QueueView, columns: int, rows: int) -> list[Line]:
    """The latest events, newest first, with bursts folded."""
    if not view.events:
        return [(Span("no events yet", Tone.DIM),)]
    local = view.local_time
    lines = (
        format_burst_line(entry, KIND_COLUMNS, local_time=local)
        if isinstance(entry, Burst)
        else format_event_line(entry, local_time=local)
        for entry in fold(reversed(view.events))
    )
    return [clip(line, columns) for line in islice(lines, rows)]
