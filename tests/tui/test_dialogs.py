"""Dialogs: focus, keys and results."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Button, Input, OptionList, TextArea

from previewops.contract import Payload
from previewops.tui.screens.dialogs.choose import ChoiceDialog, ChoiceOption
from previewops.tui.screens.dialogs.confirm import ConfirmDialog, ConfirmWithReasonDialog
from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.screens.dialogs.edit import EditPayloadDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.terminal.palette import themes
from previewops.tui.viewmodel.confirmation import ConfirmationLevel
from previewops.tui.viewmodel.spans import Span
from tests.tui import scenes
from tests.tui.screen_support import until

LINES = [(Span("3 dead letters"),), (), (Span("They run again."),)]
LETTER = scenes.full_dead_record(scenes.dead_records(1)[0])
WAYS = (ChoiceOption("high", "first"), ChoiceOption("normal", "as most"), ChoiceOption("low", "last"))
SMALLEST = (80, 24)


@dataclass
class DialogDriver:
    """An app with a single dialog and its result."""

    app: App[None]
    pilot: Pilot[None]
    results: list[Any] = field(default_factory=list)

    @property
    def focus(self) -> str:
        return (self.app.focused and self.app.focused.id) or ""

    def one(self, name: str, kind: type = Button) -> Any:
        return self.app.screen.query_one(name, kind)

    async def result(self) -> Any:
        await until(self.pilot, lambda: self.results)  # type: ignore[arg-type]
        assert len(self.app.screen_stack) == 1
        return self.results[-1]


class Bare(App[None]):
    """No operator screen below the dialog."""

    def __init__(self, theme: str) -> None:
        super().__init__()
        for shipped_theme in themes():
            self.register_theme(shipped_theme)
        self.theme = theme


@asynccontextmanager
async def open_dialog(
    dialog: Screen[Any], size: tuple[int, int] = SMALLEST, theme: str = "previewops-dark"
) -> AsyncIterator[DialogDriver]:
    app = Bare(theme)
    async with app.run_test(size=size) as pilot:
        driver = DialogDriver(app, pilot)
        await app.push_screen(dialog, driver.results.append)
        await pilot.pause()
        yield driver


def confirm(caution: ConfirmationLevel = ConfirmationLevel.DIALOG) -> ConfirmDialog:
    return ConfirmDialog("Cancel 3 jobs", LINES, verb="cancel", level=caution)


def deliberate(caution: ConfirmationLevel = ConfirmationLevel.DIALOG) -> ConfirmWithReasonDialog:
    return ConfirmWithReasonDialog("Discard 3", LINES, verb="discard", level=caution)


def reject_two(text: str) -> str:
    return "not two" if text == "2" else ""


def all_dialogs() -> dict[str, Dialog[Any]]:
    return {
        "confirm": confirm(),
        "confirm-word": confirm(ConfirmationLevel.WORD),
        "deliberate": deliberate(),
        "deliberate-word": deliberate(ConfirmationLevel.WORD),
        "reason": PromptDialog("Pause the queue", "Why?", "pause"),
        "choose": ChoiceDialog("Priority", LINES, WAYS, verb="go on", initial="normal"),
        "edit": EditPayloadDialog(LETTER.job_id, LETTER.payload or {}),
    }


async def test_escape_and_cancel_dismiss_with_none() -> None:
    for name in all_dialogs():
        async with open_dialog(all_dialogs()[name]) as dialog:
            await dialog.pilot.press("escape")
            assert await dialog.result() is None, name
            await dialog.app.push_screen(all_dialogs()[name], dialog.results.append)
            await dialog.pilot.click("#cancel")
            await until(dialog.pilot, lambda dialog=dialog: len(dialog.results) == 2)  # type: ignore[arg-type,misc]
            assert dialog.results == [None, None], name


async def test_each_is_set_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mounted: list[Dialog[Any]] = []
    real = Dialog.on_mount

    def counted(self: Dialog[Any]) -> None:
        mounted.append(self)
        real(self)

    monkeypatch.setattr(Dialog, "on_mount", counted)
    for name, another in all_dialogs().items():
        async with open_dialog(another):
            assert mounted.count(another) == 1, name


@pytest.mark.parametrize("theme", [theme.name for theme in themes()])
async def test_each_dialog_fits_the_smallest_terminal(theme: str) -> None:
    first, *others = all_dialogs().items()
    async with open_dialog(first[1], theme=theme) as dialog:
        for name, another in (first, *others):
            if another is not first[1]:
                await dialog.app.switch_screen(another)
                await dialog.pilot.pause()
            box = dialog.one("#box", object)
            assert dialog.app.screen.region.contains_region(box.region), name
            for button in dialog.app.screen.query(Button):
                assert box.region.contains_region(button.region), name
                assert button.region.height == 3, name
            assert box.max_scroll_y == 0, name


async def test_cancel_has_the_focus_and_the_keys_move_it() -> None:
    async with open_dialog(confirm()) as dialog:
        assert dialog.focus == "cancel"
        for key, focus in (
            ("right", "confirm"),
            ("left", "cancel"),
            ("tab", "confirm"),
            ("shift+tab", "cancel"),
            ("down", "confirm"),
            ("up", "cancel"),
        ):
            await dialog.pilot.press(key)
            assert dialog.focus == focus, key
        await dialog.pilot.press("enter")
        assert await dialog.result() is None
    async with open_dialog(confirm()) as dialog:
        await dialog.pilot.press("right", "enter")
        assert await dialog.result() is True
    async with open_dialog(confirm()) as dialog:
        await dialog.pilot.click("#confirm")
        assert await dialog.result() is True


async def test_the_verb_must_be_typed() -> None:
    async with open_dialog(confirm(ConfirmationLevel.WORD)) as dialog:
        assert dialog.focus == "word"
        await dialog.pilot.press(*"cance", "enter")
        await dialog.pilot.click("#confirm")
        await dialog.pilot.pause()
        assert dialog.one("#confirm").disabled
        assert not dialog.results
        await dialog.pilot.press("L")
        await dialog.pilot.pause()
        assert not dialog.one("#confirm").disabled
        await dialog.pilot.press("enter")
        assert await dialog.result() is True


async def test_a_deliberate_yes_has_a_reason() -> None:
    async with open_dialog(deliberate()) as dialog:
        assert dialog.focus == "cancel"
        await dialog.pilot.press("up")
        assert dialog.focus == "reason"
        await dialog.pilot.press(*"why", "space", *"not", "enter")
        assert dialog.focus == "cancel", "enter in the line leads on and does nothing"
        await dialog.pilot.press("right", "enter")
        assert await dialog.result() == "why not"
    async with open_dialog(deliberate()) as dialog:
        await dialog.pilot.press("right", "enter")
        assert await dialog.result() == "", "it may be empty"


async def test_a_reason_and_a_word() -> None:
    async with open_dialog(deliberate(ConfirmationLevel.WORD)) as dialog:
        assert dialog.focus == "word"
        await dialog.pilot.press("up", *"space", "enter")
        assert dialog.focus == "word"
        await dialog.pilot.press(*"discard", "enter")
        assert await dialog.result() == "space"


async def test_enter_accepts_a_valid_line() -> None:
    dialog_ = PromptDialog("Scale", "How many?", "scale", initial="2", check=reject_two)
    async with open_dialog(dialog_) as dialog:
        assert dialog.focus == "text"
        await dialog.pilot.press("enter")
        await dialog.pilot.pause()
        assert not dialog.results
        assert str(dialog.one("#rejected", object).content) == "not two"
        dialog.one("#text", Input).value = " 3 "
        await dialog.pilot.press("down", "down")
        assert dialog.focus == "confirm"
        await dialog.pilot.press("enter")
        assert await dialog.result() == "3"


@pytest.mark.parametrize(
    ("keys", "choice"),
    [
        (("enter",), "normal"),
        (("down", "enter"), "low"),
        (("k", "enter"), "high"),
        (("j", "enter"), "low"),
        (("l",), "low"),
        (("h",), "high"),
        (("tab", "tab", "enter"), "normal"),
        (("tab", "enter"), None),
    ],
)
async def test_one_of_a_few(keys: tuple[str, ...], choice: str | None) -> None:
    async with open_dialog(ChoiceDialog("Priority", LINES, WAYS, verb="go on", initial="normal")) as dialog:
        assert dialog.focus == "choices"
        await dialog.pilot.press(*keys)
        assert await dialog.result() == choice


async def test_one_of_a_few_by_the_mouse() -> None:
    async with open_dialog(ChoiceDialog("Priority", LINES, WAYS, verb="go on", initial="normal")) as dialog:
        await dialog.pilot.click(OptionList, offset=(2, 2))
        assert await dialog.result() == "low"


# -- the payload ----------------------------------------------------------------------------------------


def editor(dialog: DialogDriver) -> TextArea:
    text_area: TextArea = dialog.one("#payload", TextArea)
    return text_area


def message_text(dialog: DialogDriver) -> str:
    strips = dialog.app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


def edit() -> EditPayloadDialog:
    return EditPayloadDialog(LETTER.job_id, LETTER.payload or {})


async def test_a_valid_payload_is_accepted() -> None:
    async with open_dialog(edit()) as dialog:
        assert dialog.focus == "payload"
        editor(dialog).text = editor(dialog).text.replace('"spring"', '"summer"')
        await dialog.pilot.press("ctrl+s")
        payload = await dialog.result()
        assert isinstance(payload, Payload)
        assert payload.request_id == "summer"


async def test_every_violation_is_shown_and_the_cursor_put_at_the_first() -> None:
    async with open_dialog(edit(), size=(100, 40)) as dialog:
        text = editor(dialog).text.replace("false", '"no"').replace('"high"', '"urgent"')
        text = text.replace('"uri"', '"url"')
        editor(dialog).text = text
        await dialog.pilot.press("ctrl+s")
        await until(dialog.pilot, lambda: "violations" in message_text(dialog))  # type: ignore[arg-type]
        for expected in ("/dryRun", "/priority", '"urgent"', "found", "allowed", "not requeued"):
            assert expected in message_text(dialog)
        lines = text.splitlines()
        seen = []
        for _ in range(6):
            row, column = editor(dialog).cursor_location
            seen.append(lines[row][column:])
            await dialog.pilot.press("ctrl+n")
        assert seen[0] == '"no",'
        assert '"urgent",' in seen
        assert not dialog.results
        assert dialog.focus == "payload"


async def test_the_cursor_moves_to_invalid_json() -> None:
    async with open_dialog(edit()) as dialog:
        editor(dialog).text = '{\n  "jobId": oops\n}'
        await dialog.pilot.click("#confirm")
        await until(dialog.pilot, lambda: "is not JSON" in message_text(dialog))  # type: ignore[arg-type]
        assert editor(dialog).cursor_location == (1, 11)


async def test_the_job_stays_the_same() -> None:
    async with open_dialog(edit()) as dialog:
        editor(dialog).text = editor(dialog).text.replace(LETTER.job_id, "another")
        await dialog.pilot.press("ctrl+s")
        await until(dialog.pilot, lambda: "must be the id of the edited job" in message_text(dialog))  # type: ignore[arg-type]
        assert not dialog.results


async def test_unsaved_changes_need_a_second_escape() -> None:
    async with open_dialog(edit()) as dialog:
        await dialog.pilot.press("x", "escape")
        await until(dialog.pilot, lambda: "press esc again" in message_text(dialog))  # type: ignore[arg-type]
        assert not dialog.results
        await dialog.pilot.press("y", "escape")
        await dialog.pilot.pause()
        assert not dialog.results, "typing withdraws the question"
        await dialog.pilot.press("escape")
        assert await dialog.result() is None


async def test_the_keys_of_a_payload_reach_the_buttons() -> None:
    async with open_dialog(edit()) as dialog:
        await dialog.pilot.press("tab")
        assert dialog.focus == "cancel"
        await dialog.pilot.press("right")
        assert dialog.focus == "confirm"
        await dialog.pilot.press("enter")
        assert isinstance(await dialog.result(), Payload)
