"""Text in place of missing content: terminal too small, not in the recording, still loading."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.tui.keymap import SCREENS
from previewops.tui.viewmodel.hints import key_hint, key_span
from previewops.tui.viewmodel.spans import Line, Span, Tone, centre, clean_span

RECORDED_SCREENS = ("overview", "workers", "events", "health")

MIN_COLUMNS, MIN_ROWS = 60, 15
"""Smallest terminal in which the screens can be read."""
ACTING_COLUMNS, ACTING_ROWS = 80, 24
"""Smallest terminal in which keys change the queue: dialogs fit into it."""


def is_too_small(columns: int, rows: int) -> bool:
    """Whether a terminal of that size cannot show the screens."""
    return columns < MIN_COLUMNS or rows < MIN_ROWS


def is_too_small_to_act(columns: int, rows: int) -> bool:
    """Whether no key changes anything in a terminal of that size, since dialogs do not fit into it."""
    return columns < ACTING_COLUMNS or rows < ACTING_ROWS


def format_too_small_lines(columns: int, rows: int) -> Sequence[Line]:
    """The text shown in a terminal that is too small. ``rows`` are those between the bars."""
    lines = [
        (Span("This terminal is too small.", Tone.WARN),),
        (Span(f"The screen needs {MIN_COLUMNS} columns and {MIN_ROWS} rows,", Tone.TEXT),),
        (Span(f"{ACTING_COLUMNS} and {ACTING_ROWS} to change something.", Tone.TEXT),),
        key_hint("quit", "quits."),
    ]
    return centre(lines, columns, rows)


def format_not_in_replay_lines(columns: int, rows: int) -> Sequence[Line]:
    """The text shown in place of jobs and dead letters during a replay."""
    lines: list[Line] = [
        (Span("a recording contains no jobs", Tone.STRONG),),
        (
            Span("It contains the data of: ", Tone.DIM),
            *(span for mode in RECORDED_SCREENS for span in _go_to(mode)),
        ),
    ]
    return centre(lines, columns, rows)


def format_loading_lines(fetch_error: str, *, frozen: bool) -> Sequence[Line]:
    """The text in place of rows that are loading. ``fetch_error`` is the error of the last fetch, "" for none."""
    if fetch_error:
        return [(clean_span(fetch_error, Tone.BAD),), (Span("The next snapshot tries again.", Tone.DIM),)]
    if frozen:
        return [(Span("The display is frozen; ", Tone.DIM), *key_hint("freeze", "unfreezes it."))]
    return [(Span("loading …", Tone.DIM),)]


def _go_to(mode: str) -> Line:
    action = f"show('{mode}')"
    return (Span(" "), key_span(action), Span(f" {dict(SCREENS)[mode]} ", Tone.DIM, f"app.{action}"))
