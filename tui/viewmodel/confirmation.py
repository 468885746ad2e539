"""How hard a dangerous act is to do by mistake: as hard as it is wide."""

from __future__ import annotations

from enum import Enum, auto

TYPED_WORD_FROM = 100
"""From so many jobs on, a word has to be typed."""


class ConfirmationLevel(Enum):
    """What stands between an act and its being done."""

    NONE = auto()
    DIALOG = auto()  # a dialog with Cancel focused
    WORD = auto()  # a dialog in which the act's name has to be typed


def confirmation_level(count: int, *, reversible: bool) -> ConfirmationLevel:
    """What an act on ``count`` jobs asks for. One that cannot be taken back is never done unasked."""
    if count >= TYPED_WORD_FROM:
        return ConfirmationLevel.WORD
    return ConfirmationLevel.NONE if count == 1 and reversible else ConfirmationLevel.DIALOG
