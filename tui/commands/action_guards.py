"""Keys that change something, at moments when nobody could see what they would hit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError
from previewops.tui.commands.commands import NotConnected
from previewops.tui.keymap import parse_action_name
from previewops.tui.viewmodel.empty_states import MIN_COLUMNS, MIN_ROWS, is_too_small

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


class TerminalTooSmall(PreviewopsError):
    """The terminal has ``columns`` and ``rows``, which show no picture."""

    code = "terminal-too-small"

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(
            f"on {columns} columns and {rows} rows nobody sees what it would be done to",
            hint=f"make the terminal {MIN_COLUMNS} columns and {MIN_ROWS} rows large first",
        )
        self.columns = columns
        self.rows = rows


def check_action_guards(app: OperatorApp, action: str) -> PreviewopsError | None:
    """Why an action that could be done must not be done now; None when it may be, or when there is no such key."""
    front, name = app.front_screen, parse_action_name(action)
    if (
        front is None
        or front is not app.screen
        or name not in app.mutating_actions()
        or not app.is_allowed(front, name)
    ):
        return None
    if app.display_state.live.lost is not None:
        return NotConnected()
    return TerminalTooSmall(*app.size) if is_too_small(*app.size) else None
