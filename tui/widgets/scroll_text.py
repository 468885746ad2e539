"""Text to scroll through with keys and wheel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.geometry import Size
from textual.strip import Strip

from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS
from previewops.tui.terminal.palette import get_palette
from previewops.tui.viewmodel.spans import Line
from previewops.tui.widgets.line_rendering import SCROLLBAR, ScrollingLines, strip_of

Write = Callable[[int], Sequence[Line]]
"""Columns to lines: a view-model function with its values bound."""


class ScrollText(ScrollingLines):
    """Shows all lines of a function of its width. Only changed lines are sent."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["list"])

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._write: Write = _nothing
        self._lines: Sequence[Line] = ()

    def write(self, function: Write) -> None:
        """Replaces the function. The scroll position stays."""
        self._write = function
        if self.size.width:
            self._lay_out()
            self.draw_changes()

    def on_resize(self) -> None:
        self._lay_out()
        self.draw_changes()

    def _lay_out(self) -> None:
        self._lines = self._write(max(0, self.size.width - SCROLLBAR))
        size = Size(self.size.width, len(self._lines))
        if size != self.virtual_size:
            self.virtual_size = size

    def action_move(self, step: int) -> None:
        (self.action_scroll_down if step > 0 else self.action_scroll_up)()

    def action_page(self, step: int) -> None:
        (self.action_page_down if step > 0 else self.action_page_up)()

    def action_edge(self, step: int) -> None:
        (self.action_scroll_end if step > 0 else self.action_scroll_home)()

    def build_strips(self) -> list[Strip]:
        columns, height = self.size.width - SCROLLBAR, self.size.height
        if columns < 1 or height < 1:
            return []
        palette, base_style = get_palette(self.app), self.rich_style
        top = self.scroll_offset.y
        seen = [*self._lines[top : top + height]]
        seen += [()] * (height - len(seen))
        strips = (strip_of(line, columns, palette) for line in seen)
        return [self.decorate(strip, top + y).apply_style(base_style) for y, strip in enumerate(strips)]

    def decorate(self, strip: Strip, _number: int) -> Strip:
        """The strip of one line, by its number in the text, before the background is applied."""
        return strip


def _nothing(_columns: int) -> Sequence[Line]:
    return ()
