"""The members of a form and the parameters of a query, read strictly: everything that is off is told at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

from previewops.api.errors import BadForm, BadParameter, Refusal
from previewops.contract import parse_payload
from previewops.contract.wording import pointer, printable, shorten, show
from previewops.errors import InvalidPayload, Violation
from previewops.text import parse_age_ms

MOST_BYTES = 65_536
WHO_CHARACTERS = 100
REASON_CHARACTERS = 500
WORD_CHARACTERS = 500
AGE_CHARACTERS = 6
MOST_VIOLATIONS = 100
"""So many are told of one form."""


class Form:
    """Named values that are asked for one by one; :meth:`done` then refuses what was off or not asked for.

    ``refusal`` is what the values belong to: ``BadForm`` for a body, ``BadParameter`` for a query.
    """

    def __init__(self, values: Mapping[str, Any], refusal: type[Refusal]) -> None:
        self._values = values
        self._refusal = refusal
        self._asked: set[str] = set()
        self._violations: list[Violation] = []

    @classmethod
    def of_body(cls, raw: bytes) -> Form:
        """The JSON object that a body holds.

        Raises:
            BadForm: it holds none.
        """
        try:
            return cls(parse_payload(raw, max_bytes=MOST_BYTES), BadForm)
        except InvalidPayload as error:
            first = error.violations[0]
            raise BadForm(f"the body {first.message}: {first.found}", violations=error.violations) from None

    @classmethod
    def of_query(cls, query: QueryParams) -> Form:
        """The parameters of a query; one that is given twice is off."""
        form = cls(dict(query), BadParameter)
        for name, times in Counter(name for name, _ in query.multi_items()).items():
            if times > 1:
                form.refuse(name, "repeated-name", "is given more than once", "once")
        return form

    def text(self, name: str, *, most: int = WORD_CHARACTERS) -> str | None:
        """A text of 1 to ``most`` characters, or None if it is not given."""
        value = self._value(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(name, "type", "must be a string", "a string")
            return None
        if not 0 < len(value) <= most or "\0" in value:
            self.refuse(
                name, "max-length", "is empty, too long or has a NUL in it", f"1 to {most} characters"
            )
            return None
        return value

    def flag(self, name: str) -> bool:
        """True or false; false if it is not given."""
        value = self._value(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "type", "must be true or false", "true or false")
        return value is True

    def whole(self, name: str, *, least: int, most: int, default: int) -> int:
        """A whole number; in a query it is written in digits."""
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, str) and self._refusal is BadParameter and value.isascii() and value.isdigit():
            value = int(value[:18])
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON knows one kind of number
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(name, "range", "is no whole number in bounds", f"{least} to {most}")
            return default
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """One of the words allowed, or None if it is not given."""
        value = self._value(name)
        if value is not None and value not in allowed:
            self.refuse(name, "enum", "is not one of the values allowed", ", ".join(allowed))
            return None
        return None if value is None else str(value)

    def texts(self, name: str, *, most: int, characters: int) -> tuple[str, ...]:
        """A list of up to ``most`` texts; none if it is not given."""
        value = self._value(name)
        if value is None:
            return ()
        fine = isinstance(value, list) and 0 < len(value) <= most
        if not fine or not all(isinstance(item, str) and 0 < len(item) <= characters for item in value):
            self.refuse(
                name, "type", "is no list of such texts", f"1 to {most} of 1 to {characters} characters"
            )
            return ()
        return tuple(dict.fromkeys(value))

    def age_ms(self, name: str) -> int | None:
        """An age such as 30s, 15m, 2h or 7d in ms, or None if it is not given."""
        text = self.text(name, most=AGE_CHARACTERS)
        if text is None:
            return None
        ms = parse_age_ms(text)
        if ms is None:
            self.refuse(name, "age", "is no age", "30s, 15m, 2h, 7d and the like")
        return ms

    def refuse(self, name: str, code: str, message: str, allowed: str) -> None:
        """Notes that ``name`` is off."""
        found = show(self._values.get(name))
        self._violations.append(Violation(pointer((name,)), code, message, found, allowed))

    def done(self) -> None:
        """Ends the reading.

        Raises:
            Refusal: something was off, or was given and never asked for.
        """
        known = ", ".join(sorted(self._asked)) or "nothing"
        for name, value in self._values.items():
            if name not in self._asked:
                self._violations.append(
                    Violation(pointer((name,)), "unknown-property", "is not known here", show(value), known)
                )
        if self._violations:
            first = self._violations[0]
            where = printable(shorten(first.pointer))
            raise self._refusal(
                f"{where}: {first.message}; allowed is {first.allowed}",
                violations=self._violations[:MOST_VIOLATIONS],
            )

    def _value(self, name: str) -> Any:
        self._asked.add(name)
        if name in self._values and self._values[name] is None:
            self.refuse(name, "type", "must not be null; leave it out", "a value")
        return self._values.get(name)


def expect_no_query(request: Request) -> None:
    """For paths that take no parameters.

    Raises:
        BadParameter: there are some.
    """
    if request.query_params:
        Form.of_query(request.query_params).done()


def acting(headers: Mapping[str, str]) -> str:
    """The name that an act goes on record under: X-Preview-User, as the caller says; empty if it is silent."""
    said = headers.get("x-preview-user", "").encode("latin-1", "replace").decode("utf-8", "replace").strip()
    return shorten(printable(said), WHO_CHARACTERS)
