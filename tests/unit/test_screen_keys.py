"""Keys that operators set: ids, allowed keys, collisions."""

from __future__ import annotations

import pytest

from previewops.tui.key_names import binding_id, canonical_key, key_label, split_keys
from previewops.tui.keymap import find_key_action, key_of, use_keys
from previewops.tui.preferences.keys import (
    TABLES,
    all_actions,
    find_collisions,
    format_key_table,
    full_keymap,
    read_keys,
)
from previewops.tui.preferences.settings_file import parse_settings
from previewops.tui.viewmodel.help import format_help_lines
from previewops.tui.viewmodel.hints import screen_range
from previewops.tui.viewmodel.spans import plain_text


def test_every_action_has_an_id_of_its_own() -> None:
    names = [action.id for actions in TABLES.values() for action in actions]
    assert all(names)
    assert len(names) == len(set(names))
    assert {name.partition(".")[0] for name in names} == set(TABLES)


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("cancel", "jobs.cancel"),
        ("filter(False)", "jobs.filter"),
        ("filter(True)", "jobs.filter-inverse"),
        ("turn_page(-1)", "jobs.turn-page-previous"),
        ("show('dead')", "jobs.show-dead"),
        ("seek(-300)", "jobs.seek-back-300"),
        ("app.focus_next", "jobs.focus-next"),
        ("edge(1)", "jobs.last"),
    ],
)
def test_ids_follow_from_the_actions(action: str, name: str) -> None:
    assert binding_id("jobs", action) == name


def test_keys_have_one_name_and_a_label() -> None:
    assert split_keys("question_mark, comma,ctrl+x,space") == ("?", ",", "ctrl+x", "space")
    assert canonical_key("escape") == "escape"
    assert [key_label(key) for key in ("escape", "ctrl+x", "f5", "comma", "up", "f")] == [
        "esc",
        "^x",
        "F5",
        ",",
        "↑",
        "f",
    ]


def test_the_keys_of_this_version_do_not_collide() -> None:
    assert not list(find_collisions(full_keymap({})))
    assert read_keys({}) == ({}, ())


def test_keys_are_read_from_tables_dotted_names_and_lists() -> None:
    keys, problems = read_keys(
        {"jobs": {"cancel": "X"}, "app.pause": ["f9", ",x"[0:1]], "replay": {"seek-back-10": "f10"}}
    )
    assert problems == ()
    assert keys == {"jobs.cancel": "X", "app.pause": "f9,comma", "replay.seek-back-10": "f10"}
    keys, problems = read_keys({"app": {"help": "f1, question_mark"}})
    assert (keys, problems) == ({"app.help": "f1,?"}, ())


def test_two_actions_may_swap_their_keys() -> None:
    keys, problems = read_keys({"dead": {"requeue": "x", "discard": "r"}})
    assert problems == ()
    assert keys == {"dead.requeue": "x", "dead.discard": "r"}


def test_a_collision_is_refused_and_named() -> None:
    keys, (problem,) = read_keys({"dead": {"requeue": "x"}, "jobs": {"mark": "M"}})
    assert keys == {"jobs.mark": "M"}
    for part in ("keys.dead.requeue", "'x'", "dead.discard", "choose another key"):
        assert part in problem
    # An action of the app collides with those of every screen; given up, its default may collide in its turn.
    keys, problems = read_keys({"app": {"pause": "r"}, "jobs": {"order": "p"}})
    assert keys == {}
    assert ["app.pause" in problems[0], "jobs.order" in problems[1]] == [True, True]
    keys, problems = read_keys({"jobs": {"cancel": "D", "discard": "D"}})
    assert problems == (), "only one of the two is available for a row"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"jobs": {"cancle": "X"}}, ("keys.jobs.cancle", "unknown id", "jobs.cancel")),
        ({"colour": "x"}, ("keys.colour", "unknown id", "--keys")),
        ({"jobs": {"cancel": ""}}, ("keys.jobs.cancel", "''")),
        ({"jobs": {"cancel": []}}, ("keys.jobs.cancel", "[]")),
        ({"jobs": {"cancel": 3}}, ("keys.jobs.cancel", "3")),
        ({"jobs": {"cancel": "hyper+x"}}, ("'hyper+x'", "a character, ctrl+x")),
        ({"jobs": {"cancel": "ctrl+i"}}, ("'ctrl+i'", "tab")),
        ({"jobs": {"cancel": list("ABDEFH")}}, ("6 keys", "allowed 5")),
        ({"dialog": {"leave": "q"}}, ("keys.dialog.leave", "types no text")),
        ({"app": {"back": "b"}}, ("keys.app.back", "types no text")),
    ],
)
def test_what_is_no_key_is_refused(values: dict[str, object], named: tuple[str, ...]) -> None:
    settings, (problem,) = parse_settings({"keys": values})
    assert settings.keys == {}
    for part in named:
        assert part in problem, problem


def test_hints_and_help_show_the_operators_keys() -> None:
    keys, _ = read_keys({"app": {"show-overview": "f1", "back": "f3"}, "list": {"down": "ctrl+n"}})
    use_keys(keys)
    try:
        assert key_of("back") == "F3"
        assert screen_range() == "F1 … 7"
        assert find_key_action("back").keys == "escape", "the default is known still"
        text = "\n".join(map(plain_text, format_help_lines("overview", (), 80)))
        assert "k ↑ ^n" in text
    finally:
        use_keys({})
    assert screen_range() == "1 … 7"


def test_the_table_names_every_id_and_the_changed_keys() -> None:
    rows = format_key_table({"app.help": "f1"})
    assert {row[0] for row in rows} == set(all_actions())
    assert ("app.help", "f1 (?)", "Show the keys of this screen.") in rows
    assert next(row for row in rows if row[0] == "jobs.cancel")[1] == "x"
