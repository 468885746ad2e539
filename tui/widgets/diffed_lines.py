"""Lines of text that change often: only changed cells are sent to the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.geometry import Size
from textual.strip import Strip

from previewops.tui.terminal.palette import get_palette
from previewops.tui.viewmodel.spans import Line
from previewops.tui.widgets.line_rendering import LineWidget, strip_of

Draw = Callable[[int, int], Sequence[Line]]
"""(columns, rows) to lines: a view-model function with its values bound."""


class DiffedLines(LineWidget, can_focus=False):
    """Draws the lines of a function of its size. The function is replaced when values change.

    With ``fit_height`` it is as high as its lines, otherwise as high as its style.
    """

    DEFAULT_CSS = """
    DiffedLines { height: 1fr; width: 1fr; }
    """

    def __init__(
        self, *, id: str | None = None, classes: str | None = None, fit_height: bool = False
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._draw: Draw = _nothing
        self._fit_height = fit_height

    def draw(self, function: Draw) -> None:
        """Replaces the function and draws the changes."""
        self._draw = function
        columns = self.size.width
        if self._fit_height and (not columns or len(self._lines(columns)) != self.size.height):
            self.refresh(layout=True)
        if columns:
            self.draw_changes()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width)) if self._fit_height and width else container.height

    def on_resize(self) -> None:
        self.draw_changes()

    def _lines(self, columns: int) -> Sequence[Line]:
        return self._draw(columns, self.content_size.height or 1)

    def build_strips(self) -> list[Strip]:
        columns, rows = self.content_size
        if not columns or not rows:
            return []
        lines = list(self._draw(columns, rows))[:rows]
        lines += [()] * (rows - len(lines))
        palette = get_palette(self.app)
        base_style = self.rich_style
        return [strip_of(line, columns, palette).apply_style(base_style) for line in lines]


def _nothing(_columns: int, _rows: int) -> Sequence[Line]:
    return ()
