"""Deep copy of any Python value to plain JSON types. Reports everything that JSON cannot represent."""

from __future__ import annotations

import math
import re

from previewops.contract.limits import MAX_COUNTED_VIOLATIONS, MAX_DEPTH_LEVELS, MAX_SAFE_INTEGER, MAX_VALUES
from previewops.contract_maxima import MAX_ASSETS, MAX_STEPS
from previewops.errors import Violation
from previewops.message_formatting import (
    PathPart,
    describe_value,
    fits_in_pointer,
    json_pointer,
    json_type_name,
    quote,
)

_SURROGATE = "[\ud800-\udfff]"
_LONGEST_LISTS: dict[tuple[PathPart, ...], int] = {
    ("previewRequest", "steps"): MAX_STEPS,
    ("previewRequest", "assets"): MAX_ASSETS,
}
"""Longest lists of the contract. The schema rejects a longer one by its length, so further items are not read."""
_INTEGERS = f"whole numbers from -{MAX_SAFE_INTEGER} to {MAX_SAFE_INTEGER}"


def integer_out_of_range(where: str, found: str) -> Violation:
    """Returns the violation for an integer that a double cannot represent exactly."""
    message = "is an integer that a double cannot represent exactly"
    return Violation(where, "integer-range", message, found, _INTEGERS)


def not_finite(where: str, found: str) -> Violation:
    """Returns the violation for NaN, an infinity, or a number too large for a double."""
    return Violation(where, "not-finite", "is not a finite number", found, "finite numbers")


def too_deep(where: str, found: str) -> Violation:
    """Returns the violation for more than MAX_DEPTH_LEVELS nested arrays and objects."""
    return Violation(where, "too-deep", "is nested too deeply", found, f"{MAX_DEPTH_LEVELS} levels")


def copy_as_json(value: object) -> tuple[object, list[Violation]]:
    """Copies ``value`` to str, int, float, bool, None, list and dict, and returns it with its violations.

    Floats without a fraction become integers, because JSON has one kind of number: 24.0 and 24 are the same frame
    rate. Values that JSON cannot represent are reported and become null. A value that contains itself is reported as
    too deep.
    """
    copier = _Copier()
    return copier.copy(value, ()), copier.violations


class _Copier:
    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.values = 0

    def copy(self, value: object, path: tuple[PathPart, ...]) -> object:
        self.values += 1
        if isinstance(value, str):
            return self._text(value, path)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self._integer(int(value), path)
        if isinstance(value, float):
            return self._number(float(value), path)
        if isinstance(value, list | dict):
            return self._container(value, path)
        allowed = "strings, numbers, booleans, null, arrays and objects"
        found = describe_value(value)
        self._reject(Violation(json_pointer(path), "not-json-value", "is not a JSON value", found, allowed))
        return None

    def _reject(self, violation: Violation) -> None:
        if len(self.violations) <= MAX_COUNTED_VIOLATIONS:
            self.violations.append(violation)

    def _text(self, value: str, path: tuple[PathPart, ...]) -> str | None:
        if not value.isascii() and re.search(_SURROGATE, value):
            self._reject(_lone_surrogate(json_pointer(path), "contains a lone surrogate", value))
            return None
        return str(value)

    def _integer(self, value: int, path: tuple[PathPart, ...]) -> int | None:
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            self._reject(integer_out_of_range(json_pointer(path), describe_value(value)))
            return None
        return value

    def _number(self, value: float, path: tuple[PathPart, ...]) -> float | None:
        if not math.isfinite(value):
            self._reject(not_finite(json_pointer(path), describe_value(value)))
            return None
        if value.is_integer() and abs(value) <= MAX_SAFE_INTEGER:
            return int(value)
        return value

    def _container(self, value: list[object] | dict[object, object], path: tuple[PathPart, ...]) -> object:
        if len(path) >= MAX_DEPTH_LEVELS:
            self._reject(too_deep(json_pointer(path), f"more than {MAX_DEPTH_LEVELS} levels"))
            return None
        if self.values + len(value) > MAX_VALUES:
            found, allowed = f"more than {MAX_VALUES}", f"{MAX_VALUES} values in all"
            message = "contains too many values"
            self._reject(Violation(json_pointer(path), "too-large", message, found, allowed))
            return None
        if isinstance(value, list):
            longest = min(len(value), _LONGEST_LISTS.get(path, MAX_VALUES))
            items = [self.copy(value[index], (*path, index)) for index in range(longest)]
            return items + [0] * (len(value) - longest)
        return self._object(value, path)

    def _object(self, value: dict[object, object], path: tuple[PathPart, ...]) -> dict[str, object]:
        copied: dict[str, object] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                message, allowed = "has a property whose name is not a string", "names that are strings"
                found = f"{json_type_name(key)} as a name"
                self._reject(Violation(json_pointer(path), "not-json-value", message, found, allowed))
                continue
            if not key.isascii() and not fits_in_pointer(key) and re.search(_SURROGATE, key):
                message = "has a property whose name contains a lone surrogate"
                self._reject(_lone_surrogate(json_pointer(path), message, key))
            if type(item) is str and item.isascii():  # most values: nothing to check, and no path to build
                self.values += 1
                copied[str(key)] = item
            else:
                copied[str(key)] = self.copy(item, (*path, key))
        return copied


def _lone_surrogate(where: str, message: str, text: str) -> Violation:
    return Violation(where, "lone-surrogate", message, quote(text), "text that UTF-8 can encode")
