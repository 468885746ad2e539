"""A list of blocks of lines, with a cursor that follows its block while the text changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from textual.events import Click
from textual.message import Message
from textual.strip import Strip

from previewops.tui.viewmodel.spans import Line
from previewops.tui.widgets.line_rendering import highlight
from previewops.tui.widgets.scroll_text import ScrollText

Block: TypeAlias = tuple[str, Sequence[Line]]
"""The key of a block, "" for text that the cursor skips, and its lines."""


@dataclass(frozen=True, slots=True)
class _Extent:
    """The lines of one block: from ``start`` to before ``end``."""

    key: str
    start: int
    end: int


class BlockList(ScrollText):
    """Blocks of lines below each other. ``cursor_key`` is the key of the block at the cursor, "" if there is none."""

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another block; ``key`` is "" if there is none."""

        block_list: BlockList
        key: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor_key = ""
        self._cursor_index = 0
        self._extents: tuple[_Extent, ...] = ()

    def show(self, format_blocks: Callable[[int], Sequence[Block]]) -> None:
        """Replaces the blocks by those of a function of the width."""
        self.write(lambda columns: self._stack(format_blocks(columns)))

    def _stack(self, blocks: Sequence[Block]) -> list[Line]:
        lines: list[Line] = []
        extents: list[_Extent] = []
        for key, block in blocks:
            if key:
                extents.append(_Extent(key, len(lines), len(lines) + len(block)))
            lines += block
        self._extents = tuple(extents)
        self._put_cursor(self._find_cursor())
        return lines

    def _find_cursor(self) -> int:
        """The place of the cursor's block, which may have moved; its old place if it is gone."""
        place = self._cursor_index
        if place < len(self._extents) and self._extents[place].key == self.cursor_key:
            return place
        same = (index for index, extent in enumerate(self._extents) if extent.key == self.cursor_key)
        return next(same, place)

    def _put_cursor(self, place: int) -> None:
        self._cursor_index = min(max(0, place), max(0, len(self._extents) - 1))
        key = self._extents[self._cursor_index].key if self._extents else ""
        if key != self.cursor_key:
            self.cursor_key = key
            self.post_message(self.CursorMoved(self, key))

    def _go_to(self, place: int) -> None:
        """Moves the cursor, and scrolls until its block is visible, from its first line on."""
        if not self._extents:
            return
        self._put_cursor(place)
        extent, height, top = self._extents[self._cursor_index], self.size.height, self.scroll_offset.y
        if extent.start < top or extent.end - extent.start > height:
            top = extent.start
        elif extent.end > top + height:
            top = extent.end - height
        self.scroll_to(y=top, animate=False, force=True)
        self.draw_changes()

    # -- keys and mouse ---------------------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        if not self._extents:
            return
        extent, height, top = self._extents[self._cursor_index], self.size.height, self.scroll_offset.y
        hidden = extent.start < top if step < 0 else top <= extent.start and extent.end > top + height
        if extent.end - extent.start > height and (hidden or (step > 0 and top < extent.end - height)):
            self.scroll_to(y=top + step, animate=False, force=True)  # a block that is higher than the widget
        else:
            self._go_to(self._cursor_index + step)

    def action_page(self, step: int) -> None:
        if not self._extents:
            return
        line = self._extents[self._cursor_index].start + step * max(1, self.size.height - 1)
        starts = [extent.start for extent in self._extents]
        self._go_to(max((place for place, start in enumerate(starts) if start <= line), default=0))

    def action_edge(self, step: int) -> None:
        self._go_to(0 if step < 0 else len(self._extents) - 1)

    def on_click(self, event: Click) -> None:
        self.focus()
        line = event.y + self.scroll_offset.y
        for place, extent in enumerate(self._extents):
            if extent.start <= line < extent.end:
                self._go_to(place)

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)  # an on_focus handler would run before Textual sets has_focus
        self.draw_changes()

    # -- drawing ----------------------------------------------------------------------------------------

    def decorate(self, strip: Strip, number: int) -> Strip:
        if not self._extents:
            return strip
        extent = self._extents[self._cursor_index]
        return highlight(strip, self) if extent.start <= number < extent.end else strip
