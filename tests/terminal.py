"""A real terminal for tests: a separate tmux server that types keys and reads the screen."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

PATIENCE_S = 60.0

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


_SHELL = """
trap : HUP INT QUIT TERM
sh -c 'echo $$ > "$0/program.new"; mv "$0/program.new" "$0/program.pid"; exec "$@"' "$0" "$@"
echo $? > "$0/program.new"; mv "$0/program.new" "$0/program.status"
"""
"""Runs the arguments after the folder as a command, and writes its pid and exit status into the folder.

tmux 3.3 may never reap the process of a window, which then stays a zombie: this shell reaps it.
It ignores the signals that a terminal sends to its processes; the program gets their default handlers.
"""


class Terminal:
    """One window that runs one program; ``pid`` is the pid of the program."""

    def __init__(
        self, folder: Path, command: Sequence[str], environ: Mapping[str, str], *, columns: int, rows: int
    ) -> None:
        self._socket = folder / "tmux.sock"
        self._pid_file = folder / "program.pid"
        self._status_file = folder / "program.status"
        options = folder / "tmux.conf"
        options.write_text("set-option -g remain-on-exit on\n", "utf-8")
        # The size in the tests' environment is not the size of this terminal.
        environment = ["env", "-u", "COLUMNS", "-u", "LINES", *(f"{k}={v}" for k, v in environ.items())]
        size = ("-x", str(columns), "-y", str(rows))
        shell_command = ("sh", "-c", _SHELL, str(folder), *environment, *command)
        self._tmux("-f", str(options), "new-session", "-d", *size, "-s", "test", *shell_command)
        self.pid = self._begun()

    def _begun(self) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while not self._pid_file.exists():
            assert time.monotonic() < deadline, f"it has not begun within {PATIENCE_S} s\n{self.text()}"
            time.sleep(0.01)
        return int(self._pid_file.read_text("utf-8"))

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
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
        """The text on the screen."""
        return self._tmux("capture-pane", "-p")

    async def shows(self, *texts: str, within_s: float = PATIENCE_S) -> str:
        """Waits until all the texts are on the screen at once, and returns it."""
        return await self._seen(
            lambda screen: all(text in screen for text in texts), f"{texts} shown", within_s
        )

    async def hides(self, text: str, within_s: float = PATIENCE_S) -> str:
        """Waits until the text has left the screen, and returns the screen."""
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
        """Presses q until the program has ended, since it may miss the first key; returns its exit status."""
        deadline = time.monotonic() + within_s
        while True:
            self.press("q")
            with suppress(AssertionError):
                return await self.end(1.0)
            assert time.monotonic() < deadline, f"it has not ended within {within_s} s\n{self.text()}"

    async def end(self, within_s: float = PATIENCE_S) -> int:
        """Waits until the program has ended, and returns its exit status: 128 + n if signal n ended it."""
        deadline = time.monotonic() + within_s
        while not self._status_file.exists():
            assert time.monotonic() < deadline, f"it has not ended within {within_s} s\n{self.text()}"
            await asyncio.sleep(0.05)
        return int(self._status_file.read_text("utf-8"))

    def drop(self) -> None:
        """Closes the terminal, as when a connection breaks: its programs get SIGHUP."""
        subprocess.run(
            ["tmux", "-S", str(self._socket), "kill-server"], check=False, capture_output=True, timeout=60
        )
