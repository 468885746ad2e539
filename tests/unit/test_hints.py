"""Hints: the keys that they name come from the key map."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from previewops.tui.key_names import key_label
from previewops.tui.keymap import GLOBAL, PART_KEYS, REPLAY, SCREEN_KEYS, SCREENS, key_of, namespaced_action
from previewops.tui.viewmodel.filter_text import kept_filter_lines
from previewops.tui.viewmodel.hints import key_hint, key_span, screen_key
from previewops.tui.viewmodel.spans import Tone, plain_text, width_of

TUI = Path(__file__).parents[2] / "tui"

# A key by its name, or one character in front of what it does.
_NAMED = re.compile(r"\b(esc|escape|[fF]([1-9]|1[0-2])|ctrl\+\S|shift\+\S|enter|space|tab|page(up|down))\b")
_ACTS = (
    "shows|follows|clears|refreshes|continues|goes|lists|unfreezes|edits|negates|opens"
    "|quits|looks|requeues|cancels"
)
_LONE = re.compile(rf"(?:^|[\s;,·(])(?:[a-zA-Z/!?:+\-\[\]<>] (?:{_ACTS})\b|press \S\b|key \S\b)")

_BOUND = {"Binding", "KeyAction", "key_of", "key_hint", "key_span", "find_key_action", "press"}
"""Calls whose arguments are keys and not text."""
_NO_TEXT = {
    "keymap.py",  # the key map itself
    "key_names.py",
    "keys.py",  # the operator's keys
    "key_queue.py",  # compares events
}


def handwritten_keys(source: str) -> list[str]:
    """Strings of a module that name a key, docstrings and arguments of bindings aside."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in _BOUND:
                skipped |= {id(child) for child in ast.walk(node)}
            if name == "Span" and node.args and isinstance(node.args[0], ast.Constant):
                text, tone = node.args[0].value, [ast.unparse(argument) for argument in node.args[1:]]
                if len(str(text).strip()) == 1 and str(text).strip().isascii() and "Tone.INFO" in tone:
                    return [str(text)]
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped
    ]
    return [text for text in texts if _NAMED.search(text) or _LONE.search(text)]


@pytest.mark.parametrize(
    "source",
    [
        'fresh = f"page {number} stands still; r looks again"',
        'fresh = "costly page; F5 refreshes"',
        'box.subtitle = "esc closes"',
        'back = (Span("[", Tone.INFO), Span(" goes back.", Tone.DIM))',
        'text = "cancel and press w on Dead letters first"',
        'hint = "ctrl+s validates it again"',
        'hint = "/ edits it, ! negates it"',
    ],
)
def test_a_key_that_is_written_by_hand_is_found(source: str) -> None:
    assert handwritten_keys(source)


def test_no_text_of_the_screen_names_a_key_by_hand() -> None:
    found = {
        str(path.relative_to(TUI)): keys
        for path in sorted(TUI.rglob("*.py"))
        if path.name not in _NO_TEXT and (keys := handwritten_keys(path.read_text()))
    }
    assert not found, "take the key from key_of, key_span or key_hint"


def test_hints_follow_the_key_map() -> None:
    for where, actions in {"": (*GLOBAL, *REPLAY), **SCREEN_KEYS, **PART_KEYS}.items():
        for action in actions:
            assert key_of(action.action, where) == action.key_word
            first = action.keys.partition(",")[0]
            assert action.key_word in (first, key_label(first))
    with pytest.raises(KeyError, match="refresh_pages"):
        key_of("refresh_pages", "jobs")


def test_a_hint_can_be_clicked_and_shows_key_and_effect() -> None:
    assert key_of("refresh_page", "jobs") == "F5"
    span = key_span("refresh_page", "jobs")
    assert (span.text, span.tone, span.action) == ("F5", Tone.INFO, "screen.refresh_page")
    assert plain_text(key_hint("back", "clears the filter.")) == "esc clears the filter."
    assert key_span("back").action == "app.back"
    assert not key_span("leave", "dialog").action, "a key of a part has no action to click"


def test_screens_are_named_by_their_keys() -> None:
    assert [screen_key(mode) for mode, _ in SCREENS] == [str(number) for number in range(1, 8)]
    assert all(namespaced_action(action).startswith("app.") for action in GLOBAL)


FILTER = "error:asset !project:kids !project:trial"


@pytest.mark.parametrize("columns", [30, 60, 78, 118])
def test_the_active_filter_is_shown_whole_and_the_keys_give_way(columns: int) -> None:
    lines = kept_filter_lines(FILTER, "dead", columns)
    assert all(width_of(line) <= columns for line in lines)
    text = " ".join(plain_text(line).strip() for line in lines)
    assert f"active filter: {FILTER}" in text
    assert ("esc clears it" in text) is (columns >= 100)


def test_the_keys_stand_beside_a_short_filter() -> None:
    (line,) = kept_filter_lines("kids", "dead", 78)
    assert plain_text(line).endswith("/ edits it, ! negates it, esc clears it")
