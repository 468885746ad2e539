"""Base class of widgets that draw lines of spans and send only changed cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset, Region
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from previewops.tui.terminal.palette import Palette
from previewops.tui.viewmodel.spans import Line, merge_spans, pad

SCROLLBAR = 1
"""Width reserved for a scroll bar, so that its appearance moves nothing."""


class LineWidget(Widget):
    """A widget that draws ``build_strips`` and sends only the cells that have changed."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._strips: list[Strip] = []
        self._style_key: object = None

    def build_strips(self) -> list[Strip]:
        """All lines at the current size; none if there is no room."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def draw_changes(self) -> None:
        """Builds the lines again and sends the changed cells."""
        before, self._strips = self._strips, self.build_strips()
        inset = self.content_region.offset - self.region.offset if self.size.width else Offset()
        regions = [region.translate(inset) for region in changed_regions(before, self._strips)]
        if regions:
            self.refresh(*regions)

    def draw_all(self) -> None:
        """Builds the lines again and sends all of them."""
        self._strips = self.build_strips()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        # Textual calls this for each change of focus and screen, even if no style has changed.
        style_key = (self.rich_style, self.app.theme)
        if self._strips and style_key != self._style_key:
            self.draw_all()
        self._style_key = style_key


class ScrollingLines(LineWidget, ScrollView, can_focus=True):
    """Lines with a vertical scroll bar, which keys and the wheel move."""

    DEFAULT_CSS = """
    ScrollingLines {
        height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
        scrollbar-color: $thumb; scrollbar-background: $background; scrollbar-color-hover: $primary;
        scrollbar-background-hover: $background; scrollbar-color-active: $primary;
        scrollbar-background-active: $background; background: $background;
    }
    """

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.draw_all()


def strip_of(line: Line, columns: int, palette: Palette) -> Strip:
    """The line in exactly ``columns`` columns."""
    fitted = merge_spans(pad(line, columns))
    return Strip([Segment(palette.text(span), palette.style(span)) for span in fitted], columns)


def highlight(strip: Strip, widget: Widget) -> Strip:
    """The strip as part of the row at the cursor; less prominent while the widget does not have the focus."""
    app = widget.app
    if app.native_ansi_color or app.no_color:
        return _reversed(strip) if widget.has_focus else strip.apply_style(Style(bold=True))
    background = app.theme_variables["block-cursor-background" if widget.has_focus else "panel"]
    return strip.apply_style(Style(bgcolor=background))


def _reversed(strip: Strip) -> Strip:
    """The strip in one reversed run: with the colours of its parts it would look like a patchwork."""
    segments = []
    for text, style, _ in strip:
        click = Style.from_meta(style.meta) if style is not None and style.meta else Style()
        segments.append(Segment(text, Style(reverse=True, bold=True) + click))
    return Strip(segments, strip.cell_length)


def changed_regions(old: Sequence[Strip], new: Sequence[Strip]) -> Iterable[Region]:
    """The regions of changed cells, one per line: less to send on a slow connection."""
    for y, after in enumerate(new):
        if y >= len(old):
            yield Region(0, y, max(1, after.cell_length), 1)
        elif old[y] != after:
            first, last = _differing(old[y], after)
            yield Region(first, y, max(1, last - first), 1)


def _differing(before: Strip, after: Strip) -> tuple[int, int]:
    """The range of changed cells, in steps of segments."""
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
