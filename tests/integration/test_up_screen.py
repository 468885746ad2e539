"""`previewops up` in a terminal: the TUI, and no process left after it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.terminal import Terminal, needs_tmux

pytestmark = needs_tmux

TIMEOUT_S = 60.0


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[Terminal]:
    """Runs ``previewops up`` in a terminal."""
    environ = {
        "DATA_DIR": str(folder / "data"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TERM": "xterm-256color",
        "PREVIEW_HEALTH_CONFINEMENT": "limits",  # independent of this machine's kernel
    }
    command = [
        "env",
        "-u",
        "REDIS_URL",
        sys.executable,
        "-m",
        "previewops",
        "up",
        "--workers",
        "1",
        *arguments,
    ]
    terminal = Terminal(folder, command, environ, columns=120, rows=40)
    try:
        yield terminal
    finally:
        terminal.drop()


def one_with(family: list[psutil.Process], word: str) -> psutil.Process:
    """Returns the only process whose command line contains ``word``."""
    (result,) = [item for item in family if any(word in part for part in item.cmdline())]
    return result


@pytest.mark.parametrize("ending", ["left", "killed", "dropped"])
async def test_up_in_a_terminal_leaves_no_process(tmp_path: Path, ending: str) -> None:
    with up(tmp_path) as terminal:
        await terminal.shows("1 worker", "healthy", within_s=TIMEOUT_S)
        main = psutil.Process(terminal.pid)
        family = [main, *main.children(recursive=True)]
        assert one_with(family, "tui"), "the TUI is a separate process"
        if ending == "left":
            terminal.press("q")
            await terminal.shows("Workers and Redis on this machine will stop.")
            terminal.press("Tab", "Enter")
            assert await terminal.end(TIMEOUT_S) == 0
        elif ending == "killed":
            os.kill(main.pid, 9)
        else:
            terminal.drop()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=TIMEOUT_S)
        assert not [item for item in alive if item.status() != psutil.STATUS_ZOMBIE]


async def test_terminal_is_restored_after_a_kill(tmp_path: Path) -> None:
    with up(tmp_path) as terminal:
        await terminal.shows("1 worker", "healthy", within_s=TIMEOUT_S)
        one_with(psutil.Process(terminal.pid).children(), "tui").kill()
        screen = await terminal.shows("the TUI exited with status -9; the workers keep running")
        assert "Overview" not in screen, "the alternate screen is closed"
        terminal.press("C-c")
        await terminal.shows("draining the workers")
        assert await terminal.end(TIMEOUT_S) == 0


async def test_redis_restart_is_an_event_and_is_printed_after_the_tui(tmp_path: Path) -> None:
    with up(tmp_path) as terminal:
        await terminal.shows("1 worker", "healthy", within_s=TIMEOUT_S)
        one_with(psutil.Process(terminal.pid).children(recursive=True), "redis").kill()
        terminal.press("6")
        screen = await terminal.shows("redis-restarted", "Redis exited with status -9 and was restarted")
        assert "restarting it" not in screen, "output of `up` is held until the TUI ends"
        terminal.press("q")
        await terminal.shows("Workers and Redis on this machine will stop.")
        terminal.press("Tab", "Enter")
        await terminal.shows("Redis exited with status -9; restarting it")
        assert await terminal.end(TIMEOUT_S) == 0


async def test_demo_summary_is_printed_after_the_tui(tmp_path: Path) -> None:
    with up(tmp_path, "--demo") as terminal:
        await terminal.shows("completed 9", "dead 2", within_s=TIMEOUT_S)
        terminal.press("q")
        await terminal.shows("Workers and Redis on this machine will stop.")
        terminal.press("Tab", "Enter")
        screen = await terminal.shows("Open", "Next steps", "draining the workers")
        assert "sheet.webp" in screen
        assert await terminal.end(TIMEOUT_S) == 0
