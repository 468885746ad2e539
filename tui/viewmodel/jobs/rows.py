"""Jobs as table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from previewops.queue.records import JobRecord
from previewops.snapshot.model import RunningJob, Snapshot
from previewops.states import JobState
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import bar
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.durations import coarse_duration, short_duration
from previewops.tui.viewmodel.jobs.list_state import state_counts
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, width_of

_STATE = TableColumn("state", 9)
_TIME = TableColumn("wait/run", 8, right=True, drop=1)
_FAILING = (JobState.DELAYED, JobState.DEAD, JobState.CANCELLED)


def job_columns(state: JobState | None) -> tuple[TableColumn, ...]:
    """The columns of the job list. A list of one state has no state column, and one of delayed jobs has due times."""
    failing = state in _FAILING
    time = TableColumn("due", 8, right=True, drop=1) if state is JobState.DELAYED else _TIME
    columns = (
        _STATE,
        TableColumn("pri", 6, drop=2),
        TableColumn("job", 16, grow=3, middle=True),
        TableColumn("project", 12, grow=1, drop=3),
        TableColumn("fail/crash", 10, right=True, drop=4 if failing else 5),
        TableColumn("since", 6, right=True),
        time,
        TableColumn("worker", 15, grow=2, drop=5 if failing else 4),
        TableColumn("reason" if failing else "progress/reason", 16 if state is None else 27, grow=5),
    )
    return columns if state is None else columns[1:]


STATE_TONES: Mapping[JobState, Tone] = {
    JobState.WAITING: Tone.TEXT,
    JobState.DELAYED: Tone.WARN,
    JobState.ACTIVE: Tone.GOOD,
    JobState.COMPLETED: Tone.DIM,
    JobState.DEAD: Tone.BAD,
    JobState.CANCELLED: Tone.DIM,
}

_BAR = 6
_ALL = "all"
_SHORT_NAMES = {
    "waiting": "wait",
    "delayed": "delay",
    "active": "act.",
    "completed": "done",
    "cancelled": "canc.",
}
"""Names where large counts leave no room for the whole ones."""
_TAB_FORMS: tuple[tuple[int, bool, tuple[JobState, ...]], ...] = (
    *((gap, False, tuple(JobState)) for gap in (2, 1, 0)),
    (0, True, tuple(JobState)),
    (0, True, (JobState.WAITING, JobState.DELAYED, JobState.ACTIVE, JobState.DEAD)),
    (0, True, (JobState.WAITING, JobState.ACTIVE, JobState.DEAD)),
    (0, True, (JobState.DEAD,)),
)
"""Blanks between the tabs, whether names are shortened, and states with a number: the first that fits is drawn."""


def state_tabs(snapshot: Snapshot | None, current: JobState | None, columns: int) -> Line:
    """The states to choose from, each with its number of jobs."""
    counts = state_counts(snapshot) if snapshot is not None else {}
    for gap, shortened, counted in _TAB_FORMS:
        spans = [Span(" ")] if gap else []
        for state in (None, *JobState):
            name = _ALL if state is None else state.value
            action = f"screen.show_state('{name}')"
            word = _SHORT_NAMES.get(name, name) if shortened else name
            spans.append(Span(f" {word} ", Tone.BADGE if state is current else Tone.DIM, action))
            if state in counted and counts.get(state):
                # The counter includes expired records, hence "at most".
                figure = ("≤" if state is JobState.CANCELLED else "") + short_count(counts[state])
                spans.append(Span(figure, STATE_TONES[state], action))
            spans.append(Span(" " * gap))
        if width_of(tuple(spans)) <= columns:
            break
    return tuple(spans)


def merge_running_job(record: JobRecord, run: RunningJob | None) -> JobRecord:
    """The record updated from the snapshot's running jobs."""
    if run is None:
        return record
    return replace(
        record,
        state=JobState.ACTIVE,
        claimed_ms=run.claimed_ms,
        finished_ms=None,
        progress=run.progress,
        phase=run.phase,
        worker=run.worker_id,
        attempts=run.attempts,
        crashes=run.crashes,
    )


def merge_running_jobs(rows: Sequence[JobRecord], snapshot: Snapshot | None) -> tuple[JobRecord, ...]:
    runs = {run.job_id: run for run in snapshot.running_jobs} if snapshot is not None else {}
    return tuple(merge_running_job(record, runs.get(record.job_id)) for record in rows)


def format_job_cells(record: JobRecord, now_ms: int, state: JobState | None) -> tuple[Line, ...]:
    """The cells of ``job_columns(state)``."""
    ended = not record.state.pending
    quiet = Tone.DIM if ended and record.state is not JobState.DEAD else Tone.TEXT
    cells = (
        (Span(record.state.value, STATE_TONES[record.state]),),
        (Span(record.priority.value, Tone(record.priority.value)),),
        (clean_span(record.job_id, Tone.STRONG if record.state is JobState.ACTIVE else Tone.TEXT),),
        (clean_span(record.project_id, quiet),),
        _failures(record),
        (Span(coarse_duration(now_ms - since_ms(record)), Tone.DIM),),
        (Span(*(_due(record, now_ms) if state is JobState.DELAYED else _time(record, now_ms))),),
        (clean_span(record.worker or "", Tone.DIM),),
        progress_or_reason(record),
    )
    return cells if state is None else cells[1:]


def _failures(record: JobRecord) -> Line:
    if not record.attempts and not record.crashes:
        return (Span("-", Tone.FAINT),)
    return (
        Span(f"{record.attempts}", Tone.WARN if record.attempts else Tone.DIM),
        Span("/", Tone.DIM),
        Span(f"{record.crashes}", Tone.BAD if record.crashes else Tone.DIM),
    )


def _queued_ms(record: JobRecord) -> int:
    """When the job last entered the queue: a requeued job has not waited since its first submit."""
    return max(record.accepted_ms, record.queued_ms or 0)


def since_ms(record: JobRecord) -> int:
    """Since when the job has been in its state."""
    if record.state.pending:
        active = record.state is JobState.ACTIVE and record.claimed_ms is not None
        return record.claimed_ms or 0 if active else _queued_ms(record)
    return record.finished_ms or record.accepted_ms


def wait_or_run_ms(record: JobRecord, now_ms: int) -> int | None:
    """The wait so far, the render time so far, or the final render time; None if the job did not run."""
    if record.state is JobState.ACTIVE:
        return max(0, now_ms - (record.claimed_ms or now_ms))
    if record.state.pending:
        return now_ms - _queued_ms(record)
    if record.claimed_ms is None or record.finished_ms is None or record.finished_ms < record.claimed_ms:
        return None
    return record.finished_ms - record.claimed_ms


def _time(record: JobRecord, now_ms: int) -> tuple[str, Tone]:
    passed = wait_or_run_ms(record, now_ms)
    if passed is None:
        return "-", Tone.FAINT
    if record.state is JobState.ACTIVE:
        return (f"{passed // 1_000} s" if passed < 60_000 else coarse_duration(passed)), Tone.GOOD
    if record.state.pending:
        return coarse_duration(passed), Tone.DIM
    return short_duration(passed), Tone.TEXT


def _due(record: JobRecord, now_ms: int) -> tuple[str, Tone]:
    if record.due_ms is None:
        return "-", Tone.FAINT
    left_ms = record.due_ms - now_ms
    return (f"in {coarse_duration(left_ms)}", Tone.TEXT) if left_ms > 0 else ("now", Tone.GOOD)


def progress_or_reason(record: JobRecord) -> Line:
    """The progress of a running job, else the latest error."""
    if record.state is JobState.ACTIVE:
        share = min(1.0, max(0.0, record.progress or 0.0))
        phase = (Span(" "), clean_span(record.phase, Tone.DIM)) if record.phase else ()
        return (*bar(share, _BAR, Tone.GOOD), Span(f"{share:>5.0%}"), *phase)
    tone = Tone.BAD if record.state is JobState.DEAD else Tone.WARN
    if record.state is JobState.COMPLETED:
        return ()
    code = (clean_span(record.code, tone), Span(": ", Tone.DIM)) if record.code else ()
    reason = clean_span(record.reason or "", Tone.DIM if code else Tone.TEXT)
    return (*code, reason) if record.reason else code[:1]
