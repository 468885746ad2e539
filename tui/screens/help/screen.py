"""The keys of one screen with descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from previewops.tui.keymap import KeyAction
from previewops.tui.screens.modal import Modal
from previewops.tui.viewmodel.help import format_help_lines
from previewops.tui.widgets.diffed_lines import DiffedLines


class HelpScreen(Modal[None]):
    """Lists the available keys."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "leave", show=False)]

    def __init__(self, mode: str, key_actions: Sequence[KeyAction]) -> None:
        super().__init__()
        self._mode = mode
        self._key_actions = tuple(key_actions)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            yield DiffedLines(id="lines", fit_height=True)

    def on_mount(self) -> None:
        self.query_one("#lines", DiffedLines).draw(
            lambda columns, _: format_help_lines(self._mode, self._key_actions, columns)
        )
