"""The help: all keys that are available now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from previewops.tui.key_names import key_label, split_keys
from previewops.tui.keymap import GLOBAL, REPLAY, SCREENS, KeyAction, find_key_action, is_app_action
from previewops.tui.viewmodel.hints import screen_range
from previewops.tui.viewmodel.spans import Line, Span, Tone, pad
from previewops.tui.viewmodel.wrap import hang

_KEY_COLUMNS = 10


def _navigation() -> tuple[KeyAction, ...]:
    """The cursor keys. One entry stands for six: letters first, as the names of the others explain themselves."""
    up, down, first, last = (_keys_of(action) for action in ("move(-1)", "move(1)", "edge(-1)", "edge(1)"))
    letters = [key for key in (*down, *up) if len(key) == 1]
    named = [key for key in (*up, *down) if len(key) > 1]
    moves = " ".join(key_label(key) for key in (*letters, *named))
    start, end = (key_label(min(keys, key=len)) for keys in (first, last))
    return (
        KeyAction("", moves, "", f"Move; {start} and {end} go to the first and the last row."),
        find_key_action("choose", "grid"),
        KeyAction("", "tab", "", "Go to the next panel."),
    )


def _keys_of(action: str) -> tuple[str, ...]:
    return split_keys(find_key_action(action, "list").active_keys)


def _show_screen() -> KeyAction:
    return KeyAction("", screen_range(), "", f"Go to {', '.join(title for _, title in SCREENS)}.")


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
        (f"On {dict(SCREENS)[mode]}", (*own, *_navigation())),
        ("Replay", replay),
        ("Everywhere", (_show_screen(), *common)),
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
