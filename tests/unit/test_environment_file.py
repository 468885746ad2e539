"""Environment files are read by systemd's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.supervisor.environment_file import parse_environment
from previewops.supervisor.systemd_backend import format_environment_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n B = two words \n", {"A": "1", "B": "two words"}),
        ("# A=1\n; B=2\n\nC=x=y\nD=\n", {"C": "x=y", "D": ""}),
        ("A=1", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        # Quotes: of one kind, joined, in the middle of a value, never closed.
        ("A='it is'\nB=\"\"\n", {"A": "it is", "B": ""}),
        ("A='it'\"'\"'s'\n", {"A": "it's"}),
        ("A='a' \"b\" c\n", {"A": "abc"}),
        ("A=a\"b\"c'd'\n", {"A": "a\"b\"c'd'"}),
        ("A='x\nB=1\n", {"A": "x\nB=1\n"}),
        # Escapes: outside quotes any character, in double quotes four, in single quotes none.
        ("A=p\\\\q\\$r\\ \n", {"A": "p\\q$r "}),
        ('A="p\\"q\\\\r\\$s\\`t\\n"\n', {"A": 'p"q\\r$s`t\\n'}),
        ("A='p\\q\\'\n", {"A": "p\\q\\"}),
        # Continuation, and values of several lines.
        ("A=one \\\n  two\nB=3\n", {"A": "one   two", "B": "3"}),
        ('A="one\\\ntwo\nthree"\n', {"A": "onetwo\nthree"}),
        # Nothing is expanded, and # within a value is text.
        ("A=$HOME ${B} `c`\nB=a # b\n", {"A": "$HOME ${B} `c`", "B": "a # b"}),
        # Lines that are not assignments are ignored.
        ("A\n1B=2\nexport C=3\nD-E=4\n=5\nF=6\n", {"F": "6"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("# comment \\\nA=1\n", {"A": "1"}),
    ],
)
def test_variables(text: str, expected: dict[str, str]) -> None:
    assert parse_environment(text) == expected


PRINTABLE = st.text(st.characters(exclude_characters="\x00\r", exclude_categories=("Cs", "Cc")), max_size=20)


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), PRINTABLE, max_size=4))
def test_a_written_file_is_read_back(environ: dict[str, str]) -> None:
    assert parse_environment(format_environment_file(environ)) == environ


@given(st.text(alphabet="AB= \t\n'\"\\#;$1", max_size=40))
def test_any_text_is_read(text: str) -> None:
    assert all(name.isidentifier() for name in parse_environment(text))
