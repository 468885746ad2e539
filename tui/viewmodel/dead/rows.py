"""Dead letters: table rows of groups and jobs, and the detail panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from previewops.clock import iso_from_ms
from previewops.formatting import clean, pluralize
from previewops.queue.dead_letter_filter import DeadLetterGroup
from previewops.queue.filter_query import FilterQuery
from previewops.queue.records import Attempt, JobRecord
from previewops.states import JobState
from previewops.tui.viewmodel.attempts import format_traceback_lines
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import bar
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.durations import coarse_duration, short_duration
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, pad
from previewops.tui.viewmodel.wrap import wrap, wrap_lines

GROUP_COLUMNS = (
    TableColumn("count", 7, right=True),
    TableColumn("share", 10, drop=2),
    TableColumn("error", 17, grow=1),
    TableColumn("last", 10),
    TableColumn("first", 10, drop=3),
    TableColumn("reason", 13, grow=4),
)

ALL_COLUMNS = (
    TableColumn("job", 16, grow=2, middle=True),
    TableColumn("project", 12, grow=1, drop=3),
    TableColumn("error", 17, grow=1),
    TableColumn("died", 10, drop=1),
    TableColumn("prio", 6, drop=5),
    TableColumn("tries", 5, right=True, drop=4),
    TableColumn("requeued", 8, right=True, drop=6),
    TableColumn("reason", 15, grow=5),
)

ONE_GROUP_COLUMNS = tuple(column for column in ALL_COLUMNS if column.title != "error")
"""In one group all have the same error."""

_SHARE_BAR = 4
_SHORTENED_FROM = 1_000_000
"""Counts that exceed their column are shortened."""
_INDENT = "  "


# -- groups ---------------------------------------------------------------------------------------------


def error_of(record: JobRecord) -> str:
    """The error code of a job, or the class where there is no code."""
    return clean(record.code or record.error_class or "unknown")


def filter_groups(groups: Sequence[DeadLetterGroup], terms: FilterQuery) -> tuple[DeadLetterGroup, ...]:
    """The groups whose newest job's error matches; none if the filter has fields that groups lack."""
    if unsupported_fields(terms):
        return ()
    return tuple(group for group in groups if terms.matches({"error": _error_text(group.example)}))


def _error_text(record: JobRecord) -> str:
    # As the Lua scripts join it, so that a filter matches the same here and there.
    return f"{record.error_class or ''}\n{record.code or ''}\n{record.reason or ''}"


def unsupported_fields(terms: FilterQuery) -> tuple[str, ...]:
    """Fields of a filter that groups lack: one group may have jobs of many projects and priorities."""
    named = (term.field for term in terms if term.text and term.field is not None)
    return tuple(dict.fromkeys(name for name in named if name != "error"))


def restrict_to_errors(terms: FilterQuery) -> FilterQuery:
    """A filter of groups as a filter of jobs: its words are matched with the error only, not with ids or projects."""
    limited = tuple(replace(term, field=term.field or "error") for term in terms.terms)
    return FilterQuery(limited, terms.inverted)


def format_group_cells(group: DeadLetterGroup, total: int, now_ms: int) -> tuple[Line, ...]:
    """One group as a row; ``total`` is the number of dead letters."""
    share = min(1.0, group.count / total) if total else 0.0
    return (
        (
            Span(
                f"{group.count:,}" if group.count < _SHORTENED_FROM else short_count(group.count), Tone.STRONG
            ),
        ),
        (*bar(share, _SHARE_BAR, Tone.DIED), *pad((Span(_percent(share), Tone.DIM),), 6, right=True)),
        (Span(error_of(group.example), Tone.BAD),),
        (Span(ago(group.last_ms, now_ms)),),
        (Span(ago(group.first_ms, now_ms), Tone.DIM),),
        (clean_span(group.example.reason or ""),),
    )


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.01 else f"{share * 100:.0f} %"


def ago(then_ms: int | None, now_ms: int) -> str:
    """An age that changes every ten seconds at most."""
    return "-" if then_ms is None else f"{coarse_duration(now_ms - then_ms)} ago"


# -- jobs -----------------------------------------------------------------------------------------------


def format_job_cells(record: JobRecord, now_ms: int, *, with_error: bool) -> tuple[Line, ...]:
    """One dead letter as a row of ``ALL_COLUMNS``, or without its error of ``ONE_GROUP_COLUMNS``."""
    error: tuple[Line, ...] = ((Span(error_of(record), Tone.BAD),),) if with_error else ()
    return (
        (clean_span(record.job_id, Tone.STRONG),),
        (clean_span(record.project_id),),
        *error,
        (Span(ago(record.finished_ms, now_ms)),),
        (Span(record.priority.value, Tone(record.priority.value)),),
        (Span(str(record.attempts + record.crashes), Tone.DIM),),
        (Span(str(record.requeues or ""), Tone.WARN),),
        (clean_span(record.reason or ""),),
    )


# -- detail panel ---------------------------------------------------------------------------------------


def format_group_lines(group: DeadLetterGroup, total: int, now_ms: int, columns: int) -> list[Line]:
    """Summary of a group: count, period and fingerprint. Its newest job follows."""
    share = f", {_percent(min(1.0, group.count / total))} of all" if total else ""
    period = f", first {ago(group.first_ms, now_ms)}, last {ago(group.last_ms, now_ms)}"
    lines: list[Line] = [
        (Span(error_of(group.example), Tone.BAD), Span(f"  group {clean(group.fingerprint)}", Tone.DIM)),
        (Span(pluralize(group.count, "dead letter"), Tone.STRONG), Span(f"{share}{period}")),
        (),
        (Span("Newest job", Tone.DIM),),
    ]
    return wrap_lines(lines, columns)


def format_job_lines(record: JobRecord, now_ms: int, columns: int) -> list[Line]:
    """Details of a dead letter: reason, origin, and each attempt with its traceback."""
    lines: list[Line] = [
        (clean_span(record.job_id, Tone.STRONG), clean_span(f"  project {record.project_id}", Tone.DIM))
    ]
    if record.state is not JobState.DEAD:
        lines.append((Span(f"▲ not a dead letter any more: it is {record.state.value}", Tone.WARN),))
    lines += [
        (Span(error_of(record), Tone.BAD), *_class_and_kind(record)),
        (clean_span(record.reason or "no reason was recorded"),),
        (),
        (Span(_story(record, now_ms), Tone.DIM),),
    ]
    rows = wrap_lines(lines, columns)
    for number, attempt in reversed(record.numbered_history):
        rows += [(), *_format_attempt_lines(number, attempt, columns)]
    if not record.history:
        rows += [(), *wrap((Span("No failed attempt was recorded.", Tone.DIM),), columns)]
    return rows


def _class_and_kind(record: JobRecord) -> Line:
    parts = [part for part in (record.error_class, record.cause) if part and part != record.code]
    return (clean_span("  " + ", ".join(parts), Tone.DIM),) if parts else ()


def _story(record: JobRecord, now_ms: int) -> str:
    died = f"died {ago(record.finished_ms, now_ms)}"
    if record.finished_ms is not None:
        died += f" ({iso_from_ms(record.finished_ms)[:19].replace('T', ' ')}Z)"
    tries = [pluralize(record.attempts, "attempt"), pluralize(record.crashes, "crash", "crashes")]
    parts = [died, f"priority {record.priority.value}", f"after {tries[0]} and {tries[1]}"]
    if record.requeues:
        times = "once" if record.requeues == 1 else f"{record.requeues} times"
        parts.append(f"requeued {times} before")
    return ", ".join(parts)


def _format_attempt_lines(number: int, attempt: Attempt, columns: int) -> list[Line]:
    clock = iso_from_ms(attempt.at_ms)[11:19]
    head: Line = (
        Span(f"attempt {number}", Tone.STRONG),
        Span(f"  {clock}Z, {short_duration(attempt.duration_ms)}, ", Tone.DIM),
        clean_span(f"{attempt.kind}, on {attempt.worker}", Tone.DIM),
    )
    error: Line = (clean_span(f"{attempt.code}: ", Tone.WARN), clean_span(attempt.message))
    rows = [*wrap(head, columns), *_indented(error, columns)]
    for line in format_traceback_lines(attempt.traceback) if attempt.traceback else ():
        rows += _indented(line, columns)
    return rows


def _indented(line: Line, columns: int) -> list[Line]:
    return [(Span(_INDENT), *row) for row in wrap(line, columns - len(_INDENT))]
