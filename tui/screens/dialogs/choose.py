"""A dialog with a list of options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Key
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.viewmodel.spans import Line


@dataclass(frozen=True, slots=True)
class ChoiceOption:
    """One option: ``name`` is the answer and its first letter is the key."""

    name: str
    description: str


class ChoiceDialog(Dialog[str]):
    """Asks for one of the options, by arrow keys and enter, first letter, or mouse."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "focused_list('down')", show=False),
        Binding("k", "focused_list('up')", show=False),
    ]

    def __init__(
        self, title: str, lines: Sequence[Line], ways: Sequence[ChoiceOption], *, verb: str, initial: str
    ) -> None:
        super().__init__(title, lines, verb=verb)
        self._ways = tuple(ways)
        self._initial = initial

    def compose_fields(self) -> ComposeResult:
        width = max(len(way.name) for way in self._ways)
        texts = {way.name: Content(f"{way.name:<{width}}  {way.description}") for way in self._ways}
        options = (Option(text, id=name) for name, text in texts.items())
        yield OptionList(*options, id="ways", compact=True)

    def on_mount(self) -> None:
        ways = self.query_one(OptionList)
        ways.highlighted = [way.name for way in self._ways].index(self._initial)
        ways.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def on_key(self, event: Key) -> None:
        way = next((way for way in self._ways if way.name[0] == event.character), None)
        if way is not None:
            event.stop()
            self.dismiss(way.name)

    def action_focused_list(self, way: str) -> None:
        ways = self.query_one(OptionList)
        (ways.action_cursor_down if way == "down" else ways.action_cursor_up)()

    def submit(self) -> None:
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None:
            self.dismiss(self._ways[highlighted].name)
