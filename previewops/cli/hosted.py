"""The screen of ``up``: a process of its own on the same terminal, so that neither can hold up the other."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

from previewops.cli.context import Context
from previewops.cli.output import announce
from previewops.tether import tethered

STOP_S = 5.0
"""How long a screen that was asked to end may take, in seconds."""


async def show_screen(context: Context, url: str, *, theme: str | None) -> bool:
    """Has the screen on the terminal until it is left; True when it was, False when it broke down.

    Cancelling takes it off the terminal.
    """
    words = [sys.executable, "-m", "previewops", "tui", "--leaving-stops"]
    if theme is not None:
        words += ["--theme", theme]
    environ = {**os.environ, **context.overlay, "REDIS_URL": url}
    screen = await asyncio.create_subprocess_exec(*tethered(words, signal.SIGTERM), env=environ)
    try:
        status = await screen.wait()
    except asyncio.CancelledError:
        await _end(screen)
        raise
    if status != 0:
        announce(f"the screen ended with status {status}; the workers go on, Ctrl-C stops them")
    return status == 0


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
