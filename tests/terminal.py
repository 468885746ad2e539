"""A real terminal for tests: tmux, with a server of its own, which types keys and tells what stands on the screen."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

PATIENCE_S = 60.0

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """One window in which one program runs. Its pid is that of the program."""

    def __init__(
        self, folder: Path, command: Sequence[str], environ: Mapping[str, str], *, columns: int, rows: int
    ) -> None:
        self._socket = folder / "tmux.sock"
        # exec: the pane's process is the program itself, so its pid and its end can be watched.
        # Whatever size the tests' own environment claims is not this terminal's.
        words = [
            "env",
            "-u",
            "COLUMNS",
            "-u",
            "LINES",
            *(f"{name}={value}" for name, value in environ.items()),
            *command,
        ]
        self._tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            str(columns),
            "-y",
            str(rows),
            "-s",
            "test",
            "exec " + _quoted(words),
        )
        self._tmux("set-option", "-g", "remain-on-exit", "on")
        self.pid = int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *words], check=True, capture_output=True, text=True, timeout=20
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        """Types keys by tmux's names: ``p``, ``Enter``, ``Escape``, ``C-s``."""
        for key in keys:
            self._tmux("send-keys", key)

    def press_at_once(self, *keys: str) -> None:
        """Types keys that arrive together, as over a slow line."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Types text as it is."""
        self._tmux("send-keys", "-l", text)

    def text(self) -> str:
        """What stands on the screen."""
        return self._tmux("capture-pane", "-p")

    async def shows(self, *texts: str, within_s: float = PATIENCE_S) -> str:
        """Waits until all the texts stand on the screen at once, and returns it."""
        return await self._seen(
            lambda screen: all(text in screen for text in texts), f"{texts} shown", within_s
        )

    async def hides(self, text: str, within_s: float = PATIENCE_S) -> str:
        """Waits until the text is no more on the screen, and returns the screen."""
        return await self._seen(lambda screen: text not in screen, f"{text!r} gone", within_s)

    async def _seen(self, predicate: Callable[[str], bool], what: str, within_s: float) -> str:
        deadline = time.monotonic() + within_s
        while True:
            screen = self.text()
            if predicate(screen):
                return screen
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}\n{screen}"
            await asyncio.sleep(0.05)

    async def leave(self, within_s: float = PATIENCE_S) -> int:
        """Presses q until the program has ended, and returns its exit status: one that starts may not hear it yet."""
        deadline = time.monotonic() + within_s
        while True:
            self.press("q")
            with suppress(AssertionError):
                return await self.end(1.0)
            assert time.monotonic() < deadline, f"it has not ended within {within_s} s\n{self.text()}"

    async def end(self, within_s: float = PATIENCE_S) -> int:
        """Waits until the program has ended, and returns its exit status, or the negative number of a signal."""
        deadline = time.monotonic() + within_s
        while (status := self._status()) is None:
            assert time.monotonic() < deadline, f"it has not ended within {within_s} s\n{self.text()}"
            await asyncio.sleep(0.05)
        return status

    def _status(self) -> int | None:
        """None while the program runs. tmux 3.3 may close a window and never ask how its program has ended."""
        told = self._tmux("display-message", "-p", "#{pane_dead}:#{pane_dead_status}").strip()
        dead, status = told.split(":")
        if status:
            return int(status)
        if dead != "1":
            return None
        with suppress(FileNotFoundError):
            state, *_, code = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return os.waitstatus_to_exitcode(int(code)) if state == "Z" else None
        return None

    def drop(self) -> None:
        """The terminal goes away, as when a connection breaks: its programs are hung up on."""
        subprocess.run(
            ["tmux", "-S", str(self._socket), "kill-server"], check=False, capture_output=True, timeout=20
        )


def _quoted(words: Sequence[str]) -> str:
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
