"""The screen of ``up``: a process of its own on the same terminal, so that neither can hold up the other."""

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
"""How long a screen that was asked to end may take, in seconds."""

TERMINAL_RESET = (
    "\x1b[?1049l"
    + "".join(f"\x1b[?{mode}l" for mode in (1000, 1002, 1003, 1004, 1006, 1015, 2004))
    + ("\x1b[<u\x1b[?25h\x1b[0m")
)
"""Takes back what a screen asks of a terminal: the second page, mouse, focus, paste, keys, no cursor, colours.

Control sequences of xterm (XTerm Control Sequences, "DEC Private Mode Reset") and of Kitty's keyboard protocol.
"""


async def run_tui_process(context: Context, url: str, *, theme: str | None, voice: DeferredOutput) -> bool:
    """Has the screen on the terminal until it is left; True when it was, False when it broke down.

    Cancelling takes it off the terminal. What ``voice`` is told meanwhile is said afterwards.
    """
    words = [sys.executable, "-m", "previewops", "tui", "--leaving-stops"]
    if theme is not None:
        words += ["--theme", theme]
    environ = {**os.environ, **context.env_overrides, "REDIS_URL": url}
    with voice.deferred():
        before = _terminal_modes()
        screen = await asyncio.create_subprocess_exec(
            *die_with_parent_argv(words, signal.SIGTERM), env=environ
        )
        try:
            await screen.wait()
        except asyncio.CancelledError:
            await _end(screen)
            raise
        finally:
            if screen.returncode != 0:
                _restore(before)
    if screen.returncode != 0:
        voice.print(f"the screen ended with status {screen.returncode}; the workers go on, Ctrl-C stops them")
    return screen.returncode == 0


def _terminal_modes() -> list[Any] | None:
    """How the terminal takes input, None if it is gone."""
    try:
        return termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError):
        return None


def _restore(modes: list[Any] | None) -> None:
    """Makes the terminal what it was: a screen that was killed took nothing back, not even raw input."""
    if modes is None:
        return
    with suppress(termios.error, OSError):
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, modes)
        sys.stdout.write(TERMINAL_RESET)
        flush(sys.stdout)


async def _end(screen: asyncio.subprocess.Process) -> None:
    """SIGTERM has it restore the terminal; one that does not heed it is killed."""
    with suppress(ProcessLookupError):
        screen.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await screen.wait()
            return
    with suppress(ProcessLookupError):
        screen.kill()
    await screen.wait()
