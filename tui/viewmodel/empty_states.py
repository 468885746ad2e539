"""What stands in the place of what is not there: a terminal too small, a recording without it, rows yet to come."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, clip, width_of

MIN_COLUMNS = 80
MIN_ROWS = 24


def is_too_small(columns: int, rows: int) -> bool:
    """Whether a terminal of that size shows no picture."""
    return columns < MIN_COLUMNS or rows < MIN_ROWS


def too_small_lines(columns: int, rows: int) -> Sequence[Line]:
    """What is said instead of a picture that would be cut. ``rows`` are those between the bars."""
    lines: list[Line] = [
        (Span("This terminal is too small to show it all.", Tone.WARN),),
        (Span(f"That takes {MIN_COLUMNS} columns and {MIN_ROWS} rows.", Tone.TEXT),),
        (Span("No key changes anything meanwhile; q leaves.", Tone.DIM),),
    ]
    return _in_the_middle(lines, columns, rows)


def not_in_replay_lines(columns: int, rows: int) -> Sequence[Line]:
    """What is said instead of jobs and dead letters while a recording is replayed."""
    lines: list[Line] = [
        (Span("a recording holds no jobs", Tone.STRONG),),
        (Span("It has what the other screens show: ", Tone.DIM), *_go_to("1", "overview"), *_go_to("5", "workers"),
         *_go_to("6", "events"), *_go_to("7", "health")),
    ]  # fmt: skip
    return _in_the_middle(lines, columns, rows)


def loading_lines(trouble: str, *, frozen: bool) -> Sequence[Line]:
    """What stands where rows are yet to come. ``trouble`` is why they could not be fetched, "" for none."""
    if trouble:
        return [
            (clean_span(trouble, Tone.BAD),),
            (Span("It is tried again with the next picture.", Tone.DIM),),
        ]
    if frozen:
        return [
            (
                Span("The display is frozen; ", Tone.DIM),
                Span("z", Tone.INFO),
                Span(" lets it go on.", Tone.DIM),
            )
        ]
    return [(Span("looking …", Tone.DIM),)]


def _go_to(key: str, mode: str) -> Line:
    action = f"app.show('{mode}')"
    return (Span(f" {key}", Tone.INFO, action), Span(f" {mode.capitalize()} ", Tone.DIM, action))


def _in_the_middle(lines: Sequence[Line], columns: int, rows: int) -> Sequence[Line]:
    above = max(0, (rows - len(lines)) // 2)
    centred = [(Span(" " * max(0, (columns - width_of(line)) // 2)), *line) for line in lines]
    return [(), *[()] * (above - 1), *(clip(line, columns) for line in centred)] if above else centred[:rows]
