"""Names of keys: as Textual knows them, as text shows them, and ids of key bindings."""

from __future__ import annotations

import re
import unicodedata

_LABELS = {"escape": "esc", "up": "↑", "down": "↓", "left": "←", "right": "→"}
_SUFFIXES = {"": "", "False": "", "0": "", "True": "-inverse", "1": "-next", "-1": "-previous"}
"""What the argument of an action adds to its id."""

_IDS = {
    "move(-1)": "up",
    "move(1)": "down",
    "edge(-1)": "first",
    "edge(1)": "last",
    "speed(-1)": "slower",
    "speed(1)": "faster",
}
"""Ids that do not follow from the action."""

_FUNCTION_KEY = re.compile(r"f(1?[0-9]|2[0-4])")


def binding_id(where: str, action: str) -> str:
    """The id of an action's keys: its part of the screen, and the action in words: "jobs.turn-page-next"."""
    if action in _IDS:
        return f"{where}.{_IDS[action]}"
    name, _, argument = action.rpartition(".")[2].removesuffix(")").partition("(")
    if argument in _SUFFIXES:
        suffix = _SUFFIXES[argument]
    elif argument.startswith("'"):
        suffix = "-" + argument.strip("'")
    else:
        suffix = f"-back-{argument[1:]}" if argument.startswith("-") else f"-forward-{argument}"
    return f"{where}.{name.replace('_', '-')}{suffix}"


def split_keys(keys: str) -> tuple[str, ...]:
    """The single keys of a list with commas, each by its one name: a character, or the name of another key."""
    return tuple(canonical_key(key.strip()) for key in keys.split(","))


def canonical_key(key: str) -> str:
    """The one name of a key: "question_mark" is "?", "slash" is "/"."""
    if len(key) == 1 or key == "space":
        return key
    for name in (key, f"{key}_sign"):
        try:
            character = unicodedata.lookup(name.replace("_", " ").upper())
        except KeyError:
            continue
        if character.isprintable() and not character.isspace():
            return character
    return key


def key_label(key: str) -> str:
    """A key as the footer and the help name it."""
    key = canonical_key(key)
    if key.startswith("ctrl+") and len(key) == len("ctrl+x"):
        return f"^{key[-1]}"
    return key.upper() if _FUNCTION_KEY.fullmatch(key) else _LABELS.get(key, key)
