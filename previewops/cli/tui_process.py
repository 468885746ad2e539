"""TUI of ``previewops up``: a separate process on the same terminal, so that neither blocks the other."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
from contextlib import suppress
from typing import Any

from previewops.cli.context import Context
from previewops.cli.deferred_output import DeferredOutput
from previewops.cli.output import flush
from previewops.process.parent_death import die_with_parent_argv

STOP_S = 5.0
"""Time in seconds that the TUI has to exit after SIGTERM."""

TERMINAL_RESET = (
    "\x1b[?1049l"
    + "".join(f"\x1b[?{mode}l" for mode in (1000, 1002, 1003, 1004, 1006, 1015, 2004))
    + ("\x1b[<u\x1b[?25h\x1b[0m")
)
"""Undoes the terminal modes of the TUI: alternate screen, mouse, focus, paste, keyboard, cursor, colours.

Control sequences of xterm (XTerm Control Sequences, "DEC Private Mode Reset") and of Kitty's keyboard protocol.
"""


async def run_tui_process(context: Context, url: str, *, theme: str | None, output: DeferredOutput) -> bool:
    """Runs the TUI until the user quits. Returns False if it failed.

    Cancelling ends the TUI. ``output`` holds lines back while the TUI runs, and prints them afterwards.
    """
    argv = [sys.executable, "-m", "previewops", "tui", "--leaving-stops"]
    if theme is not None:
        argv += ["--theme", theme]
    environ = {**os.environ, **context.env_overrides, "REDIS_URL": url}
    with output.deferred():
        before = _terminal_modes()
        tui = await asyncio.create_subprocess_exec(*die_with_parent_argv(argv, signal.SIGTERM), env=environ)
        try:
            await tui.wait()
        except asyncio.CancelledError:
            await _end(tui)
            raise
        finally:
            if tui.returncode != 0:
                _restore(before)
    if tui.returncode != 0:
        output.print(
            f"the TUI exited with status {tui.returncode}; the workers keep running (press Ctrl-C to stop them)"
        )
    return tui.returncode == 0


def _terminal_modes() -> list[Any] | None:
    """Returns the terminal's input modes, or None if the terminal is closed."""
    try:
        return termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError):
        return None


def _restore(modes: list[Any] | None) -> None:
    """Restores the terminal after a TUI that was killed and left it in raw mode."""
    if modes is None:
        return
    with suppress(termios.error, OSError):
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, modes)
        sys.stdout.write(TERMINAL_RESET)
        flush(sys.stdout)


async def _end(tui: asyncio.subprocess.Process) -> None:
    """Ends the TUI: SIGTERM, which lets it restore the terminal, then SIGKILL."""
    with suppress(ProcessLookupError):
        tui.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await tui.wait()
            return
    with suppress(ProcessLookupError):
        tui.kill()
    await tui.wait()
