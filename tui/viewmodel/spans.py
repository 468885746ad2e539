"""Lines of styled text: spans with a tone. The theme defines the style of a tone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size

from previewops.formatting import clean


class Tone(StrEnum):
    """Meaning of a span. Text never depends on the tone alone: some terminals show none."""

    TEXT = "text"
    DIM = "dim"  # labels, units, secondary text
    FAINT = "faint"  # rules, axes, empty parts of bars
    STRONG = "strong"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    INFO = "info"  # interactive: keys, links, the selected tab
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    DONE = "done"  # fills of charts, less bright than text tones
    DIED = "died"
    FAST = "fast"  # the median of a latency chart
    SLOW = "slow"  # the upper percentiles of a latency chart
    SLOWEST = "slowest"
    BADGE = "badge"  # reversed: a label with its own background
    BADGE_GOOD = "badge-good"
    BADGE_WARN = "badge-warn"
    BADGE_BAD = "badge-bad"
    BADGE_INFO = "badge-info"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one line.

    ``action`` is the action that a click runs, "" for none; ``background`` is the tone behind the text.
    """

    text: str
    tone: Tone = Tone.TEXT
    action: str = ""
    background: Tone | None = None

    @property
    def cells(self) -> int:
        """Width in terminal columns."""
        return cell_len(self.text)

    @property
    def is_plain(self) -> bool:
        """Whether adjacent blanks can be part of it: it has no background, no click action and no badge."""
        return self.background is None and not self.action and not self.tone.startswith("badge")

    @property
    def is_blank(self) -> bool:
        """Whether it is invisible."""
        return self.is_plain and self.text.isspace()


_FIGURE_COLUMNS = 24
_CUT_FIGURE = re.compile(r"(?<![^\s(+-])\d[\d.,]*+(?: ?[A-Za-z%]{0,3})?\Z")

Line: TypeAlias = tuple[Span, ...]

BLANK: Line = ()


def clean_span(text: object, tone: Tone = Tone.TEXT) -> Span:
    """A span of untrusted text: a single line, without control sequences."""
    return Span(clean(text), tone)


def width_of(line: Line) -> int:
    """Width of a line in columns."""
    return sum(span.cells for span in line)


def clip(line: Line, columns: int) -> Line:
    """The line in at most ``columns`` columns, cut with an ellipsis, in front of a figure rather than within it."""
    if columns <= 0:
        return BLANK
    if width_of(line) <= columns:
        return line
    kept: list[Span] = []
    room = columns - 1
    for span in line:
        if span.cells > room:
            if room:
                kept.append(replace(span, text=_without_cut_figure(set_cell_size(span.text, room))))
            kept.append(Span("…", span.tone))
            break
        kept.append(span)
        room -= span.cells
    return tuple(kept)


def _without_cut_figure(text: str) -> str:
    """The text without a figure at its end, whose last digits or unit may be cut."""
    head, tail = text[:-_FIGURE_COLUMNS], text[-_FIGURE_COLUMNS:]
    return head + _CUT_FIGURE.sub("", tail)


def clip_middle(line: Line, columns: int) -> Line:
    """As ``clip``, but cuts a single span in the middle: ids differ at both ends."""
    if width_of(line) <= columns or len(line) != 1 or columns < 3:
        return clip(line, columns)
    (span,) = line
    before = (columns - 1) // 2
    start = set_cell_size(span.text, before)
    end = set_cell_size(span.text[::-1], columns - 1 - before)[::-1]
    return (replace(span, text=f"{start}…{end}"),)


def pad(line: Line, columns: int, *, right: bool = False) -> Line:
    """The line in exactly ``columns`` columns, aligned left or right."""
    fitted = clip(line, columns)
    gap = columns - width_of(fitted)
    if gap <= 0:
        return fitted
    space = Span(" " * gap)
    return (space, *fitted) if right else (*fitted, space)


def merge_spans(line: Line) -> Line:
    """The line in as few spans as possible: each span costs control characters on a slow connection.

    Joins neighbours of the same look, and joins blanks with adjacent text.
    """
    parts: list[Span] = []
    for span in line:
        if not span.text:
            continue
        last = parts[-1] if parts else None
        if last is not None and (_has_same_style(last, span) or (span.is_blank and last.is_plain)):
            parts[-1] = replace(last, text=last.text + span.text)
        elif last is not None and last.is_blank and span.is_plain:
            parts[-1] = replace(span, text=last.text + span.text)
        else:
            parts.append(span)
    return tuple(parts)


def _has_same_style(one: Span, other: Span) -> bool:
    return (one.tone, one.action, one.background) == (other.tone, other.action, other.background)


def justify(left: Line, right: Line, columns: int) -> Line:
    """``left`` and ``right`` aligned to both ends of a line; ``left`` is cut if they collide."""
    room = max(0, columns - width_of(right) - 1)
    return (*pad(left, room), Span(" "), *right) if room else clip(right, columns)


def spread(left: Line, right: Line, columns: int) -> Line:
    """As ``justify``, but without ``right`` if both do not fit whole: for lines of figures, which must not be cut."""
    whole = width_of(left) + width_of(right) + 2 <= columns
    return justify(left, right, columns) if whole else clip(left, columns)


def centre(lines: Sequence[Line], columns: int, rows: int) -> list[Line]:
    """The lines in the middle of an area, below blank lines."""
    fitted = [clip(line, columns) for line in lines]
    above = max(0, (rows - len(lines)) // 2)
    return [()] * above + [(Span(" " * ((columns - width_of(line)) // 2)), *line) for line in fitted]


def beside(parts: Sequence[tuple[Sequence[Line], int]], gap: int = 2) -> list[Line]:
    """Blocks of lines side by side, each ``(lines, columns)``."""
    height = max((len(lines) for lines, _ in parts), default=0)
    rows = []
    for y in range(height):
        row: list[Span] = []
        for place, (lines, columns) in enumerate(parts):
            if place:
                row.append(Span(" " * gap))
            row += pad(lines[y] if y < len(lines) else BLANK, columns)
        rows.append(tuple(row))
    return rows


def plain_text(line: Line) -> str:
    return "".join(span.text for span in line)
