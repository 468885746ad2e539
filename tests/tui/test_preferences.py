"""Settings of the operator in the screens: columns, local time, notes, saved filters."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from previewops.tui.preferences.keys import read_keys
from previewops.tui.preferences.saved_filters import SavedFilters
from previewops.tui.screens.command_palette import ActionPalette
from tests.tui import scenes
from tests.tui.screen_support import FakeSource, make_app, screen_text, until

SIZE = (120, 40)


@pytest.fixture
def tokyo() -> Iterator[None]:
    """A terminal nine hours ahead of UTC, without summer time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "TST-9")
        time.tzset()
        yield
    time.tzset()


async def test_columns_notes_and_local_time(tokyo: None) -> None:
    app = make_app(
        columns={"jobs": ("job", "reason"), "events": ("time", "event")},
        local_time=True,
        notes=("/x/screen.toml", "colour: unknown key"),
    )
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "colour: unknown key" in screen_text(app))
        await until(pilot, lambda: " TST ↻1s" in screen_text(app).splitlines()[0])
        assert " TST" in screen_text(app).split("Latest events")[0].splitlines()[-3], "the axis of the charts"
        await pilot.press("6")
        await until(pilot, lambda: "│ time" in screen_text(app) and "retry" in screen_text(app))
        header = next(line for line in screen_text(app).splitlines() if line.startswith("│ time"))
        assert "event" in header
        assert "about" not in header
        before = screen_text(app)
        await pilot.press("U")
        await until(pilot, lambda: "Z ↻1s" in screen_text(app).splitlines()[0])
        assert screen_text(app).splitlines()[4] != before.splitlines()[4], "the times of events follow"
        await pilot.press("2")
        await until(pilot, lambda: "progress/reason" in screen_text(app))
        header = next(line for line in screen_text(app).splitlines() if "progress/reason" in line)
        assert "job" in header
        assert "worker" not in header
        assert "since" not in header


async def test_a_filter_is_saved_chosen_and_removed(tmp_path: Path) -> None:
    saved = SavedFilters({"kids": "project:kids"}, tmp_path / "filters.json")
    app = make_app(saved_filters=saved)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("apostrophe", "quotation_mark")
        assert app.screen is app.front_screen, "the overview has no list to filter"
        await pilot.press("2", "quotation_mark")
        assert app.screen is app.front_screen, "there is no filter to save"
        await pilot.press("slash", *"state:dead", "enter")
        await until(pilot, lambda: "active filter: state:dead" in screen_text(app))
        await pilot.press("quotation_mark")
        await until(pilot, lambda: "Save the filter" in screen_text(app))
        await pilot.press(*"kids", "enter")
        await until(pilot, lambda: "The settings file has a filter kids." in screen_text(app))
        await pilot.press(*" of the dead", "enter")
        await until(pilot, lambda: "saved as kids of the dead" in screen_text(app))
        assert "state:dead" in (tmp_path / "filters.json").read_text()
        await pilot.press("escape", "apostrophe")
        await until(pilot, lambda: "Saved filters" in screen_text(app))
        await pilot.press("x")
        assert len(saved.all()) == 2, "that of the settings file cannot be removed here"
        await pilot.press("enter")
        await until(pilot, lambda: "active filter: project:kids" in screen_text(app))
        await pilot.press("4", "f", "apostrophe")
        await until(pilot, lambda: "Saved filters" in screen_text(app))
        await pilot.press("j", "enter")
        await until(pilot, lambda: "active filter: state:dead" in screen_text(app))
        await pilot.press("apostrophe")
        await until(pilot, lambda: "Saved filters" in screen_text(app))
        await pilot.press("j", "x")
        await until(pilot, lambda: len(saved.all()) == 1 and "of the dead" not in screen_text(app))
        assert "Saved filters" in screen_text(app), "the list stays open"
        await pilot.press("escape")
        saved.save("broken", "x")
        os.truncate(tmp_path / "filters.json", 3)
        await pilot.press("apostrophe")
        await until(pilot, lambda: "correct or remove the file" in screen_text(app))


async def test_the_operators_keys_act_and_are_shown() -> None:
    keys, problems = read_keys(
        {
            "jobs": {"cancel": "X", "order": "f8"},
            "app": {"help": "f1", "back": "f3", "freeze": "F"},
            "dialog": {"leave": "f3"},
        }
    )
    assert not problems
    dead = scenes.dead_records()[:3]
    app = make_app(FakeSource(listed=(scenes.JOBS[0], *dead), dead_letters=dead), keys=keys)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("z", "2")
        await until(pilot, lambda: dead[0].job_id in screen_text(app))
        assert not app.view.frozen, "the default key does nothing any more"
        footer = screen_text(app).splitlines()[-1]
        for part in (" X Cancel", "F1 Help", "F8 Order"):
            assert part in footer
        await pilot.press("F")
        await until(pilot, lambda: "DISPLAY FROZEN · F" in screen_text(app))
        await pilot.press("F", "x")
        assert app.screen is app.front_screen, "x was the key of cancel"
        await pilot.press("X")
        await until(pilot, lambda: app.screen is not app.front_screen)
        await pilot.press("escape")
        assert app.screen is not app.front_screen
        await pilot.press("f3")
        await until(pilot, lambda: app.screen is app.front_screen)
        await pilot.press("j", "x")
        await until(pilot, lambda: "Discard 1 dead letter" in screen_text(app))
        await pilot.press("f3", "slash", *"kids")
        await until(pilot, lambda: "F3 clears it" in screen_text(app))
        await pilot.press("f3")
        await until(pilot, lambda: "filter: " not in screen_text(app))
        await pilot.press("f1")
        await until(pilot, lambda: "Everywhere" in screen_text(app))
        assert "F8 " in screen_text(app)
        await pilot.press("q", "colon")
        await until(pilot, lambda: isinstance(app.screen, ActionPalette))
        await pilot.press(*"oldest")
        await until(pilot, lambda: "key F8" in screen_text(app))
