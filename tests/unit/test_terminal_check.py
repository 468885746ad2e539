"""Terminals on which the screen cannot be drawn are rejected with one sentence."""

from __future__ import annotations

import io

import pytest

from previewops.cli.terminal_check import can_show_screen, check_terminal
from previewops.errors import EXIT_USAGE, UsageError


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


GOOD = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({**GOOD, "TERM": "dumb"}, "TERM: found dumb, allowed a terminal with cursor movements"),
        ({**GOOD, "TERM": ""}, "TERM: found no value"),
        ({**GOOD, "LC_ALL": "en_US.ISO-8859-1"}, "locale: found the encoding ISO-8859-1, allowed UTF-8"),
        ({**GOOD, "LC_ALL": "de_DE.ISO-8859-15@euro"}, "ISO-8859-15"),
        ({**GOOD, "LC_CTYPE": "ja_JP.eucJP"}, "eucJP"),
        ({**GOOD, "LANG": "en_US.no-such"}, "no-such"),
    ],
)
def test_a_terminal_that_cannot_show_the_screen_is_rejected(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        check_terminal(environ, Terminal(), Terminal())
    assert raised.value.exit_code == EXIT_USAGE == 2
    assert raised.value.hint
    assert "\n" not in raised.value.message
    assert not can_show_screen(environ, Terminal(), Terminal())


@pytest.mark.parametrize("locale", ["en_US.UTF-8", "en_US.utf8", "C", "POSIX", "", "C.UTF-8", "de_DE"])
def test_locales_whose_output_is_utf_8_are_accepted(locale: str) -> None:
    check_terminal({"TERM": "screen", "LC_ALL": locale}, Terminal(), Terminal())


@pytest.mark.parametrize(
    ("stdin", "stderr", "name"),
    [(io.StringIO(), Terminal(), "standard input"), (Terminal(), io.StringIO(), "standard error"),
     (Terminal(), None, "standard error")],
)  # fmt: skip
def test_the_stream_that_is_no_terminal_is_named(
    stdin: io.StringIO, stderr: io.StringIO | None, name: str
) -> None:
    with pytest.raises(UsageError, match=f"the screen needs a terminal: {name} is not one"):
        check_terminal(GOOD, stdin, stderr)
