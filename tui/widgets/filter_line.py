"""A filter input below a list."""

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
"""Delay in seconds after the last keystroke before a filter is applied."""

MOST_CHARACTERS = 500

EXAMPLE = 'timeout project:lessons !priority:low "two words"'
"""Placeholder of an empty input."""


class FilterLine(Vertical):
    """Opens below a list. Typed text is posted as ``Changed`` after a short delay; enter closes the input.

    The filter stays visible while it is active, and looks different from an input. Terms with unknown fields are
    listed below the line: they stay in the text but are not applied, and enter does not close the input.
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
    FilterLine .-rejection { display: none; width: 1fr; max-height: 3; color: $warning; }
    FilterLine.-rejected .-rejection { display: block; }
    FilterLine.-rejected .-kept { display: none; }
    """

    @dataclass
    class Changed(Message):
        """The filter has changed."""

        terms: FilterQuery

    @dataclass
    class Submitted(Message):
        """Enter was pressed: the list gets the focus."""

    def __init__(self, example: str = EXAMPLE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._example = example
        self._pause: Timer | None = None
        self._applied = ""
        self._terms = FilterQuery()

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label("filter: ", classes="-typing")
            yield Label("active filter: ", classes="-kept")
            line = Input(id="filter-text", compact=True, select_on_focus=False, max_length=MOST_CHARACTERS)
            line.placeholder = self._example
            yield line
            yield Label("enter keeps it, esc clears it", classes="-typing")
            yield Label("/ edits it, ! negates it, esc clears it", classes="-kept")
        yield Label(classes="-rejection")

    @property
    def text(self) -> str:
        return self._input.value

    @property
    def terms(self) -> FilterQuery:
        return self._terms

    @property
    def has_error(self) -> bool:
        """Whether the text contains unknown fields, which are not applied."""
        return self.has_class("-rejected")

    @property
    def is_open(self) -> bool:
        return self.has_class("-open")

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    def open(self, *, inverted: bool) -> None:
        """Shows and focuses the line.

        ``inverted`` negates an existing filter at once without the focus; otherwise the new filter starts with ``!``.
        """
        self.add_class("-open")
        if inverted:
            text = self.text
            self._input.value = text[2:] if text.startswith("! ") else f"! {text}"
            if self._has_text:
                self._apply()
                return
        self._input.cursor_position = len(self.text)
        self.screen.set_focus(self._input)  # at once: the next keys belong to the line

    def clear(self) -> None:
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
        if not self._has_text:
            self.clear()
        self.post_message(self.Submitted())

    @property
    def _has_text(self) -> bool:
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
            message = Content(f"▲ {error.message}; {error.hint}")
            self.query_one(".-rejection", Label).update(message)
            self.add_class("-rejected")
        else:
            self.remove_class("-rejected")
        if terms != self._terms:
            self._terms = terms
            self.post_message(self.Changed(terms))

    def _stop(self) -> None:
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
