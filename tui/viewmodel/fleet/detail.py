"""Details of the worker or host at the cursor, with its running jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from previewops.formatting import clean, pluralize
from previewops.snapshot.hosts import Fleet, group_by_host
from previewops.snapshot.model import RunningJob, Snapshot
from previewops.tui.state.queue_view import SILENT_MS
from previewops.tui.viewmodel.chart_drawing import bar
from previewops.tui.viewmodel.columns import GAP, TableColumn, fit_widths
from previewops.tui.viewmodel.durations import elapsed
from previewops.tui.viewmodel.fleet.gauges import gauge_lines
from previewops.tui.viewmodel.fleet.host_report import report_lines
from previewops.tui.viewmodel.fleet.table import (
    FleetRow,
    cpu_text,
    memory_text,
    row_state,
    target_count,
)
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, pad
from previewops.tui.viewmodel.wrap import wrap

_PERCENT = 5
_JOB = TableColumn("job", 16, grow=2, middle=True)
_WORKER = TableColumn("worker", 12, drop=5)
_REST = (
    TableColumn("project", 10, grow=1, drop=3),
    TableColumn("priority", 8, drop=2),
    TableColumn("phase", 10, drop=1),
    TableColumn("progress", 10 + _PERCENT, grow=2),
    TableColumn("for", 6, right=True),
)
_BEFORE = TableColumn("before", 20, drop=4)


def title_of(row: FleetRow | None) -> str:
    if row is None:
        return "Running jobs"
    if row.worker_id:
        return row.worker_id
    if row.supervisor is None:
        return f"{row.host}, without a supervisor"
    name = row.supervisor.supervisor_id
    return f"{name}, worker {row.supervised.number}" if row.supervised is not None else name


def jobs_of(row: FleetRow, snapshot: Snapshot, rows: Sequence[FleetRow]) -> tuple[str, ...]:
    """Ids of the jobs that a worker, or for a heading all its workers, are running."""
    if not row.is_heading:
        return row.worker.jobs if row.worker is not None else ()
    return tuple(
        job
        for other in rows
        if other.supervisor is row.supervisor and other.host == row.host and other.worker is not None
        for job in other.worker.jobs
    )


def format_detail_lines(
    row: FleetRow, job_ids: Sequence[str], snapshot: Snapshot, runs: Mapping[str, RunningJob], columns: int
) -> list[Line]:
    """All lines of the panel. A click on a job opens it by its index in ``job_ids``."""
    about = _of_host(row, snapshot) if row.is_heading else _of_worker(row, snapshot)
    first, *more = (wrap(line, columns) for line in about)
    first = [*first, *_gauges_of(row, columns)]
    rest = [row for rows in more for row in rows]
    if job_ids:
        # Jobs come before rarely needed facts: a low panel shows the top only.
        return [*first, *_format_job_lines(row, job_ids, runs, snapshot.now_ms, columns), (), *rest]
    if row.worker is not None or row.is_heading:
        return [*first, (Span("no running jobs", Tone.DIM),), (), *rest]
    return [*first, *rest]


def _of_host(row: FleetRow, snapshot: Snapshot) -> list[Line]:
    supervisor = row.supervisor
    if supervisor is None:
        started = "These workers were started manually with "
        orphaned = "No supervisor restarts them or passes commands to them. Stop one by SIGTERM on its host."
        return [
            (Span(started), Span("previewops worker", Tone.STRONG), Span(".")),
            (Span(orphaned, Tone.DIM),),
            *_host_lines(row, snapshot),
        ]
    state, now_ms = supervisor.state, snapshot.now_ms
    phases = Counter(supervised.phase for supervised in state.workers)
    phase_counts = ", ".join(f"{count} {phase}" for phase, count in phases.items()) or "no workers"
    lines: list[Line] = [
        (clean_span(target_count(supervisor), Tone.STRONG), clean_span(f"  {phase_counts}")),
        (
            clean_span(
                f"{state.backend} back end, pid {state.pid}, version {state.version or '-'}", Tone.DIM
            ),
            Span(f", up {elapsed(state.started_ms, now_ms)}, {memory_text(state.rss_bytes)}", Tone.DIM),
        ),
    ]
    if supervisor.silent:
        silence = elapsed(supervisor.heartbeat_ms, now_ms)
        text = f"✖ No heartbeat for {silence}: commands do not reach it. Check its host."
        lines.append((Span(text, Tone.BAD),))
    if state.notice:
        lines.append((clean_span(f"▲ {state.notice}", Tone.WARN),))
    return [*lines, *_host_lines(row, snapshot)]


def _gauges_of(row: FleetRow, columns: int) -> list[Line]:
    supervisor = row.supervisor
    if not row.is_heading or supervisor is None or supervisor.silent or supervisor.state.gauges is None:
        return []
    return gauge_lines(supervisor.state.gauges, columns)


def _host_lines(row: FleetRow, snapshot: Snapshot) -> list[Line]:
    report = Fleet.of(snapshot.workers).find(row.host)
    return report_lines(report, snapshot.now_ms) if report is not None else []


def _of_worker(row: FleetRow, snapshot: Snapshot) -> list[Line]:
    mark, text, tone = row_state(row, snapshot.now_ms)
    first: list[Span] = [Span(f"{mark} {text}", tone)]
    worker, supervised, now_ms = row.worker, row.supervised, snapshot.now_ms
    lines: list[Line] = []
    if worker is not None:
        first.append(Span(f"  {worker.busy} of {pluralize(worker.job_slots, 'slot')} busy"))
        if now_ms - worker.heartbeat_ms > SILENT_MS:
            first.append(Span("; values are those of the last heartbeat", Tone.DIM))
        lines.append(
            (
                Span(f"{worker.completed:,} done, {worker.failed:,} failed"),
                Span(f" in {elapsed(worker.started_ms, now_ms)}  {cpu_text(worker.cpu)} of a core"),
                Span(f"  {memory_text(worker.rss_bytes)} ({memory_text(worker.own_rss_bytes)} its own)"),
            )
        )
        where = f"pid {worker.pid} on {worker.host}, version {worker.full_version or '-'}"
        lines.append((clean_span(where, Tone.DIM),))
        lines += report_lines(group_by_host([worker])[0], now_ms)
    if supervised is not None:
        if supervised.reason:
            first += [Span(": "), clean_span(supervised.reason)]
        if row.is_stopped:
            lines.append((Span(_describe_absence(row), Tone.DIM),))
    return [tuple(first), *lines]


def _describe_absence(row: FleetRow) -> str:
    supervised = row.supervised
    assert supervised is not None
    deaths = (
        f"It exited {supervised.rapid_exits} times soon after its start. "
        if supervised.rapid_exits > 1
        else ""
    )
    if not row.accepts_commands:
        return f"{deaths}Its supervisor is silent and accepts no commands."
    if supervised.phase == "backoff":
        return f"{deaths}It is restarted after a backoff; a reset restarts it immediately."
    if supervised.phase == "exited":
        return f"{deaths}It stays stopped until it is reset."
    return f"{deaths}It is not restarted: fix the cause, then reset it."


def _format_job_lines(
    row: FleetRow, job_ids: Sequence[str], runs: Mapping[str, RunningJob], now_ms: int, columns: int
) -> list[Line]:
    failed = any(run.attempts or run.crashes for run in map(runs.get, job_ids) if run is not None)
    kinds = (_JOB, *((_WORKER,) if row.is_heading else ()), *_REST, *((_BEFORE,) if failed else ()))
    widths = dict(zip(kinds, fit_widths(kinds, columns), strict=True))
    lines = [_row({kind: (Span(kind.title, Tone.DIM),) for kind in kinds}, widths)]
    for index, job_id in enumerate(job_ids):
        name = (Span(clean(job_id), Tone.INFO, f"screen.open_run({index})"),)
        run = runs.get(job_id)
        known = _format_run_cells(run, row.host, now_ms, widths[_REST[3]]) if run is not None else {}
        lines.append(_row({**known, _JOB: name}, widths))
    return lines


def _format_run_cells(run: RunningJob, host: str, now_ms: int, room: int) -> dict[TableColumn, Line]:
    project, priority, phase, progress, lasted = _REST
    before = [pluralize(run.attempts, "failure")] * bool(run.attempts)
    before += [pluralize(run.crashes, "crash", "crashes")] * bool(run.crashes)
    return {
        _WORKER: (clean_span(run.worker_id.removeprefix(f"{host}-"), Tone.DIM),),
        project: (clean_span(run.project_id),),
        priority: (clean_span(run.priority.value, Tone(run.priority.value)),),
        phase: (clean_span(run.phase),),
        progress: (*bar(run.progress, room - _PERCENT, Tone.DONE), Span(f" {run.progress:>4.0%}")),
        lasted: (Span(elapsed(run.claimed_ms, now_ms), Tone.DIM),),
        _BEFORE: (Span(", ".join(before), Tone.WARN),),
    }


def _row(cells: Mapping[TableColumn, Line], widths: Mapping[TableColumn, int]) -> Line:
    spans: list[Span] = []
    for column, width in widths.items():
        if width:
            between = [Span(" " * GAP)] if spans else []
            spans += [*between, *pad(cells.get(column, ()), width, right=column.right)]
    return tuple(spans)
