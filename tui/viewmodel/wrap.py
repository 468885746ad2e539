"""Wraps lines of spans at word boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len, chop_cells

from previewops.tui.viewmodel.spans import Line, Span, width_of


def wrap_lines(lines: Sequence[Line], columns: int) -> list[Line]:
    """All lines wrapped to ``columns``; an empty line stays one."""
    return [part for line in lines for part in wrap(line, columns)]


def hang(head: Line, text: Line, columns: int, least: int = 1) -> list[Line]:
    """``head`` with the text wrapped to its right, in at least ``least`` columns."""
    indent = width_of(head)
    first, *others = wrap(text, max(least, columns - indent)) or [()]
    return [(*head, *first), *((Span(" " * indent), *row) for row in others)]


def wrap(line: Line, columns: int) -> list[Line]:
    """One line wrapped. Words are broken only if they exceed the width."""
    if columns < 1:
        return []
    rows: list[list[Span]] = [[]]
    used = 0
    for word in _words(line):
        text = word.text
        size = cell_len(text)
        if used and used + cell_len(text.rstrip()) > columns:
            rows.append([])
            used = 0
        if not used:
            text = text.lstrip() if len(rows) > 1 else text
            for chopped in chop_cells(text, columns)[:-1]:
                rows[-1].append(replace(word, text=chopped))
                rows.append([])
            text = chop_cells(text, columns)[-1] if text else ""
            size = cell_len(text)
        rows[-1].append(replace(word, text=text))
        used += size
    return [_strip_trailing_blanks(row) for row in rows]


def _strip_trailing_blanks(row: list[Span]) -> Line:
    """The row without trailing blanks, which would cause an ellipsis."""
    kept = [span for span in row if span.text]
    while kept and not kept[-1].text.rstrip(" "):
        kept.pop()
    if kept:
        kept[-1] = replace(kept[-1], text=kept[-1].text.rstrip(" "))
    return tuple(kept)


def _words(line: Line) -> list[Span]:
    """The words of a line, each with the blanks after it."""
    words: list[Span] = []
    for span in line:
        start = 0
        for place in range(1, len(span.text)):
            if span.text[place - 1] == " " and span.text[place] != " ":
                words.append(replace(span, text=span.text[start:place]))
                start = place
        words.append(replace(span, text=span.text[start:]))
    return words
