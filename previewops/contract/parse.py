"""Parses bytes to a JSON object safely: any problem is an ``InvalidPayload``, never another exception."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from previewops.contract.json_copy import copy_as_json, integer_out_of_range, not_finite, too_deep
from previewops.contract.limits import (
    MAX_DEPTH_LEVELS,
    MAX_INTEGER_DIGITS,
    MAX_PAYLOAD_BYTES,
    MAX_SAFE_INTEGER,
)
from previewops.contract.violations import normalize
from previewops.errors import InvalidPayload, Violation
from previewops.message_formatting import (
    PathPart,
    fits_in_pointer,
    json_pointer,
    json_type_name,
    quote,
    shorten,
)

_BOMS = (
    (b"\xef\xbb\xbf", "a UTF-8 byte order mark"),
    (b"\xff\xfe", "a UTF-16 or UTF-32 byte order mark"),
    (b"\xfe\xff", "a UTF-16 byte order mark"),
    (b"\x00\x00\xfe\xff", "a UTF-32 byte order mark"),
)
# Patterns are compiled on first use and cached by re, so that importing this package is cheap.
# Matches a whole string, the rest of the text if a string is not closed, or one bracket. Possessive, so that the scan
# is linear for any text.
_STRING_OR_BRACKET = r'(?s:"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}])'
_STRING = r'(?s:"(?:[^"\\]++|\\.)*+"?)'
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE_ESCAPE = r"\\u[dD][89a-fA-F]"
_SKIP_BYTES = 65_536


def parse_payload(
    raw: bytes, *, max_bytes: int = MAX_PAYLOAD_BYTES, source: str | None = None
) -> dict[str, Any]:
    """Parses one JSON object.

    ``source``, such as a file name, is included in the error. More than ``max_bytes`` are rejected without parsing.

    Raises:
        InvalidPayload: too large, not UTF-8, a byte order mark, not JSON, nested too deeply, NaN or Infinity,
            a number out of range, a repeated name, a lone surrogate, or not an object.
    """
    if len(raw) > max_bytes:
        raise InvalidPayload([_too_large(f"{len(raw)} bytes", max_bytes)], source=source)
    try:
        return _parse(raw)
    except _ParseError as error:
        raise InvalidPayload(error.violations, source=source) from None


class ParsedLine(NamedTuple):
    """One line of a .jsonl file: its number from 1, and its payload or its error."""

    number: int
    payload: dict[str, Any] | None
    error: InvalidPayload | None


def parse_lines(
    stream: BinaryIO, *, max_bytes: int = MAX_PAYLOAD_BYTES, source: str | None = None
) -> Iterator[ParsedLine]:
    """Parses one JSON object per line, skipping blank lines. Memory is bounded by one line.

    An error's ``source`` is "SOURCE:LINE", or "line LINE" without a ``source``. An invalid line does not affect later
    lines. ``max_bytes`` limits each line.
    """
    longest = max_bytes + len(b"\r\n")
    number = 0
    while line := stream.readline(longest):
        number += 1
        if len(line) == longest and not line.endswith(b"\n"):
            while (rest := stream.readline(_SKIP_BYTES)) and not rest.endswith(b"\n"):
                pass
        body = line.rstrip(b"\r\n")
        if body.strip():
            yield _parse_line(number, body, max_bytes, f"{source}:{number}" if source else f"line {number}")


def _parse_line(number: int, body: bytes, max_bytes: int, where: str) -> ParsedLine:
    if len(body) > max_bytes:
        too_large = _too_large(f"a line of more than {max_bytes} bytes", max_bytes)
        return ParsedLine(number, None, InvalidPayload([too_large], source=where))
    try:
        return ParsedLine(number, parse_payload(body, max_bytes=max_bytes, source=where), None)
    except InvalidPayload as error:
        return ParsedLine(number, None, error)


class _ParseError(Exception):
    def __init__(self, *violations: Violation) -> None:
        super().__init__()
        self.violations = violations


def _parse(raw: bytes) -> dict[str, Any]:
    text = _decode(raw)
    _check_depth(text)
    parsed = _JsonReader().read(text)
    if re.search(_SURROGATE_ESCAPE, text):
        _, problems = copy_as_json(parsed)
        if problems:
            raise _ParseError(*normalize(problems))
    if not isinstance(parsed, dict):
        found = json_type_name(parsed)
        raise _ParseError(Violation("", "type", f"must be an object, not {found}", found, "an object"))
    return parsed


def _decode(raw: bytes) -> str:
    for mark, name in _BOMS:
        if raw.startswith(mark):
            allowed = "UTF-8 without a byte order mark"
            raise _ParseError(Violation("", "byte-order-mark", f"starts with {name}", name, allowed))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _line_and_column(raw[: error.start].decode("utf-8"), error.start)
        found = f"byte 0x{raw[error.start]:02x} at line {line}, column {column} (byte {error.start})"
        raise _ParseError(Violation("", "not-utf8", "is not UTF-8 text", found, "UTF-8")) from None


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH_LEVELS:
        return
    if _is_shallow(text):
        return
    depth = 0
    for match in re.finditer(_STRING_OR_BRACKET, text):
        start = text[match.start()]
        if start in "[{":
            depth += 1
            if depth > MAX_DEPTH_LEVELS:
                line, column = _line_and_column(text, match.start())
                raise _ParseError(too_deep("", f"level {depth} at line {line}, column {column}"))
        elif start in "]}":
            depth -= 1


def _is_shallow(text: str) -> bool:
    """Whether no level is deeper than the limit, and the brackets outside strings are balanced.

    Each round removes the innermost level, in C: a loop over a million brackets takes a third of a second.
    """
    outside = re.sub(_STRING, "", text).encode("ascii", "ignore")
    brackets = outside.translate(_ONE_KIND, delete=_NO_BRACKETS)
    for _ in range(MAX_DEPTH_LEVELS):
        brackets = brackets.replace(b"[]", b"")
    return not brackets


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Returns line and column of ``offset``, both from 1, columns in characters."""
    before = text[:offset]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _too_large(found: str, max_bytes: int) -> Violation:
    return Violation("", "too-large", "is too large", found, f"{max_bytes} bytes")


class _InvalidNumber(NamedTuple):
    """Replaces an invalid number in the parsed document."""

    text: str
    integer: bool


class _ObjectWithRepeats(dict[str, Any]):
    """An object with repeated names. As usual, the last value counts."""

    repeated: tuple[str, ...] = ()


class _JsonReader:
    """json.loads with hooks that detect problems; a second pass, only if needed, locates them."""

    def __init__(self) -> None:
        self.invalid = False

    def read(self, text: str) -> Any:
        try:
            parsed = json.loads(
                text,
                object_pairs_hook=self._object,
                parse_constant=self._constant,
                parse_float=self._float,
                parse_int=self._int,
            )
        except json.JSONDecodeError as error:
            raise _ParseError(_not_json(text, error)) from None
        if self.invalid:
            raise _ParseError(*normalize(_locate(parsed, ())))
        return parsed

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if not pairs:
            return {}
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        self.invalid = True
        repeating = _ObjectWithRepeats(members)
        counts = Counter(name for name, _ in pairs)
        repeating.repeated = tuple(name for name, count in counts.items() if count > 1)
        return repeating

    def _constant(self, text: str) -> _InvalidNumber:
        self.invalid = True
        return _InvalidNumber(text, integer=False)

    def _float(self, text: str) -> float | _InvalidNumber:
        value = float(text)
        return value if abs(value) != float("inf") else self._constant(text)

    def _int(self, text: str) -> int | _InvalidNumber:
        # The length comes first: int() is slow for long texts, and rejects very long ones.
        if len(text) <= MAX_INTEGER_DIGITS + 1 and abs(int(text)) <= MAX_SAFE_INTEGER:
            return int(text)
        self.invalid = True
        return _InvalidNumber(text, integer=True)


def _not_json(text: str, error: json.JSONDecodeError) -> Violation:
    if not text.strip():
        return Violation("", "not-json", "is empty", "no text", "one JSON object")
    line, column = _line_and_column(text, error.pos)
    nearby = quote(text[error.pos : error.pos + 24]) if error.pos < len(text) else "the end of the text"
    message = f"is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
    return Violation("", "not-json", message, f"{nearby} at line {line}, column {column}", "one JSON object")


def _locate(value: Any, path: tuple[PathPart, ...]) -> Iterator[Violation]:
    if isinstance(value, _InvalidNumber):
        where = json_pointer(path)
        found = shorten(value.text, 40)
        yield integer_out_of_range(where, found) if value.integer else not_finite(where, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _locate(item, (*path, index))
    elif isinstance(value, dict):
        if isinstance(value, _ObjectWithRepeats):
            yield from (_repeated(path, name) for name in value.repeated)
        for name, item in value.items():
            yield from _locate(item, (*path, name))


def _repeated(path: tuple[PathPart, ...], name: str) -> Violation:
    where = json_pointer((*path, name)) if fits_in_pointer(name) else json_pointer(path)
    found = f"{quote(name)} again"
    return Violation(where, "repeated-name", "is repeated in its object", found, "each name once")
