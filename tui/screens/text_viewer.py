"""A dialog with a text to read: an attempt with its traceback, a worker's log, or a list of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS, key_of
from previewops.tui.screens.modal import Modal
from previewops.tui.viewmodel.spans import Line
from previewops.tui.viewmodel.wrap import wrap_lines
from previewops.tui.widgets.panel import framed
from previewops.tui.widgets.scroll_text import ScrollText


class TextViewer(Modal[None]):
    """Shows a text that can be scrolled."""

    CSS_PATH = "text_viewer.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["viewer"])

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__()
        self._title = title
        self._lines = tuple(lines)

    def compose(self) -> ComposeResult:
        with Container(id="box") as box:
            box.border_title = framed(self._title)
            box.border_subtitle = f"{key_of('leave', 'viewer')} closes"
            yield ScrollText(id="lines")

    def on_mount(self) -> None:
        text_view = self.query_one("#lines", ScrollText)
        text_view.write(lambda columns: wrap_lines(self._lines, columns))
        text_view.focus()
