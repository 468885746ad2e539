"""Whether the operator's screen can be drawn: a terminal with cursor movements and an encoding with its glyphs."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import TextIO

from previewops.errors import UsageError

_SCRIPTS = "use `previewops stats --json` or `previewops health` in scripts"


def check_terminal(environ: Mapping[str, str], stdin: TextIO | None, stderr: TextIO | None) -> None:
    """Raises UsageError with the reason if the screen cannot be drawn."""
    problem = terminal_problem(environ, stdin, stderr)
    if problem is not None:
        message, hint = problem
        raise UsageError(message, hint=hint)


def can_show_screen(environ: Mapping[str, str], stdin: TextIO | None, stderr: TextIO | None) -> bool:
    """Whether the screen can be drawn."""
    return terminal_problem(environ, stdin, stderr) is None


def terminal_problem(
    environ: Mapping[str, str], stdin: TextIO | None, stderr: TextIO | None
) -> tuple[str, str] | None:
    """The message and the hint why the screen cannot be drawn, or None."""
    for name, stream in (("standard input", stdin), ("standard error", stderr)):
        if stream is None or not stream.isatty():
            return f"the screen needs a terminal: {name} is not one", _SCRIPTS
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        found = term or "no value"
        return (
            f"TERM: found {found}, allowed a terminal with cursor movements",
            "set TERM, for example to xterm-256color",
        )
    encoding = _locale_encoding(environ)
    if encoding is not None:
        return (
            f"locale: found the encoding {encoding}, allowed UTF-8",
            "set LC_ALL to a locale with UTF-8, for example C.UTF-8",
        )
    return None


def _locale_encoding(environ: Mapping[str, str]) -> str | None:
    """The encoding that the locale names, if it is not UTF-8. C and POSIX name none: Python writes UTF-8 there."""
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    _, dot, encoding = locale.partition("@")[0].partition(".")
    if not dot:
        return None
    try:
        return None if codecs.lookup(encoding).name == "utf-8" else encoding
    except LookupError:
        return encoding
