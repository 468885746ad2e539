"""What stands in the place of a picture: the terminal is too small for it, or a recording does not hold it."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.tui.shape.spans import Line, Span, Tone, clip, width_of

SMALLEST_COLUMNS = 80
SMALLEST_ROWS = 24


def too_small_lines(columns: int, rows: int) -> Sequence[Line]:
    """What is said instead of a picture that would be cut. ``rows`` are those between the bars."""
    lines: list[Line] = [
        (Span("This terminal is too small to show it all.", Tone.WARN),),
        (Span(f"That takes {SMALLEST_COLUMNS} columns and {SMALLEST_ROWS} rows.", Tone.TEXT),),
        (Span("Every key works meanwhile; q leaves.", Tone.DIM),),
    ]
    return _in_the_middle(lines, columns, rows)


def unrecorded_lines(columns: int, rows: int) -> Sequence[Line]:
    """What is said instead of jobs and dead letters while a recording is replayed."""
    lines: list[Line] = [
        (Span("a recording holds no jobs", Tone.STRONG),),
        (Span("It has what the other screens show: ", Tone.DIM), *_go_to("1", "overview"), *_go_to("5", "workers"),
         *_go_to("6", "events"), *_go_to("7", "health")),
    ]  # fmt: skip
    return _in_the_middle(lines, columns, rows)


def _go_to(key: str, mode: str) -> Line:
    action = f"app.show('{mode}')"
    return (Span(f" {key}", Tone.INFO, action), Span(f" {mode.capitalize()} ", Tone.DIM, action))


def _in_the_middle(lines: Sequence[Line], columns: int, rows: int) -> Sequence[Line]:
    above = max(0, (rows - len(lines)) // 2)
    centred = [(Span(" " * max(0, (columns - width_of(line)) // 2)), *line) for line in lines]
    return [(), *[()] * (above - 1), *(clip(line, columns) for line in centred)] if above else centred[:rows]
