"""Keys that arrive together, as over a slow connection: keys after one that opens something go there."""

from __future__ import annotations

import asyncio

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Button, Input

from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import Pause
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.confirm import ConfirmDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.screens.modal import Modal
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid
from tests.tui.screen_support import FakeExecutor, make_app, screen_text, shown, until


def at_once(app: OperatorApp, text: str) -> None:
    """Types without letting the app run between two keys."""
    names = {"/": "slash", "!": "exclamation_mark", ":": "colon"}
    for character in text:
        app.post_message(Key(names.get(character, character), character))


async def opened(pilot: Pilot[int], app: OperatorApp, number: str) -> OperatorScreen:
    await pilot.press(number)
    await until(pilot, lambda: bool(app.screen.query(Grid)) and shown(app.screen.query_one(Grid)).strip())
    assert isinstance(app.screen, OperatorScreen)
    return app.screen


async def test_keys_after_slash_go_to_the_filter() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app, "6")
        line = screen.query_one(FilterLine)
        at_once(app, "/who:ada o7pq")
        await until(pilot, lambda: line.text == "who:ada o7pq")
        assert app.screen is screen
        assert app.is_running


async def test_keys_before_a_dialog_opens_are_dropped() -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app, "5")
        await pilot.press("j")
        theme = app.theme
        at_once(app, "dust7pqz")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        assert (app.front_screen, app.theme, app.view.frozen) == (screen, theme, False)
        field = app.screen.query_one(Input)
        at_once(app, "why7pzq")
        await until(pilot, lambda: field.value.endswith("why7pzq"))
        # Of the typed keys those before the input are dropped, all others are in order.
        assert field.value.removesuffix("why7pzq") in ["ust7pqz"[place:] for place in range(8)]
        assert executor.commands == []


async def test_keys_work_while_a_confirmed_command_runs() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app, "5")
        done = asyncio.Event()

        async def ask_and_act() -> None:
            assert await screen.show_dialog(PromptDialog("Why", "Why?", "do")) is not None
            await done.wait()

        acting = screen.run_worker(ask_and_act(), group="ask")
        at_once(app, "z")  # meant for the dialog
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        assert not app.view.frozen
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen)
        assert not acting.is_finished
        await pilot.press("z")
        await until(pilot, lambda: app.view.frozen)
        done.set()


async def test_keys_between_two_dialogs_are_dropped() -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app, "5")
        await pilot.press("d")  # a host: a confirmation, then a reason
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        app.screen.query_one("#confirm", Button).focus()
        await until(pilot, lambda: app.focused is app.screen.query_one("#confirm"))
        app.post_message(Key("enter", "\r"))
        at_once(app, "tz7")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        assert (app.front_screen, app.view.frozen, app.theme) == (screen, False, "previewops-dark")


def burst(app: OperatorApp, *keys: str) -> None:
    """Types keys by Textual's names, without letting the app run between two of them."""
    for key in keys:
        character = key if len(key) == 1 else None
        app.post_message(Key(key, "\r" if key == "enter" else character))


@pytest.mark.parametrize(
    "keys",
    [
        ("p", "escape", "escape"),
        ("p", "x", "enter", "enter"),
        ("p", "left", "enter", "enter", "escape"),
        ("colon", "escape", "escape"),
        ("question_mark", "escape", "escape", "enter"),
    ],
    ids=" ".join,
)
async def test_a_second_dismissal_is_ignored(keys: tuple[str, ...]) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app, "2")
        burst(app, *keys)
        await pilot.press("z")  # handled after them by the screen, as nothing is open any more
        await until(pilot, lambda: app.view.frozen)
        assert isinstance(app.screen, OperatorScreen)


async def test_a_command_is_done_before_the_next_key_is_heeded() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app, "2")
        await pilot.press("colon")
        await until(pilot, lambda: "Show matching jobs." in screen_text(app))
        burst(app, "enter", "enter", "enter", "z")  # the first one is selected and run: it opens the filter
        await until(pilot, lambda: app.view.frozen)
        burst(app, "colon", "enter", "enter", "escape", "escape", "z")
        await until(pilot, lambda: not app.view.frozen)
        assert app.screen is screen


async def test_keys_that_arrive_together_keep_their_order() -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app, "2")
        burst(app, "p", "x", "enter", "escape")
        await until(pilot, lambda: executor.commands == [Pause("x")])
        await until(pilot, lambda: app.screen is screen)
        at_once(app, "p")
        at_once(app, "disks")
        burst(app, "escape", "p", "y", "enter")
        await until(pilot, lambda: executor.commands == [Pause("x"), Pause("y")])
        at_once(app, ":")
        burst(app, "escape")
        at_once(app, "4z")
        await until(pilot, lambda: app.view.frozen and app.current_mode == "dead")


async def test_a_screen_over_the_screen_closes_once() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app, "2")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Modal))
        over = app.screen
        over.dismiss()
        over.dismiss()
        await until(pilot, lambda: app.screen is screen)
