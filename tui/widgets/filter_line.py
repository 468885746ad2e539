"""A filter input below a list."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Label

from previewops.queue.filter_query import FilterQuery, UnknownFilterFields, parse_filter
from previewops.tui.keymap import KEEP_FILTER, key_of
from previewops.tui.viewmodel.filter_text import MAX_FILTER_CHARACTERS, kept_filter_lines
from previewops.tui.widgets.diffed_lines import DiffedLines

PAUSE_S = 0.15
"""Delay in seconds after the last keystroke before a filter is applied."""

_TYPING_LABEL = "filter: "


def _typing_hint() -> str:
    return f"{KEEP_FILTER.key_word} keeps it, {key_of('back')} clears it"


EXAMPLE = 'timeout project:lessons !priority:low "two words"'
"""Placeholder of an empty input."""


class FilterLine(Vertical):
    """Opens below a list. Typed text is posted as ``Changed`` after a short delay; enter closes the input.

    An active filter is shown whole, over several rows if needed: operators read it before an action on all jobs that
    match. The keys beside it give way. Terms with unknown fields are listed below the line: they stay in the text but
    are not applied, and enter does not close the input.
    """

    DEFAULT_CSS = """
    FilterLine { height: auto; width: 1fr; display: none; background: $surface; }
    FilterLine.-open { display: block; }
    FilterLine Horizontal { height: 1; width: 1fr; display: none; }
    FilterLine.-typing Horizontal { display: block; }
    FilterLine Label { width: auto; color: $dim; background: $surface; }
    FilterLine Input { width: 1fr; background: $surface; color: $foreground; }
    FilterLine .-kept { height: auto; width: 1fr; background: $surface; }
    FilterLine.-typing .-kept, FilterLine.-crowded .-keys { display: none; }
    FilterLine .-rejection { display: none; width: 1fr; max-height: 3; color: $warning; }
    FilterLine.-rejected .-rejection { display: block; }
    """

    @dataclass
    class Changed(Message):
        """The filter has changed."""

        terms: FilterQuery

    @dataclass
    class Submitted(Message):
        """Enter was pressed: the list gets the focus."""

    def __init__(self, mode: str, example: str = EXAMPLE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._mode = mode
        self._example = example
        self._pause: Timer | None = None
        self._applied = ""
        self._terms = FilterQuery()

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label(_TYPING_LABEL)
            line = Input(
                id="filter-text", compact=True, select_on_focus=False, max_length=MAX_FILTER_CHARACTERS
            )
            line.placeholder = self._example
            yield line
            yield Label(_typing_hint(), classes="-keys")
        yield DiffedLines(classes="-kept", fit_height=True)
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
    def is_among_shown(self) -> bool:
        """Whether its list is visible: no container around it is hidden."""
        return all(node.display for node in self.ancestors if isinstance(node, Widget))

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
            if self._has_text and not self.has_class("-typing"):
                self._apply()
                self._draw_kept()
                return
        self.add_class("-typing")
        self._input.cursor_position = len(self.text)
        self.screen.set_focus(self._input)  # at once: the next keys belong to the line

    def clear(self) -> None:
        self._input.value = ""
        self.remove_class("-open", "-typing")
        self._apply()

    def keep(self, text: str) -> None:
        """Makes a text the active filter, as if it were typed and kept."""
        self._input.value = text
        self.add_class("-open")
        self._apply()
        self._draw_kept()
        self.post_message(self.Submitted())

    def on_descendant_blur(self) -> None:
        if not self.has_error:
            self.remove_class("-typing")
        self._draw_kept()

    def on_click(self) -> None:
        if self.is_open:
            self.open(inverted=False)

    def on_resize(self) -> None:
        self._make_room()

    def _make_room(self) -> None:
        """Hides the keys beside the input when text and keys do not fit."""
        needed = cell_len(_TYPING_LABEL) + cell_len(self.text) + 1 + cell_len(_typing_hint())
        self.set_class(needed > self.size.width, "-crowded")

    def _draw_kept(self) -> None:
        text, mode = self.text, self._mode
        self.query_one(".-kept", DiffedLines).draw(lambda columns, _: kept_filter_lines(text, mode, columns))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._stop()
        self._make_room()
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
