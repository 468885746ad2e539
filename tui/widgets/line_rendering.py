"""What widgets that draw lines of the view-model share: spans into strips, and sending what has changed only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from textual.geometry import Offset, Region
from textual.strip import Strip
from textual.widget import Widget

from previewops.tui.terminal.palette import Palette
from previewops.tui.viewmodel.spans import Line, merge_spans, pad

SCROLLBAR = 1
"""Columns that are kept free for a scroll bar, whether there is one or not: so its coming shifts nothing."""


class LineWidget(Widget):
    """A widget whose lines are ``drawn``: when they are drawn anew, only the cells that differ are sent."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._strips: list[Strip] = []
        self._look: object = None

    def build_strips(self) -> list[Strip]:
        """The lines in the size that there is, none if there is no room."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def draw_changes(self) -> None:
        """Draws the lines anew; what has not changed is not sent again."""
        before, self._strips = self._strips, self.build_strips()
        inset = self.content_region.offset - self.region.offset if self.size.width else Offset()
        regions = [region.translate(inset) for region in changed_regions(before, self._strips)]
        if regions:
            self.refresh(*regions)

    def draw_all(self) -> None:
        """Draws the lines anew and sends all of them."""
        self._strips = self.build_strips()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        # Textual tells of it with each change of the focus and each change of screens, whatever has changed.
        look = (self.rich_style, self.app.theme)
        if self._strips and look != self._look:
            self.draw_all()
        self._look = look


def strip_of(line: Line, columns: int, palette: Palette) -> Strip:
    """The line in exactly ``columns`` columns."""
    fitted = merge_spans(pad(line, columns))
    return Strip([Segment(span.text, palette.style(span)) for span in fitted], columns)


def changed_regions(old: Sequence[Strip], new: Sequence[Strip]) -> Iterable[Region]:
    """The parts of the new lines that differ from the old ones, one region a line: what a slow line has to carry."""
    for y, after in enumerate(new):
        if y >= len(old):
            yield Region(0, y, max(1, after.cell_length), 1)
        elif old[y] != after:
            first, last = _differing(old[y], after)
            yield Region(first, y, max(1, last - first), 1)


def _differing(before: Strip, after: Strip) -> tuple[int, int]:
    """The first cell that differs and the one after the last, found at the edges of segments."""
    length = max(before.cell_length, after.cell_length)
    start = _common(list(before), list(after))
    end = _common(list(before)[::-1], list(after)[::-1])
    return start, max(start + 1, length - end)


def _common(one: list[Segment], other: list[Segment]) -> int:
    cells = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        cells += left.cell_length
    return cells
