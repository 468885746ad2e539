"""The one way to the terminal. Whatever is printed is cleaned here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from previewops.errors import PreviewopsError
from previewops.formatting import clean


class OutputClosed(Exception):
    """Whoever read our output has gone. Not an OSError, lest it be taken for a failure of Redis."""


def print_out(lines: str | Iterable[str] = "") -> None:
    """Prints lines for a person on standard output."""
    _write(sys.stdout, _cleaned(lines))


def print_status(lines: str | Iterable[str]) -> None:
    """Like ``say``, for whoever watches: the reader of a pipe gets it at once too."""
    print_out(lines)
    flush(sys.stdout)


def print_err(lines: str | Iterable[str]) -> None:
    """Prints lines beside the output proper, on standard error: notes, questions, errors."""
    _write(sys.stderr, _cleaned(lines))


def prompt(question: str) -> str:
    """Asks on standard error and returns the answer without its line end; "" at the end of input."""
    _write(sys.stderr, clean(question) + " ")
    flush(sys.stderr)
    return sys.stdin.readline().strip() if sys.stdin is not None else ""


def print_json(value: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Prints a JSON object. ``indent`` None puts it on one line."""
    _write(sys.stdout, json_text(value, indent=indent) + "\n")


def json_text(value: Mapping[str, Any], *, indent: int | None = None) -> str:
    """``value`` as JSON in ASCII, so that no locale and no terminal can misread it."""
    return json.dumps(value, ensure_ascii=True, indent=indent)


def can_prompt() -> bool:
    """Whether a person is there to answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def _cleaned(lines: str | Iterable[str]) -> str:
    whole = [lines] if isinstance(lines, str) else lines
    return "".join(clean(line) + "\n" for text in whole for line in text.split("\n"))


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        raise OutputClosed
    try:
        stream.write(text)
    except OSError as error:
        raise _told(error) from error


def flush(stream: TextIO | None) -> None:
    """Has what was printed leave this process.

    Raises:
        OutputClosed: nobody reads it any more.
        PreviewopsError: it cannot be stored.
    """
    if stream is None:
        return
    try:
        stream.flush()
    except OSError as error:
        raise _told(error) from error


def _told(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return OutputClosed()
    return PreviewopsError(f"the output cannot be written: {error.strerror or error}")


def discard_output() -> None:
    """Sends what standard output still holds nowhere, so that the interpreter's flush at the end cannot fail."""
    if sys.stdout is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)
