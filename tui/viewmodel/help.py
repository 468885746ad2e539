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


def help_lines(mode: str, key_actions: Sequence[KeyAction], columns: int) -> Sequence[Line]:
    """The keys of the screen, of the replay and of all screens."""
    title = dict(SCREENS)[mode]
    own = [
        (key_action.key_label, key_action.help, key_action.mutates)
        for key_action in key_actions
        if not is_app_action(key_action)
    ]
    replaying = [
        (key_action.key_label, key_action.help) for key_action in key_actions if key_action in REPLAY
    ]
    common = [
        (key_action.key_label, key_action.help, key_action.mutates)
        for key_action in key_actions
        if is_app_action(key_action) and key_action not in REPLAY and not _number(key_action)
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


def _number(key_action: KeyAction) -> bool:
    return key_action.action.startswith("show(")


def _entry(shown: str, words: str, dangerous: bool, columns: int) -> list[Line]:
    mark = Span("▲ " if dangerous else "  ", Tone.WARN)
    rows = wrap((Span(words),), columns - _KEY - 2)
    first = (*pad((Span(shown, Tone.INFO),), _KEY), mark, *rows[0])
    return [first, *((Span(" " * (_KEY + 2)), *row) for row in rows[1:])]
