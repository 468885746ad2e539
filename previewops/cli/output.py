"""Terminal output. All text is escaped here before it is printed."""

from __future__ import annotations

import errno
import json
import os
import sys
import termios
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from previewops.errors import PreviewopsError
from previewops.formatting import clean

if TYPE_CHECKING:
    from previewops.queue.tolerant_values import UnreadableKeys


class NotConfirmed(PreviewopsError):
    """The operator did not confirm."""

    code = "not-confirmed"


class OutputClosed(Exception):
    """The reader of our output has closed it. Not an OSError, which would be reported as a Redis failure."""


class OutputUnwritable(PreviewopsError):
    """Standard output or standard error cannot be written, for example to a full disk."""

    code = "output-unwritable"


def print_out(lines: str | Iterable[str] = "") -> None:
    """Prints lines to standard output."""
    _write(sys.stdout, _cleaned(lines))


def print_status(lines: str | Iterable[str]) -> None:
    """Prints lines to standard output and flushes it, for status lines that a pipe's reader gets at once."""
    print_out(lines)
    flush(sys.stdout)


def print_err(lines: str | Iterable[str]) -> None:
    """Prints notes and errors to standard error. Text that cannot be written is lost: the exit code remains."""
    with suppress(OutputClosed, OutputUnwritable):
        _write(sys.stderr, _cleaned(lines))


def print_unreadable(keys: UnreadableKeys) -> None:
    """Prints a note about stored keys that could not be read, if there are any."""
    if keys:
        print_err(f"note: {keys}")


def prompt(question: str) -> str:
    """Asks on standard error and returns the stripped reply; "" at the end of input."""
    _write(sys.stderr, clean(question) + " ")
    flush(sys.stderr)
    return sys.stdin.readline().strip() if sys.stdin is not None else ""


def print_json(value: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Prints a JSON object; ``indent=None`` prints one line."""
    # ASCII is independent of locale and terminal.
    _write(sys.stdout, json.dumps(value, ensure_ascii=True, indent=indent) + "\n")


def can_prompt() -> bool:
    """Whether standard input is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def _cleaned(lines: str | Iterable[str]) -> str:
    texts = [lines] if isinstance(lines, str) else lines
    return "".join(clean(line) + "\n" for text in texts for line in text.split("\n"))


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        raise OutputClosed
    try:
        stream.write(text)
    except OSError as error:
        raise output_error(error) from error


def flush(stream: TextIO | None) -> None:
    """Flushes ``stream``.

    Raises:
        OutputClosed: the reader has closed it.
        OutputUnwritable: write error.
    """
    if stream is None:
        return
    try:
        stream.flush()
    except OSError as error:
        raise output_error(error) from error


def output_error(error: OSError) -> OutputClosed | OutputUnwritable:
    """Returns the error of output that failed with ``error``."""
    if isinstance(error, BrokenPipeError) or is_terminal_gone(error):
        return OutputClosed()
    return OutputUnwritable(f"cannot write the output: {error.strerror or error}")


def is_terminal_gone(error: OSError) -> bool:
    """Whether ``error`` is an error of a terminal that has hung up."""
    return error.errno == errno.EIO and any(map(_has_hung_up, (sys.stdin, sys.stdout, sys.stderr)))


def _has_hung_up(stream: TextIO | None) -> bool:
    try:
        if stream is not None:
            termios.tcgetattr(stream.fileno())
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)  # ENOTTY is not a terminal
    except (OSError, ValueError):
        return False
    return False


def discard_output() -> None:
    """Redirects standard output to /dev/null, so that the interpreter's final flush cannot fail."""
    _discard(sys.stdout)


def discard_unwritten_errors() -> None:
    """Redirects standard error to /dev/null if it cannot be written, or the exit code would be that of the flush."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        _discard(sys.stderr)


def _discard(stream: TextIO | None) -> None:
    if stream is None:
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, stream.fileno())
    finally:
        os.close(null)
