"""The overview's panels: status, queue depth, workers, throughput, latency and latest events."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.formatting import clean, format_duration, pluralize
from previewops.health import Status
from previewops.snapshot.histogram import merge_histograms, percentile_ms
from previewops.snapshot.history import HistoryColumn, Period
from previewops.snapshot.model import Snapshot
from previewops.states import Priority
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.charts import (
    AXIS_COLUMNS,
    bar,
    column_chart,
    linear_axis,
    log_axis,
    sparkline,
    time_axis,
)
from previewops.tui.viewmodel.event_text import event_line
from previewops.tui.viewmodel.queue_status import alive_workers, drain_ms, flow_rates, queue_status
from previewops.tui.viewmodel.spans import Line, Span, Tone, clip, justify, pad, width_of

_TONES = {Priority.HIGH: Tone.HIGH, Priority.NORMAL: Tone.NORMAL, Priority.LOW: Tone.LOW}
_MARKS = {Status.WARNING: ("▲", Tone.WARN), Status.CRITICAL: ("✖", Tone.BAD), Status.UNKNOWN: ("?", Tone.DIM)}
_MOST_ALARMS = 3

FULL_FROM = 10
"""Minimum of waiting jobs for a full bar, so that a single job does not fill it."""


def headline(view: QueueView, columns: int) -> list[Line]:
    """The queue's status, then the failed health checks."""
    state = queue_status(view)
    lines: list[Line] = [
        clip((Span(f" {state.mark} {state.words}", state.tone), Span(f"  {state.more}", Tone.TEXT)), columns)
    ]
    if view.health is not None:
        bad = [check for check in view.health.checks if check.status is not Status.OK]
        bad.sort(key=lambda check: check.status is not Status.CRITICAL)
        for check in bad[:_MOST_ALARMS]:
            mark, tone = _MARKS[check.status]
            advice = f"  {clean(check.advice)}" if check.advice else ""
            lines.append(
                clip((Span(f" {mark} {clean(check.message)}", tone), Span(advice, Tone.DIM)), columns)
            )
        if len(bad) > _MOST_ALARMS:
            lines.append((Span(f"   and {len(bad) - _MOST_ALARMS} more in Health", Tone.DIM),))
    return lines


def depth_lines(view: QueueView, columns: int) -> list[Line]:
    """Waiting jobs by priority with the oldest wait; then delayed, running, dead and completed jobs."""
    snapshot = view.snapshot
    if snapshot is None:
        return []
    most = max(FULL_FROM, *snapshot.waiting.values())
    lines = [_class_line(snapshot, priority, most, columns) for priority in Priority]
    coming, going = flow_rates(view.history, snapshot.now_ms)
    left = drain_ms(snapshot, view.history)
    trend = "drained in " + format_duration(left) if snapshot.backlog and left is not None else ""
    if snapshot.backlog and left is None and coming > going:
        trend = f"grows by {coming - going:.0f} a minute"
    lines.append(
        justify(
            (
                *_count("delayed", snapshot.delayed, Tone.TEXT),
                *_count("active", snapshot.active, Tone.GOOD if snapshot.active else Tone.DIM),
                *_count("dead", snapshot.dead, Tone.BAD if snapshot.dead else Tone.DIM),
            ),
            (Span(trend, Tone.DIM),),
            columns,
        )
    )
    done = snapshot.counters.get("completed", 0)
    lines.append(
        (Span("completed ", Tone.DIM), Span(f"{done:,}", Tone.TEXT), Span("  in total", Tone.DIM)),
    )
    return lines


def _class_line(snapshot: Snapshot, priority: Priority, most: int, columns: int) -> Line:
    count = snapshot.waiting.get(priority, 0)
    since = f"oldest {format_duration(snapshot.oldest_wait_ms.get(priority, 0))}" if count else ""
    left = (
        Span(f"{priority.value:<7}", _TONES[priority]),
        *pad((Span(short_count(count), Tone.STRONG if count else Tone.DIM),), 6, right=True),
        Span(" "),
    )
    right = pad((Span(since, Tone.DIM),), 18, right=True)
    room = max(4, columns - width_of(left) - 18 - 1)
    return (*left, *bar(count / most, room, _TONES[priority]), Span(" "), *right)


def _count(name: str, count: int, tone: Tone) -> Line:
    return (Span(f"{name} ", Tone.DIM), Span(f"{short_count(count)}  ", tone))


def worker_lines(view: QueueView, columns: int, rows: int) -> list[Line]:
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
            (
                Span("previewops up", Tone.TEXT),
                Span(" or ", Tone.DIM),
                Span("previewops supervise", Tone.TEXT),
            ),
        ]
    slots = sum(worker.slots for worker in workers)
    busy = sum(worker.busy for worker in workers)
    share = busy / slots if slots else 0.0
    lines: list[Line] = [
        justify(
            (Span(pluralize(len(workers), "worker"), Tone.STRONG),),
            (Span(f"{busy} of {slots} slots busy", Tone.TEXT if busy else Tone.DIM),),
            columns,
        ),
        bar(share, columns, Tone.GOOD if share < 0.9 else Tone.WARN),
    ]
    return [*lines, *_host_lines(snapshot, alive, columns)][:rows]


def _host_lines(snapshot: Snapshot, alive: set[str], columns: int) -> list[Line]:
    hosts: dict[str, list[int]] = {}
    for worker in snapshot.workers:
        there, gone, busy = hosts.setdefault(worker.host, [0, 0, 0])
        well = worker.worker_id in alive
        hosts[worker.host] = [there + well, gone + (not well), busy + worker.busy]
    fatal = {
        view.state.host: sum(worker.phase == "fatal" for worker in view.state.workers)
        for view in snapshot.supervisors
        if not view.silent
    }
    lines: list[Line] = []
    for host, (there, gone, busy) in sorted(hosts.items()):
        trouble = [f"{gone} silent"] * bool(gone) + [f"{fatal.get(host, 0)} given up"] * bool(fatal.get(host))
        mark = Span("▲ " if trouble else "● ", Tone.WARN if trouble else Tone.GOOD)
        right = (Span(", ".join(trouble), Tone.WARN),) if trouble else (Span(f"{busy} busy", Tone.DIM),)
        left = (mark, Span(clean(host)), Span(f"  {pluralize(there, 'worker')}", Tone.DIM))
        lines.append(justify(left, right, columns))
    return lines


def throughput_lines(view: QueueView, period: Period, columns: int, rows: int) -> list[Line]:
    """The throughput chart: completed and dead jobs a minute over the last hour or day."""
    snapshot = view.snapshot
    if snapshot is None or rows < 3:
        return []
    history = view.history
    width = max(10, columns - AXIS_COLUMNS)
    found = history.columns(period, width, snapshot.now_ms)
    done = [_per_minute(column, "completed") for column in found]
    died = [_per_minute(column, "died") for column in found]
    stacks = [(good, good + bad) for good, bad in zip(done, died, strict=True)]
    scale = linear_axis(max((top for _, top in stacks), default=0))
    chart = column_chart(
        stacks,
        (Tone.DONE, Tone.DIED),
        rows=rows - 2,
        scale=scale,
        label=lambda value: short_count(round(value)),
    )
    return [_last_minute(view, snapshot, columns), *chart, _when(found, snapshot.now_ms)]


def _last_minute(view: QueueView, snapshot: Snapshot, columns: int) -> Line:
    """The chart's legend, with counts of the last minute."""
    spans: list[Span] = []
    for name, words, tone in (
        ("completed", "done", Tone.DONE),
        ("died", "dead", Tone.DIED),
        ("retried", "retried", Tone.WARN),
        ("crashed", "crashed", Tone.WARN),
        ("accepted", "came", Tone.NORMAL),
    ):
        count = view.history.count_within(name, 60_000, snapshot.now_ms)
        entry = (
            Span("■ ", tone if count else Tone.FAINT),
            Span(f"{words} ", Tone.DIM),
            Span(f"{short_count(count)}  "),
        )
        if width_of((*spans, *entry)) <= columns:
            spans += entry
    told = Span("in 60 s", Tone.DIM)
    return (*spans, told) if width_of((*spans, told)) <= columns else tuple(spans)


def _when(found: Sequence[HistoryColumn], now_ms: int) -> Line:
    """The time axis, labelled with the real start: the columns cover slightly more than the hour or day."""
    back_ms = now_ms - found[0].start_ms
    unit_ms, unit = (3_600_000, "h") if back_ms > 5_400_000 else (60_000, "min")
    ages = [round(back_ms * part / 4 / unit_ms) for part in (4, 3, 2, 1)]
    return time_axis(len(found), (f"-{ages[0]} {unit}", *(f"-{age}" for age in ages[1:]), "now"))


def _per_minute(column: HistoryColumn, name: str) -> float:
    return column.counts.get(name, 0) * 60_000 / column.width_ms


def latency_lines(view: QueueView, period: Period, columns: int, rows: int) -> list[Line]:
    """Percentiles of wait and render time as numbers, with charts if there is room."""
    snapshot = view.snapshot
    if snapshot is None:
        return []
    width = max(10, columns - AXIS_COLUMNS)
    found = view.history.columns(period, width, snapshot.now_ms)
    cell = min(10, (columns - 8) // 3)
    head = f"{'':<8}{'p50':>{cell}}{'p95':>{cell}}{'p99':>{cell}}"
    lines: list[Line] = [(Span(head, Tone.DIM),)]
    for name, series in (("wait", "wait"), ("render", "run")):
        lines.append(_percentiles(name, series, found, cell, columns if rows < 11 else 0))
    if rows < 11:
        return lines
    left = rows - len(lines) - 1
    upper = left // 2
    lines += _latency_chart("wait", "wait", found, upper)
    lines += _latency_chart("render", "run", found, left - upper)
    return [*lines, _when(found, snapshot.now_ms)]


def _percentiles(name: str, series: str, found: Sequence[HistoryColumn], cell: int, columns: int) -> Line:
    """One row of percentiles, with a sparkline of the p95 if ``columns`` leave room."""
    whole = merge_histograms(_bins(column, series) for column in found)
    spans = [Span(f"{name:<8}", Tone.DIM)]
    for fraction, tone in ((0.5, Tone.STRONG), (0.95, Tone.TEXT), (0.99, Tone.TEXT)):
        spans.append(Span(f"{format_duration(percentile_ms(whole, fraction)):>{cell}}", tone))
    room = columns - width_of(tuple(spans)) - 2
    if room >= 8:
        last = [percentile_ms(_bins(column, series), 0.95) or 0.0 for column in found[-room:]]
        spans.append(Span(f"  {sparkline(last)}", Tone.SLOW))
    return tuple(spans)


def _latency_chart(name: str, series: str, found: Sequence[HistoryColumn], rows: int) -> list[Line]:
    stacks = []
    for column in found:
        bins = _bins(column, series)
        stacks.append(tuple(percentile_ms(bins, fraction) or 0.0 for fraction in (0.5, 0.95, 0.99)))
    known = [value for stack in stacks for value in stack if value]
    scale = log_axis(min(known, default=1.0), max(known, default=1_000.0))
    tones = (Tone.FAST, Tone.SLOW, Tone.SLOWEST)
    chart = column_chart(stacks, tones, rows=rows - 1, scale=scale, label=_ms)
    legend = (
        Span(f"{name:<{AXIS_COLUMNS}}", Tone.DIM),
        *(
            part
            for tone, word in zip(tones, ("p50", "p95", "p99"), strict=True)
            for part in (Span("■ ", tone), Span(f"{word}  ", Tone.DIM))
        ),
    )
    return [legend, *chart]


def _ms(value: float) -> str:
    if value < 1_000:
        return f"{value:.0f}ms"
    return f"{value / 1_000:.0f}s" if value < 600_000 else f"{value / 60_000:.0f}min"


def _bins(column: HistoryColumn, series: str) -> dict[int, int]:
    return dict(column.wait if series == "wait" else column.run)


def event_lines(view: QueueView, columns: int, rows: int) -> list[Line]:
    """The latest events, newest first."""
    if not view.events:
        return [(Span("no events yet", Tone.DIM),)]
    return [clip(event_line(event), columns) for event in reversed(view.events[-rows:])]
