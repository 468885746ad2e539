"""Reads the values of a TOML table. Invalid ones are reported and ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from previewops.formatting import clean

T = TypeVar("T")

_MAX_SHOWN = 40
"""Characters of a value that a message repeats."""


class InvalidSetting(ValueError):
    """A value that is not allowed. The message fits behind its name: ``found 'blue', allowed dark or light``."""


class TableReader:
    """One table of the file. ``problems`` collects messages; ``name`` is the table's, "" for the whole file."""

    def __init__(self, values: Mapping[str, Any], problems: list[str], name: str = "") -> None:
        self._values = values
        self._problems = problems
        self._name = name

    def read(self, key: str, parse: Callable[[Any], T], default: T) -> T:
        """The value of ``key``, or the default if it is missing or ``parse`` raises ``InvalidSetting``."""
        if key not in self._values:
            return default
        try:
            return parse(self._values[key])
        except InvalidSetting as error:
            self.report(f"{self._path(key)}: {error}")
            return default

    def read_all(self, parse: Callable[[str, Any], T]) -> dict[str, T]:
        """All values by key; ``parse`` gets key and value."""
        parsed: dict[str, T] = {}
        for key, value in self._values.items():
            try:
                parsed[key] = parse(key, value)
            except InvalidSetting as error:
                self.report(f"{self._path(key)}: {error}")
        return parsed

    def table(self, key: str) -> TableReader:
        """The table below ``key``, an empty one if it is missing or not a table."""
        value = self._values.get(key, {})
        if not isinstance(value, Mapping):
            self.report(f"{self._path(key)}: found {show(value)}, allowed a table")
            value = {}
        return TableReader(value, self._problems, self._path(key))

    def tables(self) -> dict[str, TableReader]:
        """All tables below this one, by key."""
        tables = {key: self.table(key) for key in self._values}
        return {key: table for key, table in tables.items() if isinstance(self._values[key], Mapping)}

    def report_unknown(self, allowed: Iterable[str]) -> None:
        """Reports keys that are not allowed."""
        names = tuple(allowed)
        for key in self._values:
            if key not in names:
                self.report(f"{self._path(key)}: unknown key, allowed {', '.join(names)}")

    def report(self, problem: str) -> None:
        self._problems.append(clean(problem))

    @property
    def values(self) -> Mapping[str, Any]:
        return self._values

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key


def show(value: object) -> str:
    """A value as messages show it, shortened."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def one_of(*allowed: str) -> Callable[[Any], str]:
    """A parser that accepts some words."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise InvalidSetting(f"found {show(value)}, allowed {', '.join(allowed)}")
        return value

    return parse


def number_between(least: float, most: float) -> Callable[[Any], float]:
    """A parser that accepts a range of numbers."""

    def parse(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            raise InvalidSetting(f"found {show(value)}, allowed {least:g} to {most:g}")
        return float(value)

    return parse


def boolean(value: Any) -> bool:
    """Accepts true and false."""
    if not isinstance(value, bool):
        raise InvalidSetting(f"found {show(value)}, allowed true or false")
    return value
