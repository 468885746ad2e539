"""The operator's keys: which ids there are, which keys they may have, and collisions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from typing import Any

from previewops.tui.key_action import KeyAction
from previewops.tui.key_names import canonical_key, split_keys
from previewops.tui.keymap import GLOBAL, PART_KEYS, REPLAY, SCREEN_KEYS
from previewops.tui.preferences.table_reader import show

TABLES: Mapping[str, tuple[KeyAction, ...]] = {
    "app": GLOBAL,
    "replay": REPLAY,
    **SCREEN_KEYS,
    **PART_KEYS,
}
"""All key actions by the first part of their ids."""

_WITH_LISTS = ("app", "replay", "list", "grid")
_SCOPES: tuple[tuple[str, ...], ...] = (
    *((*_WITH_LISTS, mode) for mode in SCREEN_KEYS),
    ("app", "replay", "picture", "job"),
    ("dialog", "choice"),
    ("dialog", "pick"),
    ("dialog", "editor"),
    ("viewer", "list"),
    ("help",),
)
"""Parts whose keys are in force together."""

_ALTERNATIVES = 3
"""Ids that a message proposes."""

_TYPING = ("dialog", "editor")
"""Parts in which text is typed."""
_TYPING_IDS = ("app.back",)

_EDITING = ("escape", "enter", "tab", "shift+tab", "space", "backspace", "delete", "insert")
_MOVING = ("home", "end", "pageup", "pagedown", "up", "down", "left", "right")
_NAMED = (*_EDITING, *_MOVING)
_FUNCTION = re.compile(r"f([1-9]|1[0-9]|2[0-4])")
_MODIFIED = re.compile(r"(ctrl|alt|shift|ctrl\+shift|alt\+shift)\+(.+)")
_SENT_AS = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+[": "escape"}
"""Keys that terminals do not tell apart from others."""

_MOST_KEYS = 5


@dataclass(frozen=True, slots=True)
class Collision:
    """A key that two actions would have in one place."""

    key: str
    first: KeyAction
    second: KeyAction


def all_actions() -> dict[str, KeyAction]:
    """All key actions by id."""
    return {action.id: action for actions in TABLES.values() for action in actions}


def read_keys(values: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The keys by id, and what is wrong with the others.

    ``values`` is the table of the file: an id with its dots is a table in a table.
    """
    problems: list[str] = []
    known = all_actions()
    wanted: dict[str, str] = {}
    for name, value in _flat(values):
        if name not in known:
            problems.append(f"keys.{name}: unknown id, allowed {_alternatives(name)}")
            continue
        keys, problem = _parse(name, value)
        if problem:
            problems.append(f"keys.{name}: {problem}")
        else:
            wanted[name] = ",".join("comma" if key == "," else key for key in keys)
    return _without_collisions(wanted, problems), tuple(problems)


def full_keymap(keys: Mapping[str, str]) -> dict[str, str]:
    """The keys of every id. Textual removes all actions of a key that it maps, and adds those that are named."""
    return {name: keys.get(name, action.keys) for name, action in all_actions().items()}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _alternatives(name: str) -> str:
    """The ids that look like it, or the parts: a message is no list."""
    like = get_close_matches(name, all_actions(), n=_ALTERNATIVES)
    shown = ", ".join(like or (f"{table}.…" for table in TABLES))
    return f"{shown} (`previewops tui --keys` lists all)"


def _parse(name: str, value: Any) -> tuple[tuple[str, ...], str]:
    """The keys of one id, or what is wrong with them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        return (), f"found {show(value)}, allowed a key or a list of keys"
    keys = tuple(
        dict.fromkeys(key for text in texts for key in ((text,) if len(text) == 1 else split_keys(text)))
    )
    if len(keys) > _MOST_KEYS:
        return (), f"found {len(keys)} keys, allowed {_MOST_KEYS}"
    for key in keys:
        problem = _key_problem(name, key)
        if problem:
            return (), problem
    return keys, ""


def _key_problem(name: str, key: str) -> str:
    if key in _SENT_AS:
        return f"found {key!r}, which terminals send as {_SENT_AS[key]}; allowed is another key"
    is_character = len(key) == 1 and key.isprintable() and not key.isspace()
    modified = _MODIFIED.fullmatch(key)
    base = key if modified is None else modified[2]
    if not is_character and not (
        base in _NAMED or _FUNCTION.fullmatch(base) or (modified and len(base) == 1 and base.isprintable())
    ):
        return f"found {show(key)}, allowed a character, ctrl+x, f1 to f24, {', '.join(_NAMED)}"
    if (is_character or key == "space") and (name.partition(".")[0] in _TYPING or name in _TYPING_IDS):
        return f"found {key!r}, allowed a key that types no text, such as escape, f2 or ctrl+g"
    return ""


def _without_collisions(wanted: dict[str, str], problems: list[str]) -> dict[str, str]:
    """The keys without those that collide. Keys that are given up may collide in their turn with others."""
    while True:
        collision = next(find_collisions(wanted), None)
        if collision is None:
            return wanted
        place = list(wanted)
        pair = sorted(
            (action for action in (collision.first, collision.second) if action.id in wanted),
            key=lambda action: place.index(action.id),
        )
        given_up = pair[-1]
        other = collision.first if given_up is collision.second else collision.second
        del wanted[given_up.id]
        meaning = f"{other.id} ({other.help.rstrip('.')})"
        problems.append(
            f"keys.{given_up.id}: found {collision.key!r}, which is the key of {meaning}; "
            "choose another key, or set that one too"
        )


def find_collisions(keys: Mapping[str, str]) -> Iterator[Collision]:
    """Keys that two actions have in one place, unless they share a key by default: then only one is available."""
    for scope in _SCOPES:
        actions = [action for part in scope for action in TABLES[part]]
        for first, second in combinations(actions, 2):
            if first.id not in keys and second.id not in keys:
                continue
            shared = _keys_of(first, keys) & _keys_of(second, keys)
            if shared and not _share_by_default(first, second):
                yield Collision(min(shared), first, second)


def _keys_of(action: KeyAction, keys: Mapping[str, str]) -> frozenset[str]:
    return frozenset(split_keys(keys.get(action.id, action.keys)))


def _share_by_default(first: KeyAction, second: KeyAction) -> bool:
    return bool(_keys_of(first, {}) & _keys_of(second, {}))


def format_key_table(keys: Mapping[str, str]) -> Sequence[tuple[str, str, str]]:
    """Id, keys and meaning of every action; a changed one has its default in brackets."""
    rows = []
    for name, action in all_actions().items():
        default = " ".join(map(canonical_key, action.keys.split(",")))
        chosen = " ".join(split_keys(keys[name])) if name in keys else default
        rows.append((name, chosen if chosen == default else f"{chosen} ({default})", action.help))
    return rows
