"""Decodes stored values that may be damaged, and counts what cannot be read. Pure.

Another program may use the same keys, an operator may edit them, and an older build may have written them. A view
shows what it can read, and reports the keys of the rest: ``previewops doctor`` repairs them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from previewops.message_formatting import escape_unprintable

E = TypeVar("E", bound=StrEnum)

MAX_KEYS = 20
"""Unreadable keys that are named; the others are only counted."""

_INTEGER = re.compile(r"[0-9]{1,15}")
_MICROSECONDS = re.compile(r"[0-9]{1,16}")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class UnreadableKeys:
    """Number of stored keys that a view could not read, in part or at all, and up to ``MAX_KEYS`` of them."""

    count: int = 0
    keys: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        """The keys as a note for an operator; "" without any."""
        if not self.count:
            return ""
        rows = "1 stored key" if self.count == 1 else f"{self.count} stored keys"
        first = f", first {escape_unprintable(self.keys[0])}" if self.keys else ""
        return f"{rows} cannot be read{first}; run `previewops doctor`"

    def __add__(self, other: UnreadableKeys) -> UnreadableKeys:
        new = [key for key in other.keys if key not in self.keys]
        known = len(other.keys) - len(new)
        return UnreadableKeys(self.count + other.count - known, (*self.keys, *new)[:MAX_KEYS])

    def as_json(self) -> dict[str, Any]:
        """The keys as commands and the API print them."""
        return {"count": self.count, "keys": list(self.keys)}

    @classmethod
    def from_reply(cls, reply: Sequence[Any]) -> UnreadableKeys:
        """Parses the part of a script's reply (lua/include/keys.lua)."""
        return cls(int(reply[0]), tuple(key.decode("utf-8", "replace") for key in reply[1:]))


NO_UNREADABLE_KEYS = UnreadableKeys()


@dataclass(slots=True)
class UnreadableCollector:
    """Collects the keys of damaged rows while a reply is decoded."""

    _keys: dict[str, None] = field(default_factory=dict)

    def add(self, key: str) -> None:
        """Adds a key once."""
        self._keys[key] = None

    def result(self, reported: UnreadableKeys | None = None) -> UnreadableKeys:
        """Returns the collected keys after those that the script reported."""
        return (reported or NO_UNREADABLE_KEYS) + UnreadableKeys(
            len(self._keys), tuple(self._keys)[:MAX_KEYS]
        )


@dataclass(frozen=True, slots=True)
class StoredFields:
    """Fields of one key, text or JSON. A damaged value becomes a default, and its key counts as unreadable.

    A missing field is not damaged unless it is required. Numbers are 0 or more and have at most
    15 digits before the point: others can neither be times nor counts.
    """

    key: str
    fields: Mapping[str, Any]
    unreadable: UnreadableCollector

    @classmethod
    def from_json(cls, key: str, raw: bytes, unreadable: UnreadableCollector) -> StoredFields:
        """Parses a JSON object; damaged JSON has no fields."""
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            unreadable.add(key)
            value = {}
        return cls(key, value, unreadable)

    def integer(self, name: str, default: int = 0) -> int:
        """Returns a whole number."""
        value = self.optional_integer(name)
        return default if value is None else value

    def optional_integer(self, name: str) -> int | None:
        """Returns a whole number; None if the field is missing or damaged."""
        return parse_integer(self.fields.get(name), self)

    def optional_us(self, name: str) -> int | None:
        """Returns a time in µs, which has one digit more than other numbers; None if it is missing or damaged."""
        value = self.fields.get(name)
        if isinstance(value, str) and _MICROSECONDS.fullmatch(value):
            return int(value)
        if value is not None:
            self.damaged()
        return None

    def required_integer(self, name: str) -> int:
        """Returns a whole number. A missing field counts as damaged, and is 0."""
        if self.fields.get(name) is None:
            self.damaged()
        return self.integer(name)

    def number(self, name: str, default: float = 0.0) -> float:
        """Returns a finite number."""
        value = self.optional_number(name)
        return default if value is None else value

    def optional_number(self, name: str) -> float | None:
        """Returns a finite number; None if the field is missing or damaged."""
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**15:
            return float(value)
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return float(value)
        self.damaged()
        return None

    def text(self, name: str, default: str = "") -> str:
        """Returns a text; a number becomes its digits."""
        value = self.fields.get(name)
        if value is None:
            return default
        if isinstance(value, str | int | float):
            return str(value)
        self.damaged()
        return default

    def optional_text(self, name: str) -> str | None:
        """Returns a text; None if the field is missing or damaged."""
        return self.text(name) if self.fields.get(name) is not None else None

    def items(self, name: str) -> list[Any]:
        """Returns a list; empty if the field is missing or damaged."""
        value = self.fields.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.damaged()
        return []

    def choice(self, name: str, kind: type[E]) -> E | None:
        """Returns a member of ``kind``; None, and damaged, for any other value."""
        value = self.fields.get(name)
        if isinstance(value, str) and value in tuple(kind):
            return kind(value)
        self.damaged()
        return None

    def damaged(self) -> None:
        """Counts the key as unreadable."""
        self.unreadable.add(self.key)


def parse_integer(value: Any, row: StoredFields) -> int | None:
    """Returns the whole number in a stored value; None if there is none, or it is damaged."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15:
        return value
    if isinstance(value, float) and math.isfinite(value) and 0 <= value < 10**15:
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    row.damaged()
    return None


def parse_counts(
    key: str, fields: Mapping[str, str], names: Iterable[str], unreadable: UnreadableCollector
) -> dict[str, int]:
    """Returns the counters ``names`` of a hash; a missing or damaged one is 0."""
    row = StoredFields(key, fields, unreadable)
    return {name: row.integer(name) for name in names}


def parse_score(raw: bytes, row: StoredFields) -> int:
    """Returns the time that a sorted set stores as a score; 0 if it is out of range."""
    value = float(raw)
    if math.isfinite(value) and 0 <= value < 10**16:
        return int(value)
    row.damaged()
    return 0
