"""A dialog with a list of options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.events import Key
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS
from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.viewmodel.spans import Line
from previewops.tui.widgets.choice_list import ChoiceList


@dataclass(frozen=True, slots=True)
class ChoiceOption:
    """One option: ``name`` is the answer and its first letter is the key."""

    name: str
    description: str


class ChoiceDialog(Dialog[str]):
    """Asks for one of the options, by arrow keys and enter, first letter, or mouse."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["choice"])

    def __init__(
        self, title: str, lines: Sequence[Line], choices: Sequence[ChoiceOption], *, verb: str, initial: str
    ) -> None:
        super().__init__(title, lines, verb=verb)
        self._choices = tuple(choices)
        self._initial = initial

    def compose_fields(self) -> ComposeResult:
        width = max(len(choice.name) for choice in self._choices)
        texts = {
            choice.name: Content(f"{choice.name:<{width}}  {choice.description}") for choice in self._choices
        }
        options = (Option(text, id=name) for name, text in texts.items())
        yield ChoiceList(*options, id="choices", compact=True)

    def on_mount(self) -> None:
        option_list = self.query_one(OptionList)
        option_list.highlighted = [choice.name for choice in self._choices].index(self._initial)
        option_list.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def on_key(self, event: Key) -> None:
        choice = next((choice for choice in self._choices if choice.name[0] == event.character), None)
        if choice is not None:
            event.stop()
            self.dismiss(choice.name)

    def action_focused_list(self, direction: str) -> None:
        option_list = self.query_one(OptionList)
        (option_list.action_cursor_down if direction == "down" else option_list.action_cursor_up)()

    def submit(self) -> None:
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None:
            self.dismiss(self._choices[highlighted].name)
