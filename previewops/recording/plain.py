"""How values are written as JSON, and read again from a file that anybody may have made. Pure.

A ``Form`` has the fields of a class with their keys and kinds. A value that is nothing of its kind (0, "", no items,
None) is left out. Keys that are not known are passed over, so that a later version may add some.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from previewops.recording.patch import Plain
from previewops.snapshot.histogram import MAX_BIN
from previewops.states import Priority

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_SHOWN = 40
"""Characters of what was found that an error repeats."""

_MOST = 2**63 - 1

_NEEDED = object()
"""Stands for what is nothing of a kind of which there is no nothing."""


class Unfit(ValueError):
    """A value is not of its kind. ``where`` are the keys that lead to it."""

    def __init__(self, wanted: str, found: str, where: tuple[str, ...] = ()) -> None:
        super().__init__(f"{'.'.join(where) or 'it'} is {found}, not {wanted}")
        self.wanted = wanted
        self.found = found
        self.where = where

    def below(self, key: str) -> Unfit:
        """The same error, seen from one level above."""
        return Unfit(self.wanted, self.found, (key[:_SHOWN], *self.where))


def unfit(wanted: str, found: object) -> Unfit:
    """The error for a value that was found."""
    return Unfit(wanted, repr(found)[:_SHOWN])


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value: how it is written, how it is read (or ``Unfit``), and the value that is left out."""

    put: Callable[[T], Any]
    take: Callable[[Any], T]
    nothing: Any


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How the values of a class are written: its fields with their keys and kinds."""

    made: Callable[..., T]
    fields: Mapping[str, tuple[str, Kind[Any]]]

    def put(self, value: T) -> Plain:
        """The value as a JSON object."""
        plain: Plain = {}
        for name, (key, kind) in self.fields.items():
            found = getattr(value, name)
            if found != kind.nothing:
                plain[key] = kind.put(found)
        return plain

    def take(self, plain: Any, **known: Any) -> T:
        """The value that was written; ``known`` are fields that were written elsewhere.

        Raises:
            Unfit: what was found is not of the kind that is needed.
        """
        if not isinstance(plain, dict):
            raise unfit("an object", plain)
        made = dict(known)
        for name, (key, kind) in self.fields.items():
            if key in plain:
                try:
                    made[name] = kind.take(plain[key])
                except Unfit as error:
                    raise error.below(key) from None
            elif kind.nothing is _NEEDED:
                raise Unfit("there", "missing", (key,))
            else:
                made[name] = kind.nothing
        return self.made(**made)


def _as_it_is(value: Any) -> Any:
    return value


def _put_whole(value: int) -> int:
    """What a worker said of itself may be any number; what is written can be read again."""
    return max(-_MOST, min(value, _MOST))


def _whole(found: Any) -> int:
    if type(found) is not int or abs(found) > _MOST:
        raise unfit("a whole number of 64 bits", found)
    return found


def _put_moment(value: int) -> int:
    return max(0, min(value, _MOST))


def _moment(found: Any) -> int:
    if type(found) is not int or not 0 <= found <= _MOST:
        raise unfit("a time in ms", found)
    return found


def up_to(most: int) -> Kind[int]:
    """A whole number from 0 to ``most``. Written is the nearest one that can be read again."""

    def take(found: Any) -> int:
        if type(found) is not int or not 0 <= found <= most:
            raise unfit(f"a whole number from 0 to {most:,}", found)
        return found

    return Kind(lambda value: max(0, min(value, most)), take, 0)


def _put_number(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _number(found: Any) -> float:
    if type(found) is int:
        return _whole(found)
    if type(found) is not float or not math.isfinite(found):
        raise unfit("a number", found)
    return found


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise unfit("a text", found)
    return found


def _flag(found: Any) -> bool:
    if not isinstance(found, bool):
        raise unfit("true or false", found)
    return found


def _texts(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list):
        raise unfit("a list of texts", found)
    return tuple(map(_text, found))


def _object(found: Any, kind: Callable[[Any], T]) -> dict[str, T]:
    if not isinstance(found, dict):
        raise unfit("an object", found)
    return {name: kind(value) for name, value in found.items()}


def _put_bins(bins: Mapping[int, int]) -> list[int]:
    """Bins and counts in turn: shorter than an object of them."""
    return [part for number, count in sorted(bins.items()) for part in (_BIN.put(number), _COUNT.put(count))]


def _bins(found: Any) -> dict[int, int]:
    if not isinstance(found, list) or len(found) % 2:
        raise unfit("a list of bins and counts", found)
    pairs = zip(found[::2], found[1::2], strict=True)
    return {_BIN.take(number): _COUNT.take(count) for number, count in pairs}


def _by_priority(found: Any) -> dict[Priority, int]:
    return {PRIORITY.take(name): count for name, count in _object(found, _whole).items()}


def member(kind: type[E], nothing: object = _NEEDED) -> Kind[E]:
    """A member of an enumeration, written as its value."""

    def take(found: Any) -> E:
        try:
            return kind(found)
        except ValueError:
            raise unfit(f"a {kind.__name__.lower()}", found) from None

    return Kind(lambda value: value.value, take, nothing)


def many(form: Form[T]) -> Kind[tuple[T, ...]]:
    """Any number of values of a form."""

    def take(found: Any) -> tuple[T, ...]:
        if not isinstance(found, list):
            raise unfit("a list", found)
        return tuple(form.take(item) for item in found)

    return Kind(lambda values: [form.put(value) for value in values], take, ())


def one(form: Form[T]) -> Kind[T]:
    """Exactly one value of a form."""
    return Kind(form.put, form.take, _NEEDED)


_BIN = up_to(MAX_BIN)
_COUNT = up_to(_MOST)

INT = Kind(_put_whole, _whole, 0)
TIME = Kind(_put_moment, _moment, 0)
PERHAPS_INT = Kind(_put_whole, _whole, None)
PERHAPS_TIME = Kind(_put_moment, _moment, None)
NUMBER: Kind[float] = Kind(_put_number, _number, 0.0)
TEXT = Kind(_as_it_is, _text, "")
FLAG = Kind(_as_it_is, _flag, False)
TEXTS: Kind[tuple[str, ...]] = Kind(list, _texts, ())
COUNTS: Kind[Mapping[str, int]] = Kind(dict, lambda found: _object(found, _whole), {})
WORDS: Kind[Mapping[str, str]] = Kind(dict, lambda found: _object(found, _text), {})
BINS: Kind[Mapping[int, int]] = Kind(_put_bins, _bins, {})
PRIORITY = member(Priority, Priority.NORMAL)
BY_PRIORITY: Kind[Mapping[Priority, int]] = Kind(
    lambda counts: {priority.value: count for priority, count in counts.items()}, _by_priority, {}
)
