"""A line to type a filter into, as it is wanted below a list."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Label

from previewops.queue.filter_query import FilterQuery, UnknownFilterFields, parse_filter

PAUSE_S = 0.15
"""A filter is applied when nothing was typed for so long."""

MOST_CHARACTERS = 500

EXAMPLE = 'timeout project:lessons !priority:low "two words"'
"""What stands in an empty line."""


class FilterLine(Vertical):
    """Opens at the bottom of a list. What is typed is posted as ``Typed`` after a short pause; enter keeps it.

    A kept one stays in sight as long as it is in force, and does not look as if it waited for letters. Words with
    fields that there are not are refused, below the line: they stay as they were typed, the others are in force, and
    enter does not keep them.
    """

    DEFAULT_CSS = """
    FilterLine { height: auto; width: 1fr; display: none; background: $surface; }
    FilterLine.-open { display: block; }
    FilterLine Horizontal { height: 1; width: 1fr; }
    FilterLine Label { width: auto; color: $dim; background: $surface; }
    FilterLine Input { width: 1fr; background: $surface; color: $warning; }
    FilterLine .-kept { color: $warning; }
    FilterLine .-typing, FilterLine:focus-within .-kept { display: none; }
    FilterLine:focus-within .-typing { display: block; }
    FilterLine:focus-within Input { color: $foreground; }
    FilterLine .-refusal { display: none; width: 1fr; max-height: 3; color: $warning; }
    FilterLine.-refused .-refusal { display: block; }
    FilterLine.-refused .-kept { display: none; }
    """

    @dataclass
    class Changed(Message):
        """The filter is to be this from now on."""

        terms: FilterQuery

    @dataclass
    class Submitted(Message):
        """Enter: the keys belong to the list again."""

    def __init__(self, example: str = EXAMPLE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._example = example
        self._pause: Timer | None = None
        self._applied = ""
        self._terms = FilterQuery()

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label("filter: ", classes="-typing")
            yield Label("kept filter: ", classes="-kept")
            yield Input(
                id="filter-text",
                compact=True,
                select_on_focus=False,
                max_length=MOST_CHARACTERS,
                placeholder=self._example,
            )
            yield Label("enter keeps it, esc clears it", classes="-typing")
            yield Label("/ changes it, ! turns it, esc clears it", classes="-kept")
        yield Label(classes="-refusal")

    @property
    def text(self) -> str:
        """What stands in the line."""
        return self._input.value

    @property
    def terms(self) -> FilterQuery:
        """The filter in force: what was posted last."""
        return self._terms

    @property
    def has_error(self) -> bool:
        """Whether words in the line are not in force, as they are narrowed to fields that there are not."""
        return self.has_class("-refused")

    @property
    def is_open(self) -> bool:
        """Whether the line is in sight."""
        return self.has_class("-open")

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    def open(self, *, inverted: bool) -> None:
        """Shows the line and takes the keys.

        ``inverted`` turns a filter that is there round, at once and without the keys; else it begins one with ``!``.
        """
        self.add_class("-open")
        if inverted:
            text = self.text
            self._input.value = text[2:] if text.startswith("! ") else f"! {text}"
            if self._says_something:
                self._apply()
                return
        self._input.cursor_position = len(self.text)
        self.screen.set_focus(self._input)  # at once: what is typed next is meant for the line

    def clear(self) -> None:
        """Empties the line and takes it out of sight."""
        self._input.value = ""
        self.remove_class("-open")
        self._apply()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._stop()
        if self.text != self._applied:
            self._pause = self.set_timer(PAUSE_S, self._apply)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._apply()
        if self.has_error:
            return
        if not self._says_something:
            self.clear()
        self.post_message(self.Submitted())

    @property
    def _says_something(self) -> bool:
        return bool(self.text.strip(" !"))

    def _apply(self) -> None:
        self._stop()
        if self.text == self._applied:
            return
        self._applied = self.text
        try:
            terms = parse_filter(self.text)
        except UnknownFilterFields as error:
            terms = error.known_part
            words = Content(f"▲ {error.message}; {error.hint}")
            self.query_one(".-refusal", Label).update(words)
            self.add_class("-refused")
        else:
            self.remove_class("-refused")
        if terms != self._terms:
            self._terms = terms
            self.post_message(self.Changed(terms))

    def _stop(self) -> None:
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
