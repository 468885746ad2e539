"""Makes a terminal's own graphics ready before the screen starts, as only then it can be asked what it has."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from contextlib import suppress

from previewops.tui.terminal.capabilities import ImageMode

REPLY_TIMEOUT_S = 1.0
"""A late answer would be taken for keys that the operator has pressed: it is waited for this long."""

FAST_REPLY_S = 0.08
"""Slower lines have half blocks: the library waits 0.1 s for each of its questions, and pictures are large."""

_ATTRIBUTES = b"\x1b[c"  # DA1, which every terminal answers: \x1b[?62;4;...c, where 4 is Sixel
_SIXEL = b"4"
_MOST_BYTES = 128


def prepare_graphics(images: ImageMode, *, forced: bool) -> ImageMode:
    """How pictures can be drawn, once the terminal has been asked; imports what that takes.

    ``forced`` takes the terminal's graphics for granted: somebody who knows it has asked for them.
    """
    if images not in (ImageMode.KITTY, ImageMode.SIXEL):
        return images
    if sys.__stdout__ is None or not sys.__stdout__.isatty():
        return ImageMode.BLOCKS  # the library writes there
    started = time.monotonic()
    answer = _asked()
    quick = answer is not None and time.monotonic() - started <= FAST_REPLY_S
    has_sixel = answer is not None and _SIXEL in answer.removeprefix(b"\x1b[?").removesuffix(b"c").split(b";")
    if not forced and (not quick or (images is ImageMode.SIXEL and not has_sixel)):
        return ImageMode.BLOCKS
    import textual_image.widget  # noqa: F401 - it asks the terminal for the size of a cell when it is imported

    return images


def _asked() -> bytes | None:
    """The terminal's primary device attributes, or None if it does not answer."""
    with suppress(OSError, ValueError, AttributeError, termios.error):
        stdin = sys.__stdin__.fileno()  # type: ignore[union-attr]
        before = termios.tcgetattr(stdin)
        tty.setcbreak(stdin, termios.TCSANOW)
        try:
            sys.__stdout__.buffer.write(_ATTRIBUTES)  # type: ignore[union-attr]
            sys.__stdout__.flush()  # type: ignore[union-attr]
            return _answer(stdin)
        finally:
            termios.tcsetattr(stdin, termios.TCSANOW, before)
    return None


def _answer(fd: int) -> bytes | None:
    give_up, answer = time.monotonic() + REPLY_TIMEOUT_S, b""
    while len(answer) < _MOST_BYTES:
        readable, _, _ = select.select([fd], [], [], max(0.0, give_up - time.monotonic()))
        if not readable:
            return None
        answer += os.read(fd, 1)
        if answer.startswith(b"\x1b[?") and answer.endswith(b"c"):
            return answer
    return None
