"""The keys of one screen with descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from previewops.tui.key_action import KeyAction
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS, key_of
from previewops.tui.screens.modal import Modal
from previewops.tui.viewmodel.help import format_help_lines
from previewops.tui.widgets.diffed_lines import DiffedLines


class HelpScreen(Modal[None]):
    """Lists all keys of the screen; those that do nothing at the moment are dimmed."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["help"])

    def __init__(self, mode: str, key_actions: Sequence[KeyAction], available: Sequence[KeyAction]) -> None:
        super().__init__()
        self._mode = mode
        self._key_actions = tuple(key_actions)
        self._available = frozenset(available)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = "Keys"
            box.border_subtitle = f"{key_of('leave', 'help')} closes"
            yield DiffedLines(id="lines", fit_height=True)

    def on_mount(self) -> None:
        self.query_one("#lines", DiffedLines).draw(
            lambda columns, _: format_help_lines(self._mode, self._key_actions, columns, self._available)
        )
