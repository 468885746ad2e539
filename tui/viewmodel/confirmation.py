"""How a command is confirmed, depending on the number of jobs it affects."""

from __future__ import annotations

from enum import Enum, auto

TYPED_WORD_FROM = 100
"""From this number of jobs on, the command's name must be typed."""


class ConfirmationLevel(Enum):
    """The confirmation that a command requires."""

    NONE = auto()
    DIALOG = auto()  # a dialog with Cancel focused
    WORD = auto()  # a dialog in which the command's name must be typed


def confirmation_level(count: int, *, reversible: bool) -> ConfirmationLevel:
    """The confirmation of a command on ``count`` jobs. An irreversible one always requires a dialog."""
    if count >= TYPED_WORD_FROM:
        return ConfirmationLevel.WORD
    return ConfirmationLevel.NONE if count == 1 and reversible else ConfirmationLevel.DIALOG
