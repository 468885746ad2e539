"""Facts about one job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from previewops.clock import iso_from_ms
from previewops.formatting import format_age, format_bytes, pluralize
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.tui.viewmodel.attempts import format_attempt_lines
from previewops.tui.viewmodel.chart_drawing import bar
from previewops.tui.viewmodel.durations import coarse_duration, short_duration
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.jobs.rows import STATE_TONES
from previewops.tui.viewmodel.json_lines import format_json_lines
from previewops.tui.viewmodel.safe_numbers import safe_count
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, width_of
from previewops.tui.viewmodel.wrap import hang

_LABEL = 10
_STATES = {
    JobState.WAITING: ("○", "waiting for a worker"),
    JobState.DELAYED: ("◔", "backing off before a retry"),
    JobState.ACTIVE: ("▶", "rendering"),
    JobState.COMPLETED: ("✓", "done"),
    JobState.DEAD: ("✖", "dead letter"),
    JobState.CANCELLED: ("⊘", "cancelled"),
}


def describe_state(record: JobRecord) -> str:
    if record.state is JobState.COMPLETED and is_dry_run(record):
        return "done: a dry run, nothing was rendered"
    if record.state is JobState.DELAYED and not record.attempts + record.crashes:
        return "waiting for its time"
    return _STATES[record.state][1]


def is_dry_run(record: JobRecord) -> bool:
    return bool((record.result or {}).get("dryRun"))


def format_fact_lines(record: JobRecord, now_ms: int, columns: int) -> list[Line]:
    """The facts in the order in which operators need them: state, error, times, place."""
    mark, _ = _STATES[record.state]
    lines: list[Line] = [(Span(f"{mark} {describe_state(record)}", STATE_TONES[record.state]),)]
    if record.state is JobState.ACTIVE:
        lines.append(_progress(record, columns))
    for name, value in _facts(record, now_ms, columns):
        lines += hang((Span(f"{name:<{_LABEL}}", Tone.DIM),), value, columns)
    return lines


def _progress(record: JobRecord, columns: int) -> Line:
    share = min(1.0, max(0.0, record.progress or 0.0))
    phase = clean_span(f" {record.phase}" if record.phase else "", Tone.DIM)
    room = max(4, columns - 6 - phase.cells)
    return (*bar(share, room, Tone.GOOD), Span(f"{share:>5.0%}"), phase)


def _facts(record: JobRecord, now_ms: int, columns: int) -> list[tuple[str, Line]]:
    facts: list[tuple[str, Line]] = []

    def add(name: str, value: object, tone: Tone = Tone.TEXT) -> None:
        if value not in (None, ""):
            facts.append((name, (clean_span(value, tone),)))

    add("reason", record.reason, Tone.BAD if record.state is JobState.DEAD else Tone.WARN)
    add("error", " / ".join(filter(None, (record.error_class, record.code))))
    priority = Span(record.priority.value, Tone(record.priority.value))
    both = (priority, Span("  project ", Tone.DIM), clean_span(record.project_id))
    if _LABEL + width_of(both) <= columns:
        facts.append(("priority", both))
    else:
        facts += [("priority", (priority,)), ("project", both[2:])]
    add("tried", _tries(record))
    facts.append(("accepted", _moment(record.accepted_ms, now_ms)))
    if record.claimed_ms is not None:
        if not record.requeues:  # the start of the wait is not recorded for a requeued job
            add("waited", short_duration(max(0, record.claimed_ms - record.accepted_ms)))
        facts.append(("started", _moment(record.claimed_ms, now_ms)))
    elif record.state.pending:
        add("waits", coarse_duration(now_ms - record.accepted_ms))
    if record.finished_ms is not None:
        if record.claimed_ms is not None and record.finished_ms >= record.claimed_ms:
            add("took", short_duration(record.finished_ms - record.claimed_ms))
        facts.append(("ended", _moment(record.finished_ms, now_ms)))
    if record.due_ms is not None:
        facts.append(("due", _due(record.due_ms, now_ms)))
    if record.previous_ms is not None:
        facts.append(("shows", (Span("the bundle of an earlier run"),)))
    add("worker", record.worker)
    add("cause", record.cause)
    add("group", record.fingerprint)
    facts += _result_facts(record.result or {})
    return facts


def _moment(ms: int, now_ms: int) -> Line:
    return (Span(format_age(ms, now_ms)), Span(f"  {iso_from_ms(ms)[11:19]}Z", Tone.DIM))


def _due(ms: int, now_ms: int) -> Line:
    left = f"in {coarse_duration(ms - now_ms)}" if ms > now_ms else "now"
    return (Span(left), Span(f"  {iso_from_ms(ms)[:19].replace('T', ' ')}Z", Tone.DIM))


def _tries(record: JobRecord) -> str:
    failed = f"{pluralize(record.attempts, 'attempt')} failed" if record.attempts else ""
    crashed = pluralize(record.crashes, "crash", "crashes") if record.crashes else ""
    requeued = f"requeued {pluralize(record.requeues, 'time')}" if record.requeues else ""
    return ", ".join(filter(None, (failed, crashed, requeued)))


def _result_facts(result: Mapping[str, Any]) -> list[tuple[str, Line]]:
    facts: list[tuple[str, Line]] = []
    names = ("renderMs", "width", "height", "durationMs")
    render_ms, width, height, length_ms = (safe_count(result.get(name)) for name in names)
    if render_ms is not None:
        facts.append(("rendered", (Span(f"in {short_duration(render_ms)}"),)))
    if width is not None and height is not None:
        length = "" if length_ms is None else f", {short_duration(length_ms)} long"
        facts.append(("shows", (Span(f"{width}x{height} pixels{length}"),)))
    if isinstance(result.get("bundle"), str):
        facts.append(("bundle", (clean_span(result["bundle"], Tone.DIM),)))
    warnings = result.get("warnings")
    if isinstance(warnings, list):
        facts += [("warning", (clean_span(warning, Tone.WARN),)) for warning in warnings[:20]]
    return facts


def preview_placeholder(record: JobRecord, columns: int) -> list[Line]:
    """The text in place of a preview."""
    if record.state is JobState.COMPLETED and is_dry_run(record):
        plan = (record.result or {}).get("plan")
        return [(Span("The plan of a dry run", Tone.STRONG), *_estimate(plan)), (), *format_json_lines(plan)]
    if record.state is JobState.ACTIVE:
        return [(Span("Rendering.", Tone.TEXT),), _progress(record, min(columns, 40))]
    text = {
        JobState.WAITING: "Not rendered yet.",
        JobState.DELAYED: (
            "Not rendered yet: an attempt has failed, a retry follows."
            if record.attempts or record.crashes
            else "Not rendered yet: it waits until it is due."
        ),
        JobState.DEAD: "No preview: no attempt has succeeded.",
        JobState.CANCELLED: "No preview: the job was cancelled.",
        JobState.COMPLETED: "The result lists no images.",
    }
    lines: list[Line] = [(Span(text[record.state], Tone.DIM),)]
    if record.history and record.state in (JobState.DEAD, JobState.DELAYED):
        lines += [(), (Span("Latest failure", Tone.STRONG),), *format_attempt_lines(record.history[-1])]
    return lines


def _estimate(plan: object) -> Line:
    estimate = plan.get("estimate") if isinstance(plan, dict) else None
    if not isinstance(estimate, dict):
        return ()
    size_bytes, ms = safe_count(estimate.get("bytes")), safe_count(estimate.get("ms"))
    size = "" if size_bytes is None else f"about {format_bytes(size_bytes)}"
    time = "" if ms is None else f"in about {short_duration(ms)}"
    return (Span("  " + " ".join(filter(None, (size, time))), Tone.DIM),)


def format_no_job_lines() -> list[Line]:
    """The text shown while no job is open."""
    return [
        (Span("No job is open.", Tone.TEXT),),
        (),
        (
            *key_hint("show('jobs')", "lists all jobs, "),
            *key_hint("show('dead')", "the dead letters; "),
            *key_hint("choose", "opens the job at the cursor.", "grid"),
        ),
        key_hint("commands", "finds a job by its id, requestId or title."),
    ]
