"""A dialog with a long list to pick one entry from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from previewops.formatting import clean
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS
from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.viewmodel.spans import Line
from previewops.tui.widgets.choice_list import ChoiceList

MAX_NAME_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class PickOption:
    """An entry: ``name`` and ``description`` are shown and may be untrusted."""

    name: str
    description: str = ""
    removable: bool = False


@dataclass(frozen=True, slots=True)
class Picked:
    """The answer: the place of the entry, and whether it is to be removed from the list."""

    place: int
    remove: bool = False


class PickDialog(Dialog[Picked]):
    """Asks for one of many entries, by arrow keys, j and k, and enter. Entries that are removable can be removed."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["pick"])

    def __init__(
        self, title: str, lines: Sequence[Line], options: Sequence[PickOption], *, verb: str, initial: int = 0
    ) -> None:
        super().__init__(title, lines, verb=verb)
        self._options = tuple(options)
        self._initial = initial

    def compose_fields(self) -> ComposeResult:
        names = [clean(option.name)[:MAX_NAME_COLUMNS] for option in self._options]
        width = max(map(len, names), default=0)
        yield ChoiceList(
            *(
                Option(Content(f"{name:<{width}}  {clean(option.description)}"), id=str(place))
                for place, (name, option) in enumerate(zip(names, self._options, strict=True))
            ),
            id="choices",
            classes="-long",
            compact=True,
        )

    def on_mount(self) -> None:
        super().on_mount()
        choices = self.query_one(OptionList)
        choices.highlighted = self._initial
        choices.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(Picked(event.option_index))

    def on_option_list_option_highlighted(self, _event: OptionList.OptionHighlighted) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "remove":
            place = self._place
            return place is not None and self._options[place].removable
        return super().check_action(action, parameters)

    @property
    def _place(self) -> int | None:
        return self.query_one(OptionList).highlighted if self.is_mounted else None

    def action_step(self, step: int) -> None:
        choices = self.query_one(OptionList)
        (choices.action_cursor_down if step > 0 else choices.action_cursor_up)()

    def action_remove(self) -> None:
        place = self._place
        if place is not None:
            self.dismiss(Picked(place, remove=True))

    def submit(self) -> None:
        place = self._place
        if place is not None:
            self.dismiss(Picked(place))
