"""Terminal graphics: queried before the screen starts, and drawn."""

from __future__ import annotations

import fcntl
import importlib
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
from base64 import b64decode
from pathlib import Path

import pytest
from PIL import Image

from previewops.states import JobState
from previewops.tui.app import OperatorApp
from previewops.tui.screens.help.screen import HelpScreen
from previewops.tui.screens.job.preview import PreviewPanel
from previewops.tui.screens.job.screen import JobScreen
from previewops.tui.terminal.capabilities import ImageMode
from previewops.tui.widgets import graphic as graphic_module
from previewops.tui.widgets.graphic import Graphic
from tests.tui import scenes
from tests.tui.screen_support import FakeSource, make_app, until

SIZE = (120, 40)
ASK = """
import sys
from previewops.tui.terminal.graphics import prepare_graphics
from previewops.tui.terminal.capabilities import ImageMode
mode = prepare_graphics(ImageMode(sys.argv[1]), forced=sys.argv[2] == "forced")
print(mode, "textual_image" in sys.modules, file=sys.stderr)
"""


def detect(images: str, attributes: bytes | None, how: str = "auto") -> str:
    """The image mode in a terminal with those device attributes; None for a terminal that does not reply."""
    screen, keys = pty.openpty()
    fcntl.ioctl(keys, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 1200, 800))
    command = [sys.executable, "-c", ASK, images, how]
    with subprocess.Popen(command, stdin=keys, stdout=keys, stderr=subprocess.PIPE) as program:
        os.close(keys)
        output = b""
        while program.poll() is None:
            if select.select([screen], [], [], 0.05)[0]:
                output += _read(screen)
            if b"\x1b[c" in output and attributes is not None:
                output = output.replace(b"\x1b[c", b"", 1)
                os.write(screen, attributes)
        os.close(screen)
        assert program.stderr is not None
        return program.stderr.read().decode().strip()


def _read(screen: int) -> bytes:
    try:
        return os.read(screen, 1024)
    except OSError:  # the program has closed its end
        return b""


def test_a_terminal_that_reports_sixel_gets_it() -> None:
    assert detect("sixel", b"\x1b[?62;4;22c") == "sixel True"


def test_a_terminal_without_sixel_gets_blocks_without_an_import() -> None:
    assert detect("sixel", b"\x1b[?62;22c") == "blocks False"


def test_a_terminal_that_does_not_answer_gets_blocks() -> None:
    assert detect("kitty", None) == "blocks False"


def test_a_forced_image_mode_is_used() -> None:
    assert detect("sixel", b"\x1b[?62;22c", "forced") == "sixel True"


def test_blocks_need_no_terminal_query() -> None:
    assert detect("blocks", None) == "blocks False"


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The graphics library, imported without a terminal; records what it writes."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", written)
    importlib.import_module("textual_image.widget")
    return written


@pytest.fixture
def source(tmp_path: Path) -> FakeSource:
    folder = tmp_path / "previews" / "morris" / "done-3"
    (folder / "frames").mkdir(parents=True)
    Image.new("RGB", (640, 360), (200, 30, 30)).save(folder / "poster.png")
    Image.new("RGB", (640, 360), (30, 200, 30)).save(folder / "frames" / "000-title.png")
    job = scenes.record("done-3", JobState.COMPLETED, payload=scenes.PAYLOAD, result=scenes.RESULT)
    return FakeSource(jobs_by_id={"done-3": job, "lesson-500": scenes.DEAD_JOB}, bundles=tmp_path)


def drawn(graphic: Graphic) -> str:
    """Everything that the screen draws, including escape sequences."""
    strips = graphic.screen._compositor.render_strips()
    return "".join(segment.text for strip in strips for segment in strip)


def sent_to(app: OperatorApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that the app sends to its terminal by Kitty's protocol."""
    sent: list[str] = []

    def write(data: str) -> None:
        if data.startswith("\x1b_G"):
            sent.append(data)

    monkeypatch.setattr(app._driver, "write", write)
    return sent


@pytest.mark.usefixtures("library")
async def test_kitty_gets_the_image_and_placeholders(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(source, images=ImageMode.KITTY)
    async with app.run_test(size=SIZE) as pilot:
        sent = sent_to(app, monkeypatch)
        await until(pilot, lambda: app.view.snapshot is not None)
        app.open_job("done-3")
        await until(pilot, lambda: isinstance(app.screen, JobScreen) and app.screen.query(Graphic))
        graphic = app.screen.query_one(Graphic)
        await until(pilot, lambda: "\U0010eeee" in drawn(graphic))
        (message,) = sent
        number, red = received(message)
        assert (red.format, red.getpixel((1, 1))) == ("PNG", (200, 30, 30))
        place = graphic.children[0].size
        assert f"\x1b_Ga=p,i={number},c={place.width},r={place.height},U=1,q=2\x1b\\" in message
        app.poller.poll_now()
        await until(pilot, lambda: len(source.snapshot_queries) >= 2)
        assert sent == [message], "an unchanged image is not sent again"
        await pilot.press("n")
        await until(pilot, lambda: len(sent) == 2)
        freed, following = sent[1].split("\x1b\\", 1)
        assert freed == f"\x1b_Ga=d,d=I,i={number},q=2", "the old one is freed, the next one sent"
        assert received(following)[1].getpixel((1, 1)) == (30, 200, 30)
        await pilot.press("N")
        await until(pilot, lambda: len(sent) == 3)
        assert sent[2].endswith(message), "an image shown before is prepared only once"
        app.open_job("lesson-500")
        await until(pilot, lambda: not graphic.display and "\U0010eeee" not in drawn(graphic))
        freeing = f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"
        assert sent[3:] == [freeing]
        app.open_job("done-3")
        await until(pilot, lambda: graphic.display and "\U0010eeee" in drawn(graphic))
    assert sent[-1] == freeing, "nor does it stay when the program ends"


def received(message: str) -> tuple[int, Image.Image]:
    """The id and the image that a terminal decodes from a message."""
    pieces = re.findall(r"\x1b_Gi=(\d+),f=100,q=2,m=([01]);([^\x1b]*)\x1b\\", message)
    assert [more for _, more, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, _, data in pieces)
    (number,) = {number for number, _, _ in pieces}
    return int(number), Image.open(io.BytesIO(b64decode("".join(data for _, _, data in pieces))))


@pytest.mark.usefixtures("library")
async def test_keys_are_handled_while_a_kitty_image_is_prepared(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, encode = threading.Event(), threading.Event(), graphic_module.in_pieces

    def held(number: int, image: Image.Image) -> str:
        begun.set()
        assert may_end.wait(60)
        return encode(number, image)

    monkeypatch.setattr(graphic_module, "in_pieces", held)
    app = make_app(source, images=ImageMode.KITTY)
    async with app.run_test(size=SIZE) as pilot:
        try:
            await until(pilot, lambda: app.view.snapshot is not None)
            app.open_job("done-3")
            await until(pilot, begun.is_set)
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, JobScreen))
        finally:
            may_end.set()
        await until(pilot, lambda: "\U0010eeee" in drawn(app.screen.query_one(Graphic)))


async def test_sixels_are_drawn_in_place_and_not_below_dialogs(
    source: FakeSource, library: io.StringIO
) -> None:
    app = make_app(source, images=ImageMode.SIXEL)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        app.open_job("done-3")
        await until(pilot, lambda: isinstance(app.screen, JobScreen) and app.screen.query(Graphic))
        graphic, panel = app.screen.query_one(Graphic), app.screen.query_one(PreviewPanel)
        await until(pilot, lambda: "\x1bP" in drawn(graphic))
        place = graphic.children[0].region
        assert panel.region.contains_region(place)
        assert f"\x1b[{place.y + 1};{place.x + 1}H\x1bP" in drawn(graphic)
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen is not graphic.screen)
        graphic.children[0].refresh()
        assert "\x1bP" not in "".join(
            segment.text
            for strip in graphic.children[0].render_lines(place.at_offset((0, 0)))
            for segment in strip
        )
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is graphic.screen and "\x1bP" in drawn(graphic))
