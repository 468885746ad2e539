"""Base class of the screens: bars, key bindings, replay and read-only behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.screen import Screen

from previewops.tui.keymap import KeyAction, action_name
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.bars import (
    format_clock_line,
    format_key_line,
    format_running_command_line,
    format_tab_line,
    format_title_line,
)
from previewops.tui.viewmodel.empty_states import (
    ACTING_COLUMNS,
    ACTING_ROWS,
    format_not_in_replay_lines,
    format_too_small_lines,
    is_too_small,
    is_too_small_to_act,
)
from previewops.tui.viewmodel.spans import width_of
from previewops.tui.widgets.diffed_lines import DiffedLines
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


class OperatorScreen(Screen[None]):
    """One of the seven screens. Subclasses set ``MODE`` and ``KEY_ACTIONS``, and implement ``compose_body`` and
    ``draw_view``."""

    MODE: ClassVar[str] = ""
    KEY_ACTIONS: ClassVar[tuple[KeyAction, ...]] = ()
    ALLOW_IN_MAXIMIZED_VIEW = "#bar, #too-small, #doing, #keys"
    """Widgets that stay visible while a panel is maximized: status, age and keys."""
    WIDE_COLUMNS: ClassVar[int] = 0
    """From this width on the panels are side by side. 0 if the screen decides itself."""
    AVAILABLE_IN_REPLAY: ClassVar[bool] = True
    """Whether recordings contain the screen's data. Otherwise a replay shows a note in its place."""

    def __init__(self) -> None:
        super().__init__()
        self._composed = False
        self._clock_columns = 0

    @property
    def composed(self) -> bool:
        """Whether all widgets exist. A view may arrive before that, and while the app exits."""
        return self._composed and self.app.is_running and not self.operator_app.exiting

    @property
    def operator_app(self) -> OperatorApp:
        """The app with its own type."""
        return cast("OperatorApp", self.app)

    def compose(self) -> ComposeResult:
        with Horizontal(id="bar"):
            # Two widgets: when the last cells of one change, all cells before them are sent as well.
            yield DiffedLines(id="title")
            yield DiffedLines(id="clock")
        yield DiffedLines(id="tabs")
        with Container(id="body"):
            yield from self.compose_body()
        yield DiffedLines(id="unrecorded")
        yield DiffedLines(id="too-small")
        yield DiffedLines(id="doing")
        yield DiffedLines(id="keys")

    def compose_body(self) -> ComposeResult:
        """The widgets between the bars."""
        raise NotImplementedError

    def draw_view(self, view: QueueView) -> None:
        raise NotImplementedError

    @property
    def unavailable_in_replay(self) -> bool:
        """Whether a recording without this screen's data is replayed."""
        return not self.AVAILABLE_IN_REPLAY and self.operator_app.view.replay is not None

    def back(self) -> bool:
        """Undoes the latest restriction (a filter, an open group); returns False if there is none."""
        return False

    def show_view(self, view: QueueView) -> None:
        """Draws the bars and the body."""
        if not self.composed:
            return
        self.query_one("#title", DiffedLines).draw(lambda columns, _: [format_title_line(view, columns)])
        self._draw_clock(view)
        self.query_one("#tabs", DiffedLines).draw(
            lambda columns, _: [format_tab_line(view, self.MODE, columns)]
        )
        running_command = self.query_one("#doing", DiffedLines)
        running_command.display = bool(view.running_command)
        running_command.draw(lambda columns, _: [format_running_command_line(view, columns)])
        if not self.unavailable_in_replay:
            self.draw_view(view)

    def _draw_clock(self, view: QueueView) -> None:
        clock = self.query_one("#clock", DiffedLines)
        line = format_clock_line(view)
        if self._clock_columns != width_of(line):
            self._clock_columns = width_of(line)
            clock.styles.width = self._clock_columns
        clock.draw(lambda _columns, _rows: [line])

    def on_mount(self) -> None:
        self._composed = True
        self.set_class(self.unavailable_in_replay, "-unrecorded")
        self.query_one("#unrecorded", DiffedLines).draw(format_not_in_replay_lines)
        self.show_view(self.operator_app.view)
        self.query_one("#too-small", DiffedLines).draw(format_too_small_lines)
        self.draw_keys()
        self._choose_columns()

    def _choose_columns(self) -> None:
        chosen = self.operator_app.options.columns
        for grid in self.query(Grid) if chosen else ():
            grid.choose_columns(chosen.get(grid.list_name, ()))

    @property
    def filter_line(self) -> FilterLine | None:
        """The filter line of the visible list, if the screen has one."""
        return next((line for line in self.query(FilterLine) if line.is_among_shown), None)

    def on_screen_resume(self) -> None:
        self.show_view(self.operator_app.view)
        self.draw_keys()

    def on_resize(self) -> None:
        size = self.app.size
        self.set_class(is_too_small(*size), "-too-small")
        self.set_class(size.width < ACTING_COLUMNS, "-narrow")
        self.set_class(size.height < ACTING_ROWS, "-short")
        if self.WIDE_COLUMNS:
            self.set_class(size.width >= self.WIDE_COLUMNS, "-wide")
        self.draw_keys()

    def draw_keys(self) -> None:
        """Draws the available keys in the last line."""
        if not self.composed:
            return
        key_actions = self.available_actions()
        too_small = is_too_small_to_act(*self.app.size) and not self.operator_app.view.read_only
        self.query_one("#keys", DiffedLines).draw(
            lambda columns, _: [format_key_line(key_actions, columns, too_small=too_small)]
        )

    def available_actions(self) -> tuple[KeyAction, ...]:
        """The key actions available now, the screen's own before the global ones."""
        operator = self.operator_app
        key_actions = (*operator.LEADING_ACTIONS, *self.KEY_ACTIONS, *operator.TRAILING_ACTIONS)
        # A dialog or a list that nobody sees must not act: check_action_guards rejects these keys as well.
        small = is_too_small_to_act(*operator.size)
        return tuple(
            key
            for key in key_actions
            if operator.is_allowed(self, action_name(key)) and not (small and key.mutates)
        )

    def all_actions(self) -> tuple[KeyAction, ...]:
        """All key actions of the screen, also those that do not apply to the row at the cursor."""
        operator = self.operator_app
        key_actions = (*operator.LEADING_ACTIONS, *self.KEY_ACTIONS, *operator.TRAILING_ACTIONS)
        return tuple(key for key in key_actions if not operator.is_forbidden(action_name(key)))

    def maximize_next_panel(self) -> None:
        """Maximizes the focused panel, or restores it. Without a focus each panel in turn, then all of them again."""
        panels = [panel for panel in self.query(Panel) if panel.display and panel.is_among_shown]
        shown = self.maximized
        if shown is not None and (shown.has_focus_within or shown not in panels[:-1]):
            self.minimize()
            return
        focused = next((panel for panel in panels if panel.has_focus_within), None)
        if shown is not None:
            focused = panels[panels.index(shown) + 1]
            self.minimize()
        if panels:
            self.maximize(focused or panels[0], container=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.operator_app.is_forbidden(action):
            return False
        return False if not self.can_use_filters(action) else super().check_action(action, parameters)

    def can_use_filters(self, action: str) -> bool:
        """Whether the screen has a list for an action on saved filters, and an active filter to save."""
        if action not in ("choose_filter", "save_filter"):
            return True
        line = self.filter_line if self.composed and not self.unavailable_in_replay else None
        return line is not None and (action == "choose_filter" or (bool(line.text) and not line.has_error))

    async def show_dialog(self, dialog: Screen[Any]) -> Any:
        """Opens a dialog and returns its result. Call it from a worker."""
        return await self.operator_app.show_dialog(dialog)
