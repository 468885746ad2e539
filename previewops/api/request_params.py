"""The members of a form and the parameters of a query, read strictly: everything that is off is told at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

from previewops.api.errors import ApiError, BadParameter, InvalidRequestBody
from previewops.contract import parse_payload
from previewops.errors import InvalidPayload, Violation
from previewops.formatting import parse_age_ms
from previewops.message_formatting import describe_value, escape_unprintable, json_pointer, shorten

MAX_BODY_BYTES = 65_536
MAX_OPERATOR_LENGTH = 100
MAX_REASON_LENGTH = 500
MAX_TEXT_LENGTH = 500
MAX_AGE_LENGTH = 6
MAX_VIOLATIONS = 100
"""So many are told of one form."""


class RequestParams:
    """Named values that are asked for one by one; :meth:`done` then refuses what was off or not asked for.

    ``refusal`` is what the values belong to: ``BadForm`` for a body, ``BadParameter`` for a query.
    """

    def __init__(self, values: Mapping[str, Any], refusal: type[ApiError]) -> None:
        self._values = values
        self._refusal = refusal
        self._asked: set[str] = set()
        self._violations: list[Violation] = []

    @classmethod
    def from_body(cls, raw: bytes) -> RequestParams:
        """The JSON object that a body holds.

        Raises:
            BadForm: it holds none.
        """
        try:
            return cls(parse_payload(raw, max_bytes=MAX_BODY_BYTES), InvalidRequestBody)
        except InvalidPayload as error:
            first = error.violations[0]
            raise InvalidRequestBody(
                f"the body {first.message}: {first.found}", violations=error.violations
            ) from None

    @classmethod
    def from_query(cls, query: QueryParams) -> RequestParams:
        """The parameters of a query; one that is given twice is off."""
        form = cls(dict(query), BadParameter)
        for name, times in Counter(name for name, _ in query.multi_items()).items():
            if times > 1:
                form.add_violation(name, "repeated-name", "is given more than once", "once")
        return form

    def text(self, name: str, *, max_length: int = MAX_TEXT_LENGTH) -> str | None:
        """A text of 1 to ``most`` characters, or None if it is not given."""
        value = self._value(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.add_violation(name, "type", "must be a string", "a string")
            return None
        if not 0 < len(value) <= max_length or "\0" in value:
            self.add_violation(
                name, "max-length", "is empty, too long or has a NUL in it", f"1 to {max_length} characters"
            )
            return None
        return value

    def boolean(self, name: str) -> bool:
        """True or false; false if it is not given."""
        value = self._value(name)
        if value is not None and not isinstance(value, bool):
            self.add_violation(name, "type", "must be true or false", "true or false")
        return value is True

    def integer(self, name: str, *, minimum: int, maximum: int, default: int) -> int:
        """A whole number; in a query it is written in digits."""
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, str) and self._refusal is BadParameter and value.isascii() and value.isdigit():
            value = int(value[:18])
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON knows one kind of number
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            self.add_violation(name, "range", "is no whole number in bounds", f"{minimum} to {maximum}")
            return default
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """One of the words allowed, or None if it is not given."""
        value = self._value(name)
        if value is not None and value not in allowed:
            self.add_violation(name, "enum", "is not one of the values allowed", ", ".join(allowed))
            return None
        return None if value is None else str(value)

    def text_list(self, name: str, *, max_items: int, max_length: int) -> tuple[str, ...]:
        """A list of up to ``most`` texts; none if it is not given."""
        value = self._value(name)
        if value is None:
            return ()
        fine = isinstance(value, list) and 0 < len(value) <= max_items
        if not fine or not all(isinstance(item, str) and 0 < len(item) <= max_length for item in value):
            self.add_violation(
                name, "type", "is no list of such texts", f"1 to {max_items} of 1 to {max_length} characters"
            )
            return ()
        return tuple(dict.fromkeys(value))

    def age_ms(self, name: str) -> int | None:
        """An age such as 30s, 15m, 2h or 7d in ms, or None if it is not given."""
        text = self.text(name, max_length=MAX_AGE_LENGTH)
        if text is None:
            return None
        ms = parse_age_ms(text)
        if ms is None:
            self.add_violation(name, "age", "is no age", "30s, 15m, 2h, 7d and the like")
        return ms

    def add_violation(self, name: str, code: str, message: str, allowed: str) -> None:
        """Notes that ``name`` is off."""
        found = describe_value(self._values.get(name))
        self._violations.append(Violation(json_pointer((name,)), code, message, found, allowed))

    def raise_violations(self) -> None:
        """Ends the reading.

        Raises:
            Refusal: something was off, or was given and never asked for.
        """
        known = ", ".join(sorted(self._asked)) or "nothing"
        for name, value in self._values.items():
            if name not in self._asked:
                self._violations.append(
                    Violation(
                        json_pointer((name,)),
                        "unknown-property",
                        "is not known here",
                        describe_value(value),
                        known,
                    )
                )
        if self._violations:
            first = self._violations[0]
            where = escape_unprintable(shorten(first.pointer))
            raise self._refusal(
                f"{where}: {first.message}; allowed is {first.allowed}",
                violations=self._violations[:MAX_VIOLATIONS],
            )

    def _value(self, name: str) -> Any:
        self._asked.add(name)
        if name in self._values and self._values[name] is None:
            self.add_violation(name, "type", "must not be null; leave it out", "a value")
        return self._values.get(name)


def require_no_query(request: Request) -> None:
    """For paths that take no parameters.

    Raises:
        BadParameter: there are some.
    """
    if request.query_params:
        RequestParams.from_query(request.query_params).raise_violations()


def acting_operator(headers: Mapping[str, str]) -> str:
    """The name that an act goes on record under: X-Preview-User, as the caller says; empty if it is silent."""
    said = headers.get("x-preview-user", "").encode("latin-1", "replace").decode("utf-8", "replace").strip()
    return shorten(escape_unprintable(said), MAX_OPERATOR_LENGTH)
