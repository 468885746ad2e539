"""An image of half blocks, centred."""

from __future__ import annotations

from collections.abc import Sequence

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from previewops.tui.viewmodel.half_blocks import UPPER, CellRun, Colour


def strips_of(rows: Sequence[Sequence[CellRun]]) -> list[Strip]:
    """Rows of cells as strips. Slow for a large image: call it in a thread."""
    styles: dict[tuple[Colour, Colour | None], Style] = {}
    strips = []
    for row in rows:
        segments = []
        for run in row:
            kind = (run.upper, run.lower)
            if kind not in styles:
                lower = None if run.lower is None else Color.from_rgb(*run.lower)
                styles[kind] = Style(color=Color.from_rgb(*run.upper), bgcolor=lower)
            segments.append(Segment(UPPER * run.cells, styles[kind]))
        strips.append(Strip(segments, sum(run.cells for run in row)))
    return strips


class Blocks(Widget, can_focus=True):
    """Shows the strips of an image."""

    DEFAULT_CSS = """
    Blocks { height: 1fr; width: 1fr; background: $background; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._picture: list[Strip] = []

    def show(self, picture: list[Strip]) -> None:
        if picture is not self._picture:
            self._picture = picture
            self.refresh()

    def render_line(self, y: int) -> Strip:
        columns, rows = self.size
        place = y - max(0, (rows - len(self._picture)) // 2)
        strip = Strip([])
        if 0 <= place < len(self._picture):
            drawn = self._picture[place]
            strip = Strip([Segment(" " * max(0, (columns - drawn.cell_length) // 2)), *drawn])
        return strip.adjust_cell_length(columns, self.rich_style).apply_style(self.rich_style)
