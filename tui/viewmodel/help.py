"""The help: all keys that are available now."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.tui.keymap import REPLAY, SCREENS, KeyAction, is_app_action
from previewops.tui.viewmodel.spans import Line, Span, Tone, pad
from previewops.tui.viewmodel.wrap import wrap

_KEY = 10
_MOVING = (
    ("j k ↑ ↓", "Move; g and G go to the first and the last row."),
    ("enter", "Open the row at the cursor."),
    ("tab", "Go to the next panel."),
)


def help_lines(mode: str, deeds: Sequence[KeyAction], columns: int) -> Sequence[Line]:
    """The keys of the screen, of the replay and of all screens."""
    title = dict(SCREENS)[mode]
    own = [(deed.key_label, deed.help, deed.mutates) for deed in deeds if not is_app_action(deed)]
    replaying = [(deed.key_label, deed.help) for deed in deeds if deed in REPLAY]
    common = [
        (deed.key_label, deed.help, deed.mutates)
        for deed in deeds
        if is_app_action(deed) and deed not in REPLAY and not _number(deed)
    ]
    lines: list[Line] = [(), (Span(f"On {title}", Tone.STRONG),)]
    for shown, words, dangerous in (*own, *((key, text, False) for key, text in _MOVING)):
        lines += _entry(shown, words, dangerous, columns)
    if replaying:
        lines += [(), (Span("Replay", Tone.STRONG),)]
    for shown, words in replaying:
        lines += _entry(shown, words, False, columns)
    lines += [(), (Span("Everywhere", Tone.STRONG),)]
    lines += _entry("1 … 7", "Go to " + ", ".join(name for _, name in SCREENS) + ".", False, columns)
    for shown, words, dangerous in common:
        lines += _entry(shown, words, dangerous, columns)
    return [*lines, (), (Span("▲ changes the queue or the fleet", Tone.DIM),), ()]


def _number(deed: KeyAction) -> bool:
    return deed.action.startswith("show(")


def _entry(shown: str, words: str, dangerous: bool, columns: int) -> list[Line]:
    mark = Span("▲ " if dangerous else "  ", Tone.WARN)
    rows = wrap((Span(words),), columns - _KEY - 2)
    first = (*pad((Span(shown, Tone.INFO),), _KEY), mark, *rows[0])
    return [first, *((Span(" " * (_KEY + 2)), *row) for row in rows[1:])]
