"""Base class of the dialogs: a centred box with text and buttons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button

from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS
from previewops.tui.screens.modal import Modal
from previewops.tui.viewmodel.spans import Line
from previewops.tui.viewmodel.wrap import wrap_lines
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.panel import framed

Result = TypeVar("Result")


class Dialog(Modal[Result | None]):
    """A dialog. It is dismissed with its answer, or with None if the operator cancels."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["dialog"])

    def __init__(self, title: str, lines: Sequence[Line], *, verb: str, dangerous: bool = False) -> None:
        super().__init__()
        self._title = title
        self._lines = tuple(lines)
        self._verb = verb
        self.set_class(dangerous, "-dangerous")

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = framed(self._title)
            yield DiffedLines(id="lines", fit_height=True)
            yield from self.compose_fields()
            with Horizontal(id="buttons"):
                # Next to "Cancel jobs", a button "Cancel" would be ambiguous.
                yield Button("Go back" if self._verb.startswith("cancel") else "Cancel", id="cancel")
                yield Button(self._verb.capitalize(), id="confirm", classes="-confirm")

    def compose_fields(self) -> ComposeResult:
        """The widgets between the text and the buttons."""
        yield from ()

    def on_mount(self) -> None:
        self.set_lines(self._lines)

    def on_resize(self) -> None:
        self.remove_class("-low")
        self.call_after_refresh(self._fit_buttons)

    def _fit_buttons(self) -> None:
        """Makes the buttons one row high if the dialog does not fit otherwise: all of it must be visible."""
        if self.is_mounted and self.query_one("#box").max_scroll_y > 0:
            self.add_class("-low")

    def set_lines(self, lines: Sequence[Line]) -> None:
        self._lines = tuple(lines)
        self.query_one("#lines", DiffedLines).draw(lambda columns, _: wrap_lines(self._lines, columns))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "confirm":
            self.submit()
        else:
            self.dismiss(None)

    def submit(self) -> None:
        """Dismisses with the answer if it is valid."""
        raise NotImplementedError
