"""The help: all keys that are available now."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.tui.keymap import GLOBAL, REPLAY, SCREENS, KeyAction, is_app_action
from previewops.tui.viewmodel.spans import Line, Span, Tone, pad
from previewops.tui.viewmodel.wrap import hang

_KEY_COLUMNS = 10
_NAVIGATION = (
    KeyAction("", "j k ↑ ↓", "", "Move; g and G go to the first and the last row."),
    KeyAction("", "enter", "", "Open the row at the cursor."),
    KeyAction("", "tab", "", "Go to the next panel."),
)
_SHOW_SCREEN = KeyAction("", "1 … 7", "", f"Go to {', '.join(title for _, title in SCREENS)}.")


def format_help_lines(mode: str, key_actions: Sequence[KeyAction], columns: int) -> Sequence[Line]:
    """The keys of the screen, of the replay and of all screens."""
    own = [action for action in key_actions if not is_app_action(action)]
    replay = [action for action in key_actions if action in REPLAY]
    common = [action for action in key_actions if action in GLOBAL and not action.action.startswith("show(")]
    sections: tuple[tuple[str, Sequence[KeyAction]], ...] = (
        (f"On {dict(SCREENS)[mode]}", (*own, *_NAVIGATION)),
        ("Replay", replay),
        ("Everywhere", (_SHOW_SCREEN, *common)),
    )
    lines: list[Line] = []
    for heading, actions in sections:
        if actions:
            lines += [(), (Span(heading, Tone.STRONG),)]
        for action in actions:
            lines += _entry(action, columns)
    return [*lines, (), (Span("▲ changes the queue or the fleet", Tone.DIM),), ()]


def _entry(action: KeyAction, columns: int) -> list[Line]:
    mark = Span("▲ " if action.mutates else "  ", Tone.WARN)
    head = (*pad((Span(action.key_label, Tone.INFO),), _KEY_COLUMNS), mark)
    return hang(head, (Span(action.help),), columns)
