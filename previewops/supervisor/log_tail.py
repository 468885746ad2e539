"""The last lines of a worker's log, for an operator on any host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from previewops.disclosure import redact
from previewops.message_formatting import escape_unprintable

LogSource: TypeAlias = Path | tuple[str, ...]
"""A file, or the command that prints the log."""

JOURNAL_OPTIONS = ("--lines=50", "--output=cat", "--no-pager", "--quiet")
"""Options of journalctl with which it prints the end of a log."""

MAX_LINES = 50
MAX_BYTES = 16 * 1024
"""Maximum of what is sent through Redis."""

MAX_LINE = 1_000
_READ_BYTES = 64 * 1024
_COMMAND_TIMEOUT_S = 5.0


def describe_log(source: LogSource) -> str:
    """Returns the path of a log, or the command that shows it."""
    return str(source) if isinstance(source, Path) else " ".join(source)


class LogUnavailable(Exception):
    """The log cannot be read; the message says why."""


async def read_log_tail(source: LogSource) -> str:
    """Returns the last ``MAX_LINES`` lines in ``MAX_BYTES`` of UTF-8 at most, redacted and on plain lines.

    Raises:
        LogUnavailable: the file or the command cannot be read.
    """
    if isinstance(source, Path):
        raw = await asyncio.to_thread(_read_end, source)
    else:
        raw = await _run((*source, *JOURNAL_OPTIONS))
    return format_tail(raw)


def format_tail(raw: bytes) -> str:
    """Returns the last lines of a log: redacted, without control characters, long ones cut."""
    lines = raw.decode("utf-8", "replace").splitlines()[-MAX_LINES:]
    kept: list[str] = []
    space = MAX_BYTES
    for line in reversed(lines):
        text = escape_unprintable(redact(line[: 2 * MAX_LINE]))
        text = text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"
        space -= len(text.encode()) + 1
        if space < 0:
            break
        kept.append(text)
    return "\n".join(reversed(kept))


def _read_end(path: Path) -> bytes:
    try:
        # Not a FIFO that somebody put in its place: opening that would block.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _READ_BYTES))
            raw = log.read(_READ_BYTES)
    except OSError as error:
        raise LogUnavailable(f"{path}: {error.strerror}") from error
    # The first line may begin in its middle.
    return raw.partition(b"\n")[2] if size > _READ_BYTES else raw


async def _run(argv: Sequence[str]) -> bytes:
    command = " ".join(argv)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise LogUnavailable(f"{command}: {error.strerror}") from error
    try:
        async with asyncio.timeout(_COMMAND_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise LogUnavailable(f"{command}: no output within {_COMMAND_TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise LogUnavailable(f"{command}: exit status {process.returncode}")
    return output[-_READ_BYTES:]
