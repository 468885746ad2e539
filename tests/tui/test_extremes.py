"""Whole screens with extreme values at several sizes: nothing overlaps, no figure is cut."""

from __future__ import annotations

import re

import pytest

from previewops.states import JobState
from previewops.tui.keymap import SCREENS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.widgets.panel import Panel
from tests.property.test_screen_geometry import COLLISION, CUT
from tests.tui import extremes
from tests.tui.screen_support import FakeSource, make_app, screen_text, settled, until

SIZES = ((80, 24), (97, 31), (120, 40), (200, 60), (250, 70), (60, 15))


@pytest.mark.parametrize("count", [extremes.HUGE, 99_949])
async def test_no_screen_cuts_a_figure(count: int) -> None:
    source = FakeSource(extremes.snapshot(count, name="name"), extremes.health(count))
    source.listed = tuple(extremes.record(state, count, name=f"{state}-{'x' * 40}") for state in JobState)
    source.ended = extremes.breakdowns(count, name="name")
    source.loads = extremes.loads(count, name="name")
    source.dead_letters = tuple(
        extremes.record(JobState.DEAD, count, name=f"dead-{'y' * place}", finished_ms=extremes.NOW_MS - place)
        for place in range(1, 4)
    )
    app = make_app(source)
    async with app.run_test(size=SIZES[0]) as pilot:
        await until(pilot, lambda: app.view.health is not None)
        for number, (mode, _) in enumerate(SCREENS, 1):
            if mode != "job":
                await pilot.press(str(number))
                await until(
                    pilot,
                    lambda mode=mode: isinstance(app.screen, OperatorScreen) and mode == app.screen.MODE,
                )
            for size in SIZES:
                await pilot.resize_terminal(*size)
                await settled(pilot, app)
                for panel in app.screen.query(Panel):
                    seen = panel.display and panel.is_among_shown
                    assert not seen or panel.region.bottom < size[1], (mode, size, panel.id)
                for row in screen_text(app).splitlines():
                    text = re.sub(r"[│╭╮╰╯─]", " ", row)
                    assert not COLLISION.search(text), (mode, size, text)
                    assert not CUT.search(text), (mode, size, text)
