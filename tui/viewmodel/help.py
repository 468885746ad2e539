"""The help: all keys that are available now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from previewops.tui.keymap import GLOBAL, REPLAY, SCREENS, KeyAction, find_key_action, is_app_action
from previewops.tui.viewmodel.hints import SCREEN_RANGE
from previewops.tui.viewmodel.spans import Line, Span, Tone, pad
from previewops.tui.viewmodel.wrap import hang

_KEY_COLUMNS = 10
_NAVIGATION = (
    KeyAction("", "j k ↑ ↓", "", "Move; g and G go to the first and the last row."),
    find_key_action("choose", "grid"),
    KeyAction("", "tab", "", "Go to the next panel."),
)
_SHOW_SCREEN = KeyAction("", SCREEN_RANGE, "", f"Go to {', '.join(title for _, title in SCREENS)}.")


def format_help_lines(
    mode: str,
    key_actions: Sequence[KeyAction],
    columns: int,
    available: Collection[KeyAction] | None = None,
) -> Sequence[Line]:
    """The keys of the screen, of the replay and of all screens.

    Those that are not ``available`` (None: all are) are marked.
    """
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
            now = available is None or action not in key_actions or action in available
            lines += _entry(action, columns, now)
    return [*lines, (), (Span("▲ changes the queue or the fleet", Tone.DIM),), ()]


def _entry(action: KeyAction, columns: int, available: bool) -> list[Line]:
    mark = Span("▲ " if action.mutates else "  ", Tone.WARN)
    head = (*pad((Span(action.key_label, Tone.INFO if available else Tone.DIM),), _KEY_COLUMNS), mark)
    note = () if available else (Span(" (not now)", Tone.DIM),)
    return hang(head, (Span(action.help, Tone.TEXT if available else Tone.DIM), *note), columns)
