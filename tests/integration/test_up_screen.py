"""`previewops up` in a terminal: it shows the screen, and nothing is left of either however they end."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from tests.terminal import Terminal, needs_tmux

pytestmark = needs_tmux

PATIENCE_S = 60.0


@pytest.mark.parametrize("ending", ["left", "killed", "dropped"])
async def test_up_shows_the_screen_and_leaves_no_process(tmp_path: Path, ending: str) -> None:
    environ = {
        "DATA_DIR": str(tmp_path / "data"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TERM": "xterm-256color",
    }
    words = ["env", "-u", "REDIS_URL", sys.executable, "-m", "previewops", "up", "--workers", "1"]
    terminal = Terminal(tmp_path, words, environ, columns=120, rows=40)
    try:
        await terminal.shows("1 worker", "healthy", within_s=PATIENCE_S)
        up = psutil.Process(terminal.pid)
        family = [up, *up.children(recursive=True)]
        assert any("tui" in each.cmdline() for each in family), "the screen is a process of its own"
        if ending == "left":
            terminal.press("q")
            await terminal.shows("Workers and Redis of this machine stop with it.")
            terminal.press("Tab", "Enter")
            assert await terminal.end(PATIENCE_S) == 0
        elif ending == "killed":
            os.kill(up.pid, 9)
        else:
            terminal.drop()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=PATIENCE_S)
        assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    finally:
        terminal.drop()
