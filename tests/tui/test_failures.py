"""Failures below the screen: shown where the data is missing, without ending the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from redis.exceptions import ResponseError

from previewops.states import JobState
from previewops.tui.data.error_boundary import UnexpectedError, with_error_boundary
from previewops.tui.keymap import SCREENS
from previewops.tui.protocols import JobQuery
from tests.tui import scenes
from tests.tui.screen_support import FakeSource, make_app, screen_text, settled, until

SIZE = (140, 45)
BUSY = ResponseError("BUSY Redis is busy running a script")
TOLD = "unexpected ResponseError: BUSY"


async def test_unexpected_exceptions_become_displayable_errors() -> None:
    source = FakeSource(fault=BUSY)
    with pytest.raises(UnexpectedError, match="unexpected ResponseError: BUSY") as caught:
        await with_error_boundary(source).jobs(JobQuery())
    assert caught.value.__cause__ is BUSY


@pytest.mark.parametrize("before", [False, True], ids=["from the start", "later"])
async def test_unexpected_errors_do_not_end_the_screen(before: bool) -> None:
    source = FakeSource(fault=None if before else BUSY)
    app = make_app(source)
    app.job_id = "lesson-10"  # runs
    shown: dict[str, str] = {}
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        for number, (mode, _) in enumerate(SCREENS, 1):
            source.fault = None if before else BUSY
            await pilot.press(str(number))
            await until(pilot, lambda mode=mode: app.current_mode == mode)  # type: ignore[misc]
            await settled(pilot, app)
            source.fault = BUSY
            app._health_poller._begun_s = None
            dead = source.snapshot.dead + 1
            source.snapshot = replace(source.snapshot, dead=dead)
            app.poller.poll_now()
            await until(pilot, lambda dead=dead: app.view.snapshot.dead == dead)  # type: ignore[misc,union-attr]
            await settled(pilot, app)
            shown[mode] = screen_text(app)
            assert app.is_running
    assert [mode for mode in ("jobs", "job", "dead") if TOLD not in shown[mode]] == []


async def test_a_failed_count_is_reported() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("4")
        await until(pilot, lambda: "5 groups" in screen_text(app))
        source.fault = BUSY
        await pilot.press("r")
        await until(
            pilot, lambda: "Failed" in screen_text(app) and "unexpected ResponseError" in screen_text(app)
        )


@pytest.mark.parametrize(
    ("mode", "count_fetches"),
    [
        ("2", lambda source: len(source.queries)),
        ("3", lambda source: len(source.opened)),
        ("4", lambda source: len(source.opened)),
    ],
)
async def test_nothing_is_fetched_while_disconnected(
    mode: str, count_fetches: Callable[[FakeSource], int]
) -> None:
    source = FakeSource(jobs_by_id={"run": scenes.record("run", JobState.ACTIVE, payload=scenes.PAYLOAD)})
    app = make_app(source)
    app.job_id = "run"
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press(mode)
        await until(pilot, lambda: app.current_mode != "overview")
        await settled(pilot, app)
        source.down = True
        app.poller.poll_now()
        await until(pilot, lambda: app.view.connection_loss is not None)
        await settled(pilot, app)
        before, tries = count_fetches(source), app.view.connection_loss.tries  # type: ignore[union-attr]
        await pilot.press("j")
        await until(
            pilot, lambda: app.view.connection_loss is not None and app.view.connection_loss.tries > tries
        )
        await settled(pilot, app)
        assert count_fetches(source) == before
        await until(pilot, lambda: "not updated: Redis at" in screen_text(app))
        source.down = False
        app.poller.poll_now()
        await until(pilot, lambda: app.view.connection_loss is None and "not updated" not in screen_text(app))
