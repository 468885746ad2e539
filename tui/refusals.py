"""Keys that change something, at moments when nobody could see what they would hit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError
from previewops.tui.deeds import name_of
from previewops.tui.intents import NobodyAnswers
from previewops.tui.shape.instead import SMALLEST_COLUMNS, SMALLEST_ROWS, too_small

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


class TooSmall(PreviewopsError):
    """The terminal has ``columns`` and ``rows``, which show no picture."""

    code = "terminal-too-small"

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(
            f"on {columns} columns and {rows} rows nobody sees what it would be done to",
            hint=f"make the terminal {SMALLEST_COLUMNS} columns and {SMALLEST_ROWS} rows large first",
        )
        self.columns = columns
        self.rows = rows


def refusal(app: OperatorApp, action: str) -> PreviewopsError | None:
    """Why an action that could be done must not be done now; None when it may be, or when there is no such key."""
    front, name = app.front, name_of(action)
    if front is None or front is not app.screen or name not in app.dangerous() or not app.allows(front, name):
        return None
    if app.sight.live.lost is not None:
        return NobodyAnswers()
    return TooSmall(*app.size) if too_small(*app.size) else None
