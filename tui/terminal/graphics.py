"""Prepares terminal graphics before the screen starts: only then can the terminal be queried."""

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
"""Timeout of the terminal's reply in seconds. A later reply would be taken for keys."""

FAST_REPLY_S = 0.08
"""A slower terminal gets half blocks: the library waits 0.1 s per query, and images are large."""

_ATTRIBUTES = b"\x1b[c"  # DA1, which every terminal answers: \x1b[?62;4;...c, where 4 is Sixel
_SIXEL = b"4"
_MAX_BYTES = 128


def prepare_graphics(images: ImageMode, *, forced: bool) -> ImageMode:
    """The image mode after querying the terminal; imports the graphics library if it is needed.

    ``forced`` skips the check: PREVIEW_IMAGES names the mode.
    """
    if images not in (ImageMode.KITTY, ImageMode.SIXEL):
        return images
    if sys.__stdout__ is None or not sys.__stdout__.isatty():
        return ImageMode.BLOCKS  # the library writes to stdout
    started = time.monotonic()
    reply = _query_attributes()
    fast = reply is not None and time.monotonic() - started <= FAST_REPLY_S
    has_sixel = reply is not None and _SIXEL in reply.removeprefix(b"\x1b[?").removesuffix(b"c").split(b";")
    if not forced and (not fast or (images is ImageMode.SIXEL and not has_sixel)):
        return ImageMode.BLOCKS
    import textual_image.widget  # noqa: F401 - queries the terminal's cell size on import

    return images


def _query_attributes() -> bytes | None:
    """The terminal's primary device attributes, or None without a reply."""
    with suppress(OSError, ValueError, AttributeError, termios.error):
        stdin = sys.__stdin__.fileno()  # type: ignore[union-attr]
        before = termios.tcgetattr(stdin)
        tty.setcbreak(stdin, termios.TCSANOW)
        try:
            sys.__stdout__.buffer.write(_ATTRIBUTES)  # type: ignore[union-attr]
            sys.__stdout__.flush()  # type: ignore[union-attr]
            return _read_reply(stdin)
        finally:
            termios.tcsetattr(stdin, termios.TCSANOW, before)
    return None


def _read_reply(fd: int) -> bytes | None:
    deadline, reply = time.monotonic() + REPLY_TIMEOUT_S, b""
    while len(reply) < _MAX_BYTES:
        readable, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return None
        reply += os.read(fd, 1)
        if reply.startswith(b"\x1b[?") and reply.endswith(b"c"):
            return reply
    return None
