"""Parser of environment files by the rules of systemd's EnvironmentFile= (systemd.exec(5)). Pure.

A process that systemd starts with a file and one that reads it here get the same variables. Nothing is expanded, and
a line that is not an assignment is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_BLANKS = " \t\n\r"
_LINE_ENDS = "\n\r"
_ESCAPABLE = '"\\`$'
"""Characters before which a backslash in double quotes disappears."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_environment(text: str) -> dict[str, str]:
    """Returns the variables of an environment file; the last assignment of a name counts."""
    parser = _Parser()
    state: _State = parser.before_name
    for character in text:
        state = state(character)
    if state not in (parser.before_name, parser.name, parser.comment, parser.comment_escape):
        parser.assign()
    return parser.variables


class _Parser:
    """State machine. Each method takes one character in its state and returns the next state."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self._name: list[str] = []
        self._value: list[str] = []
        self._kept = 0
        """Length of the value without the blanks at its end, which are kept only before more text."""

    def assign(self) -> None:
        """Stores the variable if its name is valid."""
        name = "".join(self._name).rstrip(_BLANKS)
        if _NAME.fullmatch(name):
            self.variables[name] = "".join(self._value[: self._kept])
        self._name, self._value, self._kept = [], [], 0

    def _append(self, text: str) -> None:
        self._value.append(text)
        self._kept = len(self._value)

    def before_name(self, character: str) -> _State:
        if character in "#;":
            return self.comment
        if character in _BLANKS:
            return self.before_name
        self._name.append(character)
        return self.name

    def name(self, character: str) -> _State:
        if character in _LINE_ENDS:
            self._name = []
            return self.before_name
        if character == "=":
            return self.before_value
        self._name.append(character)
        return self.name

    def before_value(self, character: str) -> _State:
        if character in _LINE_ENDS:
            self.assign()
            return self.before_name
        if character in _BLANKS:
            return self.before_value
        quotes = {"'": self.single_quoted, '"': self.double_quoted, "\\": self.value_escape}
        if character in quotes:
            return quotes[character]
        self._append(character)
        return self.value

    def value(self, character: str) -> _State:
        if character in _LINE_ENDS:
            self.assign()
            return self.before_name
        if character == "\\":
            self._kept = len(self._value)
            return self.value_escape
        if character in _BLANKS:
            self._value.append(character)
        else:
            self._append(character)
        return self.value

    def value_escape(self, character: str) -> _State:
        if character not in _LINE_ENDS:
            self._append(character)
        return self.value

    def single_quoted(self, character: str) -> _State:
        if character == "'":
            return self.before_value
        self._append(character)
        return self.single_quoted

    def double_quoted(self, character: str) -> _State:
        if character == '"':
            return self.before_value
        if character == "\\":
            return self.double_quoted_escape
        self._append(character)
        return self.double_quoted

    def double_quoted_escape(self, character: str) -> _State:
        if character in _ESCAPABLE:
            self._append(character)
        elif character != "\n":
            self._append("\\" + character)
        return self.double_quoted

    def comment(self, character: str) -> _State:
        if character == "\\":
            return self.comment_escape
        return self.before_name if character in _LINE_ENDS else self.comment

    def comment_escape(self, character: str) -> _State:
        return self.before_name if character in _LINE_ENDS else self.comment


_State = Callable[[str], "_State"]
