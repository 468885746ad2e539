"""Strict reader of JSON bodies and query parameters; reports all violations at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from previewops.api.body_reader import JSON, BodyReader, check_media_type
from previewops.api.errors import ApiError, BadParameter, InvalidRequestBody
from previewops.contract import parse_payload
from previewops.contract.violations import shorten_report
from previewops.errors import InvalidPayload, Violation
from previewops.formatting import parse_age_ms
from previewops.message_formatting import describe_value, escape_unprintable, json_pointer, shorten
from previewops.queue.due_time import DueTime

Endpoint = Callable[[Request], Awaitable[Response]]

MAX_BODY_BYTES = 65_536
MAX_OPERATOR_LENGTH = 100
_MAX_UTF8_BYTES = 4
MAX_REASON_LENGTH = 500
MAX_TEXT_LENGTH = 500
MAX_AGE_LENGTH = 6
MAX_DUE_TIME_LENGTH = 40
MAX_VIOLATIONS = 100
"""Maximum number of violations in one response; one more counts the others."""


_UNESCAPED_PLUS = re.compile(r"\A |(?<=[0-9]) (?=[0-9]{2}:[0-9]{2}\Z)")
"""The places of a time at which a space is a + that was not escaped in the query."""


class RequestParams:
    """Named values, read one by one. :meth:`raise_violations` then rejects invalid and unknown values.

    ``error_class`` is ``InvalidRequestBody`` for a body and ``BadParameter`` for a query.
    """

    def __init__(self, values: Mapping[str, Any], error_class: type[ApiError]) -> None:
        self._values = values
        self._error_class = error_class
        self._read: set[str] = set()
        self._violations: list[Violation] = []

    @classmethod
    def from_body(cls, raw: bytes) -> RequestParams:
        """Parses a body with a JSON object.

        Raises:
            InvalidRequestBody: the body is not a JSON object.
        """
        try:
            return cls(parse_payload(raw, max_bytes=MAX_BODY_BYTES), InvalidRequestBody)
        except InvalidPayload as error:
            first = error.violations[0]
            raise InvalidRequestBody(
                f"body {first.message}: found {first.found}", violations=error.violations
            ) from None

    @classmethod
    def from_query(cls, query: QueryParams) -> RequestParams:
        """Reads query parameters; repeated parameters are violations."""
        params = cls(dict(query), BadParameter)
        for name, times in Counter(name for name, _ in query.multi_items()).items():
            if times > 1:
                params.add_violation(name, "repeated-name", "is given more than once", "once")
        return params

    def text(self, name: str, *, max_length: int = MAX_TEXT_LENGTH) -> str | None:
        """Returns a string of 1 to ``max_length`` characters, or None if it is missing."""
        value = self._value(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.add_violation(name, "type", "must be a string", "a string")
            return None
        if not 0 < len(value) <= max_length or "\0" in value:
            self.add_violation(
                name, "max-length", "is empty, too long or contains NUL", f"1 to {max_length} characters"
            )
            return None
        return value

    def reason(self) -> str:
        """Returns the reason that is recorded with a command; empty if it is missing."""
        return self.text("reason", max_length=MAX_REASON_LENGTH) or ""

    def boolean(self, name: str) -> bool:
        """Returns a boolean; False if it is missing."""
        value = self._value(name)
        if value is not None and not isinstance(value, bool):
            self.add_violation(name, "type", "must be true or false", "true or false")
        return value is True

    def flag(self, name: str) -> bool:
        """Returns a boolean of a query; False if it is missing."""
        return self.choice(name, ("1", "true", "0", "false")) in ("1", "true")

    def due_time(self, name: str, now_ms: int) -> DueTime | None:
        """Returns the earliest start of a job; None if it is missing. ``now_ms`` bounds it.

        Raises:
            InvalidDueTime: it has no zone, or is too far ahead.
        """
        text = self.text(name, max_length=MAX_DUE_TIME_LENGTH)
        if text is None:
            return None
        return DueTime.from_source(_UNESCAPED_PLUS.sub("+", text), now_ms=now_ms, name=name)

    def integer(self, name: str, *, minimum: int, maximum: int, default: int) -> int:
        """Returns an integer; in a query it is a string of digits."""
        value = self._value(name)
        if value is None:
            return default
        if self._error_class is BadParameter and value.isascii() and value.isdigit():
            value = int(value[:18])
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON has one number type
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            self.add_violation(
                name, "range", "is not an integer in the allowed range", f"{minimum} to {maximum}"
            )
            return default
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """Returns one of ``allowed``, or None if it is missing."""
        value = self._value(name)
        if value is not None and value not in allowed:
            self.add_violation(name, "enum", "is not an allowed value", ", ".join(allowed))
            return None
        return None if value is None else str(value)

    def text_list(self, name: str, *, max_items: int, max_length: int) -> tuple[str, ...]:
        """Returns up to ``max_items`` distinct strings; empty if the list is missing."""
        value = self._value(name)
        if value is None:
            return ()
        valid_length = isinstance(value, list) and 0 < len(value) <= max_items
        if not valid_length or not all(
            isinstance(item, str) and 0 < len(item) <= max_length for item in value
        ):
            self.add_violation(
                name,
                "type",
                "is not a list of strings of the allowed length",
                f"1 to {max_items} strings of 1 to {max_length} characters",
            )
            return ()
        return tuple(dict.fromkeys(value))

    def age_ms(self, name: str) -> int | None:
        """Returns an age such as 30s, 15m, 2h or 7d in ms, or None if it is missing."""
        text = self.text(name, max_length=MAX_AGE_LENGTH)
        if text is None:
            return None
        ms = parse_age_ms(text)
        if ms is None:
            self.add_violation(name, "age", "is not an age", "30s, 15m, 2h, 7d and the like")
        return ms

    def add_violation(self, name: str, code: str, message: str, allowed: str) -> None:
        """Records a violation of ``name``."""
        found = describe_value(self._values.get(name))
        self._violations.append(Violation(json_pointer((name,)), code, message, found, allowed))

    def require_change(self, allowed: str) -> None:
        """Records that the body as a whole changes nothing, unless a value that would is invalid."""
        if not self._violations:
            found = describe_value(dict(self._values))
            self._violations.append(Violation("", "missing-name", "changes nothing", found, allowed))

    def raise_violations(self) -> None:
        """Raises the recorded violations.

        Raises:
            ApiError: a value is invalid, or was given and not read.
        """
        known = ", ".join(sorted(self._read)) or "nothing"
        unknown = [name for name in self._values if name not in self._read]
        total = len(self._violations) + len(unknown)
        for name in unknown[:MAX_VIOLATIONS]:
            self.add_violation(name, "unknown-property", "is unknown", known)
        if self._violations:
            first = self._violations[0]
            where = escape_unprintable(shorten(first.pointer)) or "body"
            raise self._error_class(
                f"{where}: {first.message}; allowed: {first.allowed}",
                violations=shorten_report(self._violations, MAX_VIOLATIONS, str(total)),
            )

    def _value(self, name: str) -> Any:
        self._read.add(name)
        if name in self._values and self._values[name] is None:
            self.add_violation(name, "type", "must not be null; omit it", "a value")
        return self._values.get(name)


async def read_command(request: Request, bodies: BodyReader) -> RequestParams:
    """Reads the JSON body of a command.

    Raises:
        ApiError: another media type, or an invalid or too large body.
    """
    check_media_type(request, JSON)
    async with bodies.read(request, MAX_BODY_BYTES) as raw:
        return RequestParams.from_body(raw)


def reject_query(endpoint: Endpoint) -> Endpoint:
    """Wraps ``endpoint`` so that it rejects every query parameter with ``BadParameter``."""

    async def check_and_call(request: Request) -> Response:
        if request.query_params:
            RequestParams.from_query(request.query_params).raise_violations()
        return await endpoint(request)

    return check_and_call


def acting_operator(headers: Mapping[str, str]) -> str:
    """Returns the operator's name from X-Preview-User, as recorded with a command; empty if it is missing."""
    raw = headers.get("x-preview-user", "").strip()[: MAX_OPERATOR_LENGTH * _MAX_UTF8_BYTES + 1]
    name = raw.encode("latin-1", "replace").decode("utf-8", "replace").strip()
    return shorten(escape_unprintable(name), MAX_OPERATOR_LENGTH)
