"""The settings file of the screen: what it may hold, what is reported, where files are."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from previewops.errors import PreviewopsError
from previewops.tui.preferences.lists import LISTS
from previewops.tui.preferences.locations import saved_filters_path, settings_path
from previewops.tui.preferences.model import Preferences
from previewops.tui.preferences.saved_filters import MAX_FILTERS, CannotSaveFilter, SavedFilters
from previewops.tui.preferences.settings_file import KEYS, format_notes, parse_settings, read_settings_file
from previewops.tui.viewmodel.addresses import short_address
from previewops.tui.viewmodel.columns import TableColumn, choose_cells, chosen_places
from previewops.tui.viewmodel.spans import Span

FULL = """
theme = "light"
refresh_s = 2.5
time = "local"
mouse = false

[columns]
jobs = ["job", "reason"]
groups = ["count", "error"]

[filters]
kids = "project:kids !timeout"
"""


def test_a_full_file(tmp_path: Path) -> None:
    path = tmp_path / "screen.toml"
    path.write_text(FULL)
    settings, problems = read_settings_file(path)
    assert problems == ()
    assert (settings.theme, settings.refresh_s, settings.local_time, settings.mouse) == (
        "light",
        2.5,
        True,
        False,
    )
    assert settings.columns == {"jobs": ("job", "reason"), "groups": ("count", "error")}
    assert settings.filters == {"kids": "project:kids !timeout"}


def test_a_missing_file_is_no_problem(tmp_path: Path) -> None:
    assert read_settings_file(tmp_path / "none" / "screen.toml") == (Preferences(), ())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"colour": "red"}, ("colour", "unknown key", *KEYS)),
        ({"theme": "blue"}, ("theme", "'blue'", "dark, light, 16")),
        ({"theme": 16}, ("theme", "16", "dark")),
        ({"refresh_s": 0.1}, ("refresh_s", "0.1", "0.25 to 60")),
        ({"refresh_s": True}, ("refresh_s", "True")),
        ({"time": "cet"}, ("time", "utc, local")),
        ({"mouse": "no"}, ("mouse", "true or false")),
        ({"columns": []}, ("columns", "a table")),
        ({"columns": {"job": ["job"]}}, ("columns.job", "unknown key", *LISTS)),
        ({"columns": {"jobs": "job"}}, ("columns.jobs", "a list of state, pri")),
        ({"columns": {"jobs": ["job", "colour"]}}, ("columns.jobs", "'colour'", "since")),
        ({"columns": {"events": []}}, ("columns.events", "time")),
        ({"filters": {"x": "colour:red"}}, ("filters.x", "colour", "project")),
        ({"filters": {"x": 3}}, ("filters.x", "3")),
        ({"filters": {"": "a"}}, ("filters.", "printable")),
        ({"contexts": {"x": {"redis_url": "http://u:secret@x"}}}, ("contexts.x.redis_url", "rediss://")),
        ({"contexts": {"x": {"queue": "a b"}}}, ("contexts.x.queue", "'a b'")),
        ({"contexts": {"x": 1}}, ("contexts.x", "a table")),
    ],
)
def test_a_mistake_is_reported_and_the_rest_holds(values: dict[str, object], named: tuple[str, ...]) -> None:
    settings, (problem,) = parse_settings({"time": "local", **values})
    for name in named:
        assert name in problem, problem
    assert settings == Preferences(local_time="time" not in values)


@pytest.mark.parametrize(
    ("content", "named"),
    [(b"theme = ", "not TOML"), (b"\xff", "UTF-8"), (b"x" * (1 << 21), "allowed 1048576")],
    ids=["syntax", "bytes", "size"],
)
def test_an_unreadable_file_is_ignored_as_a_whole(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "screen.toml"
    path.write_bytes(content)
    settings, (problem,) = read_settings_file(path)
    assert settings == Preferences()
    assert named in problem
    (tmp_path / "folder.toml").mkdir()
    assert read_settings_file(tmp_path / "folder.toml")[1]


def test_notes_name_the_file_and_are_few() -> None:
    assert format_notes(Path("/x"), ()) == ()
    notes = format_notes(Path("/x/screen.toml"), [f"p{number}" for number in range(9)], most=3)
    assert notes[:4] == ("/x/screen.toml", "p0", "p1", "p2")
    assert "6 more" in notes[4]


def test_files_are_where_xdg_says() -> None:
    home = {"HOME": "/home/ada"}
    assert settings_path(home) == Path("/home/ada/.config/previewops/screen.toml")
    assert saved_filters_path(home) == Path("/home/ada/.local/state/previewops/filters.json")
    assert settings_path({**home, "XDG_CONFIG_HOME": "/c"}) == Path("/c/previewops/screen.toml")
    assert saved_filters_path({**home, "XDG_STATE_HOME": "/s"}) == Path("/s/previewops/filters.json")
    assert settings_path({**home, "XDG_CONFIG_HOME": "relative"}) == settings_path(home)


def test_filters_are_saved_for_their_owner_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "state" / "previewops" / "filters.json"
    saved = SavedFilters({"kids": "project:kids"}, path)
    assert [(item.name, item.removable) for item in saved.all()] == [("kids", False)]
    assert saved.save("night", "error:timeout") is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": {"x": 1}}))
    other = SavedFilters({}, path)
    assert other.save("night", "!timeout") is True
    assert [(item.name, item.text, item.removable) for item in saved.all()] == [
        ("kids", "project:kids", False),
        ("night", "!timeout", True),
    ]
    saved.remove("night")
    assert json.loads(path.read_text()) == {"filters": {}, "later": {"x": 1}}
    assert list(path.parent.iterdir()) == [path], "no draft is left"


def test_names_of_the_settings_file_cannot_be_saved_and_filters_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "filters.json"
    saved = SavedFilters({"kids": "a"}, path)
    for name in ("kids", "", "a\nb", "x" * 41):
        assert saved.problem_of_name(name)
        with pytest.raises(CannotSaveFilter):
            saved.save(name, "b")
    path.write_text(json.dumps({"filters": {str(number): "x" for number in range(MAX_FILTERS)}}))
    with pytest.raises(CannotSaveFilter, match=str(MAX_FILTERS)):
        saved.save("one more", "x")
    assert saved.save("3", "y") is True


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000], ids=["syntax", "list", "depth"])
def test_a_damaged_file_of_saved_filters_is_not_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "filters.json"
    path.write_text(content)
    with pytest.raises(PreviewopsError, match=r"filters\.json"):
        SavedFilters({}, path).save("a", "b")
    assert path.read_text() == content


def test_chosen_columns_in_full_and_short_rows() -> None:
    columns = [TableColumn(title, 5) for title in ("worker", "pid", "state", "progress/reason")]
    assert chosen_places(columns, ("reason", "worker")) == (0, 3)
    assert chosen_places(columns, ()) == chosen_places(columns, ("gone",)) == (0, 1, 2, 3)
    cells = tuple((Span(text),) for text in "abcd")
    assert choose_cells(cells, (0, 3), 4) == (cells[0], cells[3])
    assert choose_cells(cells[:3], (0, 3), 4) == (cells[0], cells[2]), (
        "the last cell of a short row is its text"
    )
    assert choose_cells(cells[:1], (1, 2), 4) == cells[:1]


def test_contexts_and_their_secrets(tmp_path: Path) -> None:
    path = tmp_path / "screen.toml"
    path.write_text(
        """
        [contexts.prod]
        redis_url = "rediss://ops@db1:6379/0?password_file=/etc/previewops/redis"
        queue = "previews"
        environment = "production"
        read_only = "yes"
        [contexts.old]
        redis_url = "redis://:secret@db2"
        """
    )
    path.chmod(0o644)
    settings, problems = read_settings_file(path)
    prod = settings.contexts["prod"]
    assert (prod.queue, prod.environment) == ("previews", "production")
    assert prod.read_only, "a mistake does not permit more than was meant"
    assert "contexts.prod.read_only" in problems[0]
    assert "contexts.old.redis_url" in problems[1]
    assert "chmod 600" in problems[1]
    assert "secret" not in "".join(problems)
    path.chmod(0o600)
    assert len(read_settings_file(path)[1]) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ada:secret@db1:6379/0", "db1:6379/0"),
        ("rediss://db1/0?password_file=/x&password=secret", "db1/0"),
        ("redis+sentinel://a:1,b:2/mymaster/0", "sentinel a:1,b:2/mymaster/0"),
        ("unix://:secret@/run/redis.sock?db=2", "/run/redis.sock db 2"),
        ("redis://:sec/re@t#@db1", "db1"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, shown: str) -> None:
    assert short_address(url) == shown
