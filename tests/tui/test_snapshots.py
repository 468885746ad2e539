"""Every screen as a snapshot, at three sizes, with data, empty, paused, stale and read-only.

The pictures are SVG files in ``__snapshots__``; after a wanted change `python -m pytest tests/tui/test_snapshots.py
--snapshot-update` writes them again. Review them before you commit.
"""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.pilot import Pilot

from previewops.tui.app import OperatorApp
from previewops.tui.data.poller import SnapshotMissed
from previewops.tui.keymap import SCREENS
from previewops.tui.screens.base import OperatorScreen
from tests.tui import scenes
from tests.tui.screen_support import FakeSource, make_app, settled, until

DRAWN_BY = "8.2.8"
"""The Textual version that drew the pictures. Another one may draw frames and spaces differently."""

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}

_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


class SvgExtension(SingleFileSnapshotExtension):
    """One SVG file per snapshot."""

    _write_mode = WriteMode.TEXT
    _file_extension = "svg"


@pytest.fixture
def pictures(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(SvgExtension)


STATES = {
    "data": (scenes.BUSY, scenes.HEALTH, False),
    "empty": (scenes.EMPTY, scenes.WELL, False),
    "paused": (scenes.PAUSED, scenes.HEALTH, False),
    "stale": (scenes.BUSY, scenes.HEALTH, False),
    "read-only": (scenes.BUSY, scenes.HEALTH, True),
}


@pytest.fixture(scope="module", autouse=True)
def drawn_by_installed_textual() -> None:
    """Fails every test here under another Textual version: a skip would hide that nothing is compared."""
    installed = version("textual")
    assert installed == DRAWN_BY, (
        f"Textual: found {installed}, the pictures are drawn by {DRAWN_BY}. Install the versions of constraints.txt, "
        f'or set DRAWN_BY = "{installed}" in {__file__}, run `python -m pytest tests/tui/test_snapshots.py '
        "--snapshot-update` and look at the pictures that changed"
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES)
async def test_screens(state: str, size: str, pictures: SnapshotAssertion) -> None:
    scene, verdict, read_only = STATES[state]
    source = FakeSource(scene, verdict)
    if state == "empty":
        source.listed, source.dead_letters = (), ()
    app = make_app(source, read_only=read_only)
    async with app.run_test(size=SIZES[size]) as pilot:
        await until(pilot, lambda: app.view.health is not None)
        if state == "stale":
            await _visit_all(pilot, app)
            source.down = True
            app.poller.poll_now()
            await until(pilot, lambda: app.view.connection_loss is not None)
            app.workers.cancel_group(app, "poll")  # or the number of attempts would grow
            app.on_snapshot_missed(
                SnapshotMissed(app.view.connection_loss.reason if app.view.connection_loss else "", 1)
            )
        for number, (mode, _) in enumerate(SCREENS, 1):
            await _open(pilot, app, str(number), mode)
            assert pictures(name=f"{mode}-{state}-{size}") == _drawing(app)


async def _visit_all(pilot: Pilot[int], app: OperatorApp) -> None:
    """Has every screen fetch its data, so that something is shown when the connection is lost."""
    for number, (mode, _) in enumerate(SCREENS, 1):
        await _open(pilot, app, str(number), mode)


async def _open(pilot: Pilot[int], app: OperatorApp, key: str, mode: str) -> None:
    if mode == "job" and app.view.snapshot is not None and app.view.snapshot.dead:
        app.job_id = scenes.DEAD_JOB.job_id
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, OperatorScreen) and mode == app.screen.MODE)
    await settled(pilot, app)


def _drawing(app: OperatorApp) -> str:
    """The screen as SVG, without font URLs."""
    return _FONT_FACES.sub("", app.export_screenshot(title="previewops", simplify=True))
