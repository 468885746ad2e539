"""Text in place of missing content: terminal too small, not in the recording, still loading."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.tui.viewmodel.spans import Line, Span, Tone, centre, clean_span

MIN_COLUMNS = 80
MIN_ROWS = 24


def is_too_small(columns: int, rows: int) -> bool:
    """Whether a terminal of that size cannot show the screen."""
    return columns < MIN_COLUMNS or rows < MIN_ROWS


def format_too_small_lines(columns: int, rows: int) -> Sequence[Line]:
    """The text shown in a terminal that is too small. ``rows`` are those between the bars."""
    lines = [
        (Span("This terminal is too small.", Tone.WARN),),
        (Span(f"The screen needs {MIN_COLUMNS} columns and {MIN_ROWS} rows.", Tone.TEXT),),
        (Span("Until then no key changes anything; q quits.", Tone.DIM),),
    ]
    return centre(lines, columns, rows)


def format_not_in_replay_lines(columns: int, rows: int) -> Sequence[Line]:
    """The text shown in place of jobs and dead letters during a replay."""
    lines: list[Line] = [
        (Span("a recording contains no jobs", Tone.STRONG),),
        (Span("It contains the data of: ", Tone.DIM), *_go_to("1", "overview"), *_go_to("5", "workers"),
         *_go_to("6", "events"), *_go_to("7", "health")),
    ]  # fmt: skip
    return centre(lines, columns, rows)


def format_loading_lines(fetch_error: str, *, frozen: bool) -> Sequence[Line]:
    """The text in place of rows that are loading. ``fetch_error`` is the error of the last fetch, "" for none."""
    if fetch_error:
        return [(clean_span(fetch_error, Tone.BAD),), (Span("The next snapshot tries again.", Tone.DIM),)]
    if frozen:
        parts = (("The display is frozen; ", Tone.DIM), ("z", Tone.INFO), (" unfreezes it.", Tone.DIM))
        return [tuple(Span(*part) for part in parts)]
    return [(Span("loading …", Tone.DIM),)]


def _go_to(key: str, mode: str) -> Line:
    action = f"app.show('{mode}')"
    return (Span(f" {key}", Tone.INFO, action), Span(f" {mode.capitalize()} ", Tone.DIM, action))
