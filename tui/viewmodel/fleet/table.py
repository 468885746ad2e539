"""The table of workers: one heading per supervisor, its workers below, in rows with stable keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from previewops.formatting import clean, pluralize
from previewops.snapshot.fleet import SupervisedWorker, SupervisorStatus
from previewops.snapshot.hosts import Fleet
from previewops.snapshot.model import RunningJob, Snapshot, WorkerState
from previewops.snapshot.recent import RECENT_STEP_MS, RECENT_STEPS
from previewops.tui.state.queue_view import SILENT_MS
from previewops.tui.viewmodel.alarms import alive_workers
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import bar, sparkline
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.durations import elapsed
from previewops.tui.viewmodel.fleet.gauges import heading_gauges
from previewops.tui.viewmodel.fleet.host_report import host_facts, host_warnings
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, clip_middle

_STOPPED_STATES = {
    "exited": ("‖", "drained", Tone.WARN),
    "backoff": ("▲", "backing off", Tone.WARN),
    "fatal": ("✖", "given up", Tone.BAD),
}
_FAILING = ("✖", "failing", Tone.BAD)

STOPPED_PHASES = tuple(_STOPPED_STATES)
"""Phases of a worker slot in which no worker runs."""

_MAX_BLOCKS = 5
_BAR = 4
_IDLE_CPU = 5
_STEPS_A_MINUTE = 60_000 // RECENT_STEP_MS
_TREND = RECENT_STEPS // _STEPS_A_MINUTE
_RATE = _TREND + 6
"""Columns of a sparkline of ten minutes, and of it with the last figure."""
_HOST = 24
"""Columns of a host's name at most: the figures after it are not cut."""
_MIB = 1 << 20
_GIB = 1 << 30
_TIB = 1 << 40


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One row. A heading has neither ``supervised`` nor ``worker``.

    ``supervised`` is the worker as its supervisor reports it, ``worker`` as it reports itself; either may be
    missing. A worker without a supervisor has no ``supervisor``.
    """

    key: str
    host: str
    supervisor: SupervisorStatus | None
    supervised: SupervisedWorker | None = None
    worker: WorkerState | None = None

    @property
    def is_heading(self) -> bool:
        return self.supervised is None and self.worker is None

    @property
    def worker_id(self) -> str:
        """The worker's id, "" for a heading and for a worker slot that is still empty."""
        if self.supervised is not None:
            return self.supervised.worker_id
        return self.worker.worker_id if self.worker is not None else ""

    @property
    def is_stopped(self) -> bool:
        return self.supervised is not None and self.supervised.phase in STOPPED_PHASES

    @property
    def accepts_commands(self) -> bool:
        """Whether a supervisor accepts commands for it."""
        return self.supervisor is not None and not self.supervisor.silent


def fleet_rows(snapshot: Snapshot) -> tuple[FleetRow, ...]:
    """All rows: supervisors by host, their workers by number, then workers without a supervisor."""
    views = {worker.worker_id: worker for worker in snapshot.workers}
    supervised_ids = {
        supervised.worker_id
        for supervisor in snapshot.supervisors
        if not supervisor.silent
        for supervised in supervisor.state.workers
    }
    rows: list[FleetRow] = []
    by_host = sorted(snapshot.supervisors, key=lambda status: (status.state.host, status.supervisor_id))
    for supervisor in by_host:
        host = supervisor.state.host
        rows.append(FleetRow(f"host {supervisor.supervisor_id}", host, supervisor))
        for supervised in sorted(supervisor.state.workers, key=lambda worker: worker.number):
            if supervisor.silent and supervised.worker_id in supervised_ids:
                continue  # another supervisor has adopted it
            key = f"{supervisor.supervisor_id} {supervised.number} {supervised.worker_id}"
            worker = None if supervised.phase in STOPPED_PHASES else views.get(supervised.worker_id)
            rows.append(FleetRow(key, host, supervisor, supervised, worker))
    known = {row.worker_id for row in rows} | supervised_ids
    alone = [worker for worker in snapshot.workers if worker.worker_id not in known]
    for worker in sorted(alone, key=lambda worker: (worker.host, worker.worker_id)):
        heading = FleetRow(f"alone on {worker.host}", worker.host, None)
        if not rows or (rows[-1].supervisor, rows[-1].host) != (None, worker.host):
            rows.append(heading)
        rows.append(FleetRow(f"{heading.key} {worker.worker_id}", worker.host, None, None, worker))
    return tuple(rows)


def columns(*, differ: bool) -> tuple[TableColumn, ...]:
    """The columns. ``differ`` adds one for versions."""
    return (
        TableColumn("worker", 14, grow=1),
        TableColumn("pid", 7, right=True, drop=8),
        TableColumn("state", 13),
        TableColumn("slots", _MAX_BLOCKS),
        TableColumn("jobs a minute", _RATE, drop=2),
        TableColumn("cpu", 5, right=True, drop=3),
        TableColumn("memory", 7, right=True, drop=5),
        TableColumn("age", 6, right=True, drop=6),
        TableColumn("done", 6, right=True, drop=7),
        TableColumn("failed", 6, right=True, drop=4),
        *((TableColumn("version", 9, drop=1),) if differ else ()),
        TableColumn("jobs", 13, grow=4),
    )


def versions(snapshot: Snapshot) -> frozenset[str]:
    views = (supervisor.state.version for supervisor in snapshot.supervisors if not supervisor.silent)
    return frozenset(version for version in (*views, *(w.version for w in snapshot.workers)) if version)


def cells(
    row: FleetRow, now_ms: int, runs: Mapping[str, RunningJob], fleet: Fleet, *, differ: bool
) -> tuple[Line, ...]:
    """The cells of a row. Headings and empty worker slots have fewer: their last cell takes the remaining width."""
    if row.is_heading:
        return (format_heading_line(row, now_ms, fleet),)
    mark, text, tone = row_state(row, now_ms)
    name = (Span(f"  {mark} ", tone), clean_span(short_id(row), Tone.TEXT if row.worker else Tone.DIM))
    state = (Span(text, tone),)
    worker = row.worker
    if worker is None:
        pid = row.supervised.pid if row.supervised is not None else None
        return (name, (Span(str(pid or "-"), Tone.DIM),), state, (reason_span(row),))
    return (
        name,
        (Span(str(worker.pid), Tone.DIM),),
        state,
        format_job_slots_line(worker),
        format_rate_line(worker.completed_recently),
        (Span(cpu_text(worker.cpu)),),
        (Span(memory_text(worker.rss_bytes)),),
        (Span(elapsed(worker.started_ms, now_ms), Tone.DIM),),
        (Span(short_count(worker.completed)),),
        (Span(short_count(worker.failed), Tone.TEXT if worker.failed else Tone.DIM),),
        *(((clean_span(worker.version or "-", Tone.WARN),),) if differ else ()),
        format_jobs_line(worker.jobs, runs),
    )


def format_heading_line(row: FleetRow, now_ms: int, fleet: Fleet) -> Line:
    """The heading of a host: the supervisor's state, what is wrong on the host, target, and facts of its workers."""
    supervisor, report = row.supervisor, fleet.find(row.host)
    warnings = [] if report is None else host_warnings(report, fleet, now_ms)
    facts = [] if report is None else host_facts(report, fleet)
    if supervisor is None:
        start = [Span("▲ ", Tone.WARN), clean_span(row.host, Tone.STRONG)]
        start.append(Span("  without a supervisor", Tone.WARN))
        return (*start, *warnings, *_dim(facts))
    state = supervisor.state
    drained = bool(state.workers) and all(worker.drained for worker in state.workers)
    well = not supervisor.silent and state.state == "running" and not drained
    text = "drained" if drained else clean(state.state)
    if supervisor.silent:
        text = f"silent {elapsed(supervisor.heartbeat_ms, now_ms)}"
    mark = Span("● ", Tone.GOOD) if well else Span("▲ ", Tone.WARN)
    (host,) = clip_middle((clean_span(state.host, Tone.STRONG),), _HOST)
    parts = [mark, host, Span(f"  {text}", Tone.DIM if well else Tone.WARN)]
    if state.notice:
        warnings.append(clean_span(f"  {state.notice}", Tone.WARN))
    rest = (clean(state.backend), memory_text(state.rss_bytes))
    gauges = [] if state.gauges is None or supervisor.silent else heading_gauges(state.gauges)
    return (*parts, *warnings, *gauges, *_dim([target_count(supervisor), *facts, *rest]))


def _dim(facts: Iterable[str]) -> list[Span]:
    text = "".join(f"  {fact}" for fact in facts if fact)
    return [Span(text, Tone.DIM)] if text else []


def target_count(supervisor: SupervisorStatus) -> str:
    """The target worker count of a supervisor, with its range if it autoscales."""
    count, limits = supervisor.state.count, supervisor.state.worker_range
    autoscales = limits.minimum != limits.maximum
    return f"{count} wanted" + (f" ({limits.minimum} to {limits.maximum})" if autoscales else "")


def row_state(row: FleetRow, now_ms: int) -> tuple[str, str, Tone]:
    """(mark, text, tone) of a worker's state."""
    phase = row.supervised.phase if row.supervised is not None else "running"
    if phase == "backoff" and row.supervised is not None and row.supervised.failing:
        return _FAILING
    if phase in STOPPED_PHASES:
        return _STOPPED_STATES[phase]
    worker = row.worker
    if worker is None:
        return ("◌", "starting", Tone.INFO) if phase == "starting" else ("?", "no heartbeat", Tone.WARN)
    if now_ms - worker.heartbeat_ms > SILENT_MS:
        return "✖", f"silent {elapsed(worker.heartbeat_ms, now_ms)}", Tone.BAD
    if "draining" in (phase, worker.state):
        return "◐", "draining", Tone.WARN
    return ("●", "working", Tone.GOOD) if worker.busy else ("○", "idle", Tone.DIM)


def reason_span(row: FleetRow) -> Span:
    """The reason why a worker slot has no running worker."""
    supervised = row.supervised
    if supervised is None or not supervised.reason:
        return Span("")
    return clean_span(supervised.reason, Tone.TEXT if supervised.phase == "fatal" else Tone.DIM)


def short_id(row: FleetRow) -> str:
    """The worker's id without the host, which the heading shows; or its number."""
    worker_id = row.worker_id
    if not worker_id:
        return f"worker {row.supervised.number}" if row.supervised is not None else ""
    return worker_id.removeprefix(f"{row.host}-") if row.host else worker_id


def format_job_slots_line(worker: WorkerState) -> Line:
    """One block per job slot, filled if busy; numbers if there are many."""
    if worker.job_slots > _MAX_BLOCKS:
        return (Span(f"{worker.busy}/{worker.job_slots}", Tone.GOOD if worker.busy else Tone.DIM),)
    free = max(0, worker.job_slots - worker.busy)
    return (Span("■" * min(worker.busy, worker.job_slots), Tone.GOOD), Span("□" * free, Tone.DIM))


def format_rate_line(recent: Sequence[int]) -> Line:
    """Jobs completed in each of the last ten minutes, and in the last one; "-" before the first minute has passed."""
    minutes = [sum(recent[end - _STEPS_A_MINUTE : end]) for end in _minute_ends(len(recent))]
    if not minutes:
        return (Span("-", Tone.DIM),)
    trend = sparkline(minutes)
    tone = Tone.TEXT if minutes[-1] else Tone.DIM
    return (
        Span(f"{trend:>{_TREND}}", Tone.DONE if any(minutes) else Tone.FAINT),
        Span(f" {short_count(minutes[-1]):>{_RATE - _TREND - 1}}", tone),
    )


def _minute_ends(steps: int) -> range:
    return range(steps % _STEPS_A_MINUTE + _STEPS_A_MINUTE, steps + 1, _STEPS_A_MINUTE)


def format_jobs_line(job_ids: Sequence[str], runs: Mapping[str, RunningJob]) -> Line:
    """The running jobs, each with its progress."""
    spans: list[Span] = []
    for job_id in job_ids:
        if spans:
            spans.append(Span("  "))
        run = runs.get(job_id)
        if run is not None:
            spans += [*bar(run.progress, _BAR, Tone.DONE), Span(" ")]
        spans.append(clean_span(job_id))
    return tuple(spans)


def summary(snapshot: Snapshot) -> str:
    alive = set(alive_workers(snapshot))
    running = [worker for worker in snapshot.workers if worker.worker_id in alive]
    parts = [pluralize(len(running), "worker")]
    if running:
        parts.append(f"{sum(w.busy for w in running)} of {sum(w.job_slots for w in running)} slots busy")
    silent = len(snapshot.workers) - len(running)
    given_up = sum(
        supervised.phase == "fatal"
        for supervisor in snapshot.supervisors
        for supervised in supervisor.state.workers
    )
    parts += [f"{silent} silent"] * bool(silent) + [f"{given_up} given up"] * bool(given_up)
    parts += ["versions differ"] * (len(versions(snapshot)) > 1)
    parts += ["stores differ"] * (len(Fleet.of(snapshot.workers).store_ids) > 1)
    return " · ".join(parts)


def format_empty_lines(snapshot: Snapshot) -> tuple[Line, ...]:
    """The text shown without workers and supervisors."""
    pending = snapshot.pending
    pending_text = "No jobs are pending."
    if pending:
        pending_text = f"{pluralize(pending, 'job')} pending, and no worker to claim them."
    commands = (
        ("previewops up", "workers on this machine"),
        ("previewops supervise --min 1 --max 8", "autoscaled workers"),
    )
    widths = [max(map(len, column)) for column in zip(*commands, strict=True)]
    return (
        (Span("✖ no workers", Tone.BAD),),
        (Span(pending_text, Tone.TEXT),),
        (),
        (Span("start some on any host that reaches this Redis:", Tone.DIM),),
        *(
            (Span(f"{command:<{widths[0]}}", Tone.STRONG), Span(f"   {description:<{widths[1]}}", Tone.DIM))
            for command, description in commands
        ),
    )


def cpu_text(percent: float) -> str:
    """CPU usage as a share of one core. Low values are merged, so that idle workers do not flicker."""
    return f"{percent:.0f}%" if percent >= _IDLE_CPU else f"<{_IDLE_CPU}%"


def memory_text(count: int) -> str:
    """Bytes in at most seven characters: "187 MiB", "1.2 GiB", "931 GiB"."""
    for factor, unit in ((_MIB, "MiB"), (_GIB, "GiB"), (_TIB, "TiB")):
        value = count / factor
        if unit != "MiB" and value < 9.95:
            return f"{value:.1f} {unit}"
        if value < 999.5:
            return f"{value:.0f} {unit}"
    return ">1 PiB"


def runs_by_id(runs: Iterable[RunningJob]) -> dict[str, RunningJob]:
    return {run.job_id: run for run in runs}
