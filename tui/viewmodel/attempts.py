"""Failed attempts of a job as table rows, and one attempt in detail."""

from __future__ import annotations

from previewops.clock import iso_from_ms
from previewops.formatting import format_age
from previewops.queue.records import Attempt
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.durations import short_duration
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

ATTEMPT_COLUMNS = (
    TableColumn("#", 2, right=True),
    TableColumn("when", 10, right=True, drop=3),
    TableColumn("took", 8, right=True, drop=2),
    TableColumn("kind", 9, drop=4),
    TableColumn("error", 16, grow=1),
    TableColumn("worker", 16, drop=5),
    TableColumn("message", 20, grow=4, drop=1),
)

_TONES = {"permanent": Tone.BAD, "crash": Tone.BAD}


def format_attempt_cells(number: int, attempt: Attempt, now_ms: int) -> tuple[Line, ...]:
    return (
        (Span(str(number), Tone.DIM),),
        (Span(format_age(attempt.at_ms, now_ms), Tone.DIM),),
        (Span(short_duration(attempt.duration_ms)),),
        (clean_span(attempt.kind, _TONES.get(attempt.kind, Tone.WARN)),),
        (clean_span(attempt.code or attempt.error_class),),
        (clean_span(attempt.worker, Tone.DIM),),
        (clean_span(attempt.message),),
    )


def format_attempt_lines(attempt: Attempt) -> tuple[Line, ...]:
    """One attempt with its traceback."""
    facts = (
        ("ended", iso_from_ms(attempt.at_ms)),
        ("took", short_duration(attempt.duration_ms)),
        ("worker", attempt.worker),
        ("kind", attempt.kind),
        ("error", " / ".join(filter(None, (attempt.error_class, attempt.code)))),
        ("message", attempt.message),
    )
    lines: list[Line] = [(Span(f"{name:<9}", Tone.DIM), clean_span(value)) for name, value in facts]
    lines.append(())
    if attempt.traceback:
        lines += format_traceback_lines(attempt.traceback)
    else:
        lines.append((Span("No traceback was recorded.", Tone.DIM),))
    return tuple(lines)


def format_traceback_lines(text: str) -> list[Line]:
    """A traceback, one line each."""
    return [_of_traceback(row) for row in text.expandtabs(4).rstrip("\n").split("\n")]


def _of_traceback(row: str) -> Line:
    place = row.lstrip().startswith("File ")
    return (clean_span(row, Tone.DIM if row.startswith("    ") else Tone.INFO if place else Tone.TEXT),)
