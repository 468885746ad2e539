"""Formats values and JSON pointers for messages: short and terminal-safe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

MAX_FOUND_CHARACTERS = 80
MAX_KEY_CHARACTERS = 128
MAX_JOINED_NAMES = 12
MAX_SHOWN_BITS = 256

_END_OF_PATH = r"""[\s"'<>|,;()\[\]{}]"""

PathPart = str | int

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number with a fraction"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def json_type_name(value: object) -> str:
    """Returns the JSON type of ``value`` with its article, or the Python type's name if JSON has no such type."""
    if value is None:
        return "null"
    return next((name for type_, name in _KINDS if isinstance(value, type_)), type(value).__name__)


def escape_unprintable(text: str) -> str:
    """Returns ``text`` with control and invisible characters escaped."""
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else f"\\u{ord(ch):04x}" for ch in text)


def shorten(text: str, limit: int = MAX_FOUND_CHARACTERS) -> str:
    """Returns at most ``limit`` characters of ``text``, with an ellipsis where it is cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def quote(text: str) -> str:
    """Returns ``text`` as a JSON string, shortened and printable."""
    quoted = json.dumps(shorten(text, MAX_FOUND_CHARACTERS - 2), ensure_ascii=False)
    return escape_unprintable(quoted)


def format_path(path: object) -> str:
    """Returns a path, quoted if it has a character that would end it in a text."""
    text = escape_unprintable(str(path))
    return f'"{text}"' if re.search(_END_OF_PATH, text) else text


def describe_value(value: object) -> str:
    """Returns scalars as JSON, containers as their size."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} {'property' if len(value) == 1 else 'properties'}"
    if value is None or isinstance(value, bool | int | float):
        return _show_scalar(value)
    return f"a Python {type(value).__name__}"


def _show_scalar(value: int | float | None) -> str:
    if isinstance(value, int) and value.bit_length() > MAX_SHOWN_BITS:
        return f"an integer of {value.bit_length()} bits"
    return json.dumps(value)  # NaN and the infinities by these names


def join_names(names: Iterable[str]) -> str:
    """Joins the first of ``names`` with the number of the others."""
    listed = list(names)
    if not listed:
        return "none"
    shown = ", ".join(escape_unprintable(shorten(name, 40)) for name in listed[:MAX_JOINED_NAMES])
    return shown if len(listed) <= MAX_JOINED_NAMES else f"{shown} and {len(listed) - MAX_JOINED_NAMES} more"


def fits_in_pointer(key: str) -> bool:
    """Whether a key may be part of a pointer: short, printable, and not an address, whose query may be a secret."""
    return len(key) <= MAX_KEY_CHARACTERS and key.isprintable() and "://" not in key


def json_pointer(path: Sequence[PathPart]) -> str:
    """Returns the RFC 6901 JSON pointer of ``path``, up to the first key that does not fit."""
    parts: list[str] = []
    for part in path:
        if isinstance(part, str) and not fits_in_pointer(part):
            break
        parts.append("/" + str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(parts)
