"""A queue is recorded by the real program, and replayed in a real terminal after its server has stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cli_program import Program, queue_driver
from tests.recording_support import record_seconds
from tests.redis_server import RedisProcess
from tests.terminal import Terminal, needs_tmux

pytestmark = [needs_tmux, pytest.mark.redis]


@pytest.fixture
def open_replay(tmp_path: Path) -> Iterator[Callable[[Path], Terminal]]:
    terminals: list[Terminal] = []

    def open_it(path: Path) -> Terminal:
        command = [sys.executable, "-m", "previewops", "tui", "--replay", str(path)]
        environ = {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm-256color"}
        terminals.append(Terminal(tmp_path, command, environ, columns=100, rows=30))
        return terminals[-1]

    yield open_it
    for terminal in terminals:
        terminal.drop()


async def test_the_morning_after(
    redis_process: Callable[..., RedisProcess], tmp_path: Path, open_replay: Callable[[Path], Terminal]
) -> None:
    server = redis_process(persistent=False)
    async with queue_driver(server.url) as driver:
        await driver.add_dead_letters("dead-1", "dead-2")
        await driver.heartbeat()
    done = Program(tmp_path, server.url).run("record", "night.rec", "--every", "0.25", "--for", "2s")
    assert done.code == 0, done.err
    server.stop()
    screen = open_replay(tmp_path / "night.rec")
    await screen.shows("REPLAY", "preview-jobs", "recorded 20", "1 worker", "dead 2")
    screen.press("}")
    await screen.shows("REPLAY END 1x 0:00:01 of 0:00:01")
    screen.press("{", "h")
    await screen.shows("REPLAY HELD 1x 0:00:00 of 0:00:01")
    screen.press("4")
    await screen.shows("a recording contains no jobs")
    screen.press("6")
    await screen.shows("dead-2", "asset-missing")
    assert await screen.leave() == 0


async def test_a_file_that_is_not_a_recording_is_rejected(
    tmp_path: Path, open_replay: Callable[[Path], Terminal]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    screen = open_replay(path)
    assert await screen.end() == 2
    text = screen.text().replace("\n", "")
    assert "it begins with b'dear dia'" in text
    assert "Traceback" not in text


async def test_an_hour_can_be_left_at_once(tmp_path: Path, open_replay: Callable[[Path], Terminal]) -> None:
    record_seconds(tmp_path / "hour.rec", 600)
    screen = open_replay(tmp_path / "hour.rec")
    await screen.shows("REPLAY")
    assert await screen.leave() == 0
