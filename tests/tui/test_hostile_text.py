"""Untrusted text: wherever it is shown, it contains no control sequences and is not parsed as markup."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from previewops.errors import PreviewopsError
from previewops.states import JobState
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import CommandOutcome, CommandProgress, OperatorCommand, Pause
from previewops.tui.data.poller import SnapshotMissed
from previewops.tui.keymap import SCREENS
from previewops.tui.screens.dialogs.choose import ChoiceDialog
from previewops.tui.screens.job.preview import PreviewPanel
from previewops.tui.screens.jobs.screen import JobsScreen
from previewops.tui.viewmodel.job.artifacts import BundleContents, BundleFile
from tests.tui import scenes
from tests.tui.screen_support import FakeExecutor, FakeSource, make_app, screen_text, settled, until

SIZE = (160, 50)
EVIL = "\x1b[2J\u202e\r[/x]"
SHOWN = r"\u001b[2J\u202e\u000d[/x]"


def before(text: str) -> str:
    return EVIL + text


def after(text: str) -> str:
    return text + EVIL


def poisoned(value: Any, poison: Callable[[str], str]) -> Any:
    """The value with the poison in each text except event ids, which identify new events."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return poison(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value,
            **{
                attribute.name: poisoned(getattr(value, attribute.name), poison)
                for attribute in fields(value)
                if attribute.init and attribute.name != "event_id"
            },
        )
    if isinstance(value, tuple | list):
        return type(value)(poisoned(attribute, poison) for attribute in value)
    if isinstance(value, Mapping):
        return {name: poisoned(attribute, poison) for name, attribute in value.items()}
    return value


def source_of(poison: Callable[[str], str]) -> FakeSource:
    dead = poisoned(scenes.DEAD_JOB, poison)
    return FakeSource(
        poisoned(scenes.BUSY, poison),
        poisoned(scenes.HEALTH, poison),
        listed=poisoned(scenes.JOBS, poison),
        dead_letters=poisoned(scenes.dead_records(), poison),
        jobs_by_id={dead.job_id: dead},
    )


def assert_harmless(app: OperatorApp) -> None:
    for line in screen_text(app).split("\n"):
        assert line.isprintable(), f"on {app.current_mode}: {line!r}"


async def harmless(pilot: Pilot[int], app: OperatorApp, text: str) -> None:
    """Waits for text, and checks the whole screen."""
    await until(pilot, lambda: text in screen_text(app))
    assert_harmless(app)


@pytest.mark.parametrize("poison", [before, after])
async def test_no_screen_shows_control_characters(poison: Callable[[str], str]) -> None:
    source = source_of(poison)
    app = make_app(source, environment="test" + EVIL, queue_name="preview-jobs" + EVIL)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.health is not None)
        app.job_id = next(iter(source.jobs_by_id))
        for number, (mode, _) in enumerate(SCREENS, 1):
            await pilot.press(str(number))
            await until(
                pilot, lambda mode=mode: app.front_screen is not None and mode == app.front_screen.MODE
            )  # type: ignore[misc]
            await settled(pilot, app)
            assert_harmless(app)
        await pilot.press("4")
        await until(pilot, lambda: app.current_mode == "dead")
        await pilot.press("enter")
        await harmless(pilot, app, "esc: back to the groups")
        await pilot.press("c")
        await harmless(pilot, app, "copied")


async def test_why_a_snapshot_has_not_come_is_cleaned_on_every_screen() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.health is not None)
        app.workers.cancel_group(app, "poll")
        app.on_snapshot_missed(SnapshotMissed(f"gone {EVIL}", 1))
        for number, (mode, _) in enumerate(SCREENS, 1):
            await pilot.press(str(number))
            await until(
                pilot, lambda mode=mode: app.front_screen is not None and mode == app.front_screen.MODE
            )  # type: ignore[misc]
            await settled(pilot, app)
            assert_harmless(app)


class Rejected(PreviewopsError):
    """An error with untrusted message and hint."""

    code = "rejected"

    def __init__(self) -> None:
        super().__init__(f"no job {EVIL}", hint=f"look for {EVIL}")


class HostileExecutor(FakeExecutor):
    """Returns untrusted results."""

    def __init__(self, end: CommandOutcome | Exception) -> None:
        super().__init__()
        self.end = end

    async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


@pytest.mark.parametrize(
    ("end", "texts"),
    [
        (CommandOutcome(f"{EVIL} runs again"), [f"{SHOWN} runs again"]),
        (Rejected(), [f"no job {SHOWN}", f"look for {SHOWN}"]),
        (RuntimeError(EVIL), [f"unexpected RuntimeError: {SHOWN}"]),
    ],
)
async def test_toasts_are_cleaned_line_by_line(end: CommandOutcome | Exception, texts: list[str]) -> None:
    app = make_app(executor=HostileExecutor(end))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        app.start_command(Pause("x"))
        await until(pilot, lambda: texts[0] in screen_text(app))
        lines = [line.strip(" ▌") for line in screen_text(app).split("\n")]
        assert all(any(text in line for line in lines) for text in texts)
        assert not any(texts[0] in line and texts[-1] in line for line in lines if len(texts) > 1)
        assert_harmless(app)


async def test_a_copied_id_and_a_fetch_that_failed_are_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeSource(listed=(scenes.record(f"evil{EVIL}", JobState.WAITING),))
    app = make_app(source)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen) and "jobs 1-1" in screen_text(app))
        await pilot.press("c")
        await harmless(pilot, app, f"evil{SHOWN} copied")
        assert app.clipboard == f"evil{EVIL}", "the copied text is the id itself"
        await pilot.press("x")
        await harmless(pilot, app, f"Cancel job evil{SHOWN}")
        await pilot.press("escape")

        async def rejected(_query: object) -> None:
            raise Rejected

        monkeypatch.setattr(source, "jobs", rejected)
        await pilot.press("r")
        await harmless(pilot, app, f"not updated: no job {SHOWN}")


async def test_the_question_of_a_priority_is_cleaned() -> None:
    source = source_of(after)
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("4")
        await until(pilot, lambda: app.current_mode == "dead" and "by group" not in screen_text(app))
        await pilot.press("f")
        await until(pilot, lambda: "dead letters 1-" in screen_text(app))
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        assert_harmless(app)


async def test_captions_and_paths_of_pictures_are_cleaned(tmp_path: Path) -> None:
    path = f"frames/{EVIL}.png"
    named = scenes.record("done", JobState.COMPLETED, payload=scenes.PAYLOAD)
    app = make_app(FakeSource(jobs_by_id={"done": named}))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        app.open_job("done")
        await until(pilot, lambda: app.current_mode == "job" and "payload" in screen_text(app))
        app.workers.cancel_group(app, "poll")  # each view would report again that it has no bundle
        await settled(pilot, app)
        panel = app.screen.query_one(PreviewPanel)
        panel.show(named, BundleContents((BundleFile(path, 1, "image/png"),), {path: f"step {EVIL}"}))
        await harmless(pilot, app, f"step {SHOWN}")
        await harmless(pilot, app, f"1 of 1 · frames/{SHOWN}.png")
