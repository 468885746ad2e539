"""Guards of actions that change something: reasons not to run them although they are available."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError
from previewops.tui.commands.commands import NotConnected
from previewops.tui.keymap import parse_action_name
from previewops.tui.viewmodel.empty_states import ACTING_COLUMNS, ACTING_ROWS, is_too_small_to_act

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


class TerminalTooSmall(PreviewopsError):
    """The terminal is too small to change the queue."""

    code = "terminal-too-small"

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(
            f"terminal size: found {columns}x{rows}, allowed from {ACTING_COLUMNS}x{ACTING_ROWS} on",
            hint="enlarge the terminal window",
        )


def check_action_guards(app: OperatorApp, action: str) -> PreviewopsError | None:
    """The reason why an available action must not run now; None when it may run or does not exist."""
    front, name = app.front_screen, parse_action_name(action)
    if (
        front is None
        or front is not app.screen
        or name not in app.mutating_actions()
        or not app.is_allowed(front, name)
    ):
        return None
    if app.display_state.live.connection_loss is not None:
        return NotConnected()
    return TerminalTooSmall(*app.size) if is_too_small_to_act(*app.size) else None
