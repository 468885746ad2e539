"""Keys within text, taken from the key map."""

from __future__ import annotations

from previewops.tui.keymap import PART_KEYS, SCREENS, find_key_action, key_of, namespaced_action
from previewops.tui.viewmodel.spans import Line, Span, Tone


def key_span(action: str, where: str = "") -> Span:
    """The key of an action, which a click runs. ``where`` as for ``keymap.find_key_action``."""
    key_action = find_key_action(action, where)
    click = "" if where in PART_KEYS else namespaced_action(key_action)
    return Span(key_action.key_word, Tone.INFO, click)


def key_hint(action: str, effect: str, where: str = "") -> Line:
    """The key and, dimmed, its effect: "esc clears the filter."."""
    return (key_span(action, where), Span(f" {effect}", Tone.DIM))


def screen_key(mode: str) -> str:
    """The key that opens a screen."""
    return key_of(f"show('{mode}')")


def screen_range() -> str:
    """The keys of all screens."""
    return f"{screen_key(SCREENS[0][0])} … {screen_key(SCREENS[-1][0])}"
