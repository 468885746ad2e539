"""How hard a dangerous act is to do by mistake: as hard as it is wide."""

from __future__ import annotations

from enum import Enum, auto

WORD_FROM = 100
"""From so many jobs on, a word has to be typed."""


class Caution(Enum):
    """What stands between an act and its being done."""

    NONE = auto()
    DIALOG = auto()  # a dialog with Cancel focused
    WORD = auto()  # a dialog in which the act's name has to be typed


def caution(count: int, *, reversible: bool) -> Caution:
    """What an act on ``count`` jobs asks for. One that cannot be taken back is never done unasked."""
    if count >= WORD_FROM:
        return Caution.WORD
    return Caution.NONE if count == 1 and reversible else Caution.DIALOG
