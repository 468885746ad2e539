"""JSON as lines: indented, coloured, cleaned and wrapped."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span
from previewops.tui.viewmodel.wrap import wrap

MAX_LINES = 5_000

_TOKEN = re.compile(
    r'(?P<name>"(?:[^"\\]++|\\.)*+")(?=: )|(?P<string>"(?:[^"\\]++|\\.)*+"?+)|(?P<number>-?\d[\d.eE+-]*)'
    r"|(?P<word>true|false|null|NaN|-?Infinity)|(?P<mark>[^\"\w-]+)|(?P<rest>.)"
)
_TONES = {
    "name": Tone.INFO,
    "string": Tone.TEXT,
    "number": Tone.GOOD,
    "word": Tone.HIGH,
    "mark": Tone.DIM,
    "rest": Tone.TEXT,
}
_HANGING = 2


def format_json_lines(value: object) -> tuple[Line, ...]:
    """The value as lines. Text is cleaned; very long documents are truncated with a note."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    except RecursionError:
        return ((Span("It is nested too deeply to be shown.", Tone.WARN),),)
    rows = text.split("\n")
    lines = [_toned(row) for row in rows[:MAX_LINES]]
    if len(rows) > MAX_LINES:
        lines.append((Span(f"… and {len(rows) - MAX_LINES:,} more lines", Tone.WARN),))
    return tuple(lines)


def _toned(row: str) -> Line:
    indent = len(row) - len(row.lstrip(" "))
    spans = [Span(" " * indent)] if indent else []
    for match in _TOKEN.finditer(row, indent):
        spans.append(clean_span(match[0], _TONES[match.lastgroup or "rest"]))
    return tuple(spans)


def wrap_json(lines: Sequence[Line], columns: int) -> list[Line]:
    """The lines wrapped to a width, with continuation lines indented."""
    rows: list[Line] = []
    for line in lines:
        indent = _indent_of(line)
        room = columns - indent - _HANGING
        if sum(span.cells for span in line) <= columns or room < _HANGING * 4:
            rows.append(line)
            continue
        first, *others = wrap(line[1:] if indent else line, room)
        rows.append((Span(" " * indent), *first))
        rows += [(Span(" " * (indent + _HANGING)), *other) for other in others]
    return rows


def _indent_of(line: Line) -> int:
    return len(line[0].text) if line and not line[0].text.strip() else 0
