"""Lines of text that change often: only the cells that differ are sent to the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from previewops.tui.palette import palette_of
from previewops.tui.shape.spans import Line
from previewops.tui.widgets.drawn import changed_regions, strip_of

Draw = Callable[[int, int], Sequence[Line]]
"""(columns, rows) to lines: a view-model function with its values bound."""


class Canvas(Widget, can_focus=False):
    """Draws what a function of its size returns; the function is replaced whenever the values change.

    With ``fit_height`` it is as high as its lines, otherwise as high as its style says.
    """

    DEFAULT_CSS = """
    Canvas { height: 1fr; width: 1fr; }
    """

    def __init__(
        self, *, id: str | None = None, classes: str | None = None, fit_height: bool = False
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._draw: Draw = _nothing
        self._strips: list[Strip] = []
        self._fit_height = fit_height

    def draw(self, function: Draw) -> None:
        """Shows what ``function`` says from now on."""
        self._draw = function
        columns = self.size.width
        if self._fit_height and (not columns or len(self._lines(columns)) != self.size.height):
            self.refresh(layout=True)
        if columns:
            self._update()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width)) if self._fit_height and width else container.height

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def on_resize(self) -> None:
        self._strips = self._drawn()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self._strips:
            self._strips = self._drawn()
            self.refresh()

    def _lines(self, columns: int) -> Sequence[Line]:
        return self._draw(columns, self.content_size.height or 1)

    def _update(self) -> None:
        drawn = self._drawn()
        if len(drawn) != len(self._strips):
            self._strips = drawn
            self.refresh()
            return
        regions = [
            region.translate(self.content_region.offset - self.region.offset)
            for region in changed_regions(self._strips, drawn)
        ]
        self._strips = drawn
        if regions:
            self.refresh(*regions)

    def _drawn(self) -> list[Strip]:
        columns, rows = self.content_size
        if not columns or not rows:
            return []
        lines = list(self._draw(columns, rows))[:rows]
        lines += [()] * (rows - len(lines))
        palette = palette_of(self.app)
        ground = self.rich_style
        return [strip_of(line, columns, palette).apply_style(ground) for line in lines]


def _nothing(_columns: int, _rows: int) -> Sequence[Line]:
    return ()
