"""What differs between two JSON objects, and how it is put on again. Pure.

A patch of an object is an object with up to three members: ``s`` has the values that are new or replaced, ``p`` the
patches of values that are objects or lists themselves, ``r`` the names that are gone. A list whose items are objects
with an ``i`` (their id) has a list as its patch, with one entry an item: an object is a new item, ``[place, count]``
are items of the old list as they were, and ``[place, patch]`` is one that has changed. Other lists are replaced.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Plain: TypeAlias = dict[str, Any]
"""A JSON object."""

MOST_ITEMS = 50_000
"""In a list that a patch makes: more is no recording of ours."""

MOST_DEPTH = 8


def difference(old: Plain, new: Plain) -> Plain:
    """The patch that makes ``new`` out of ``old``; empty when they are equal."""
    put: Plain = {}
    inner: Plain = {}
    for name, value in new.items():
        if name not in old:
            put[name] = value
        elif old[name] != value:
            patch = _inner(old[name], value)
            if patch is None:
                put[name] = value
            else:
                inner[name] = patch
    gone = [name for name in old if name not in new]
    return {name: part for name, part in (("s", put), ("p", inner), ("r", gone)) if part}


def _inner(old: Any, new: Any) -> Any:
    """A patch of one value, or None if it is better replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return difference(old, new)
    return _moves(old, new) if _has_ids(old) and _has_ids(new) else None


def _has_ids(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and isinstance(item.get("i"), str | int) for item in value)
    )


def _moves(old: list[Plain], new: list[Plain]) -> list[Any]:
    places = {item["i"]: place for place, item in enumerate(old)}
    moves: list[Any] = []
    follows = None  # the place that would prolong the last run of items that are as they were
    for item in new:
        place = places.get(item["i"])
        if place is None:
            moves.append(item)
        elif old[place] != item:
            moves.append([place, difference(old[place], item)])
        elif place == follows:
            moves[-1][1] += 1
            follows = place + 1
            continue
        else:
            moves.append([place, 1])
            follows = place + 1
            continue
        follows = None
    return moves


def applied(old: Any, patch: Any, *, depth: int = 0) -> Any:
    """``old`` with the patch put on. Neither is changed; parts may be shared.

    Raises:
        ValueError: the patch is none, or none of ``old``; the words say what was found.
    """
    if depth > MOST_DEPTH:
        raise ValueError(f"the patch is nested deeper than {MOST_DEPTH}")
    if isinstance(old, list) and isinstance(patch, list):
        return _moved(old, patch, depth)
    if not isinstance(old, dict) or not isinstance(patch, dict):
        raise ValueError(f"a {type(patch).__name__} cannot change a {type(old).__name__}")
    put, inner, gone = patch.get("s", {}), patch.get("p", {}), patch.get("r", [])
    if not isinstance(put, dict) or not isinstance(inner, dict) or not isinstance(gone, list):
        raise ValueError("the patch is not made of objects s and p and a list r")
    new = {**old, **put}
    for name, part in inner.items():
        if name not in old:
            raise ValueError(f"it changes {name[:40]!r}, which is not there")
        new[name] = applied(old[name], part, depth=depth + 1)
    for name in gone:
        if not isinstance(name, str) or name not in new:
            raise ValueError(f"it takes away {str(name)[:40]!r}, which is not there")
        del new[name]
    return new


def _moved(old: list[Any], moves: list[Any], depth: int) -> list[Any]:
    new: list[Any] = []
    for move in moves:
        if isinstance(move, dict):
            new.append(move)
            continue
        place, what = _operands(move, len(old))
        if isinstance(what, int):
            new += old[place : place + what]
        else:
            new.append(applied(old[place], what, depth=depth + 1))
        if len(new) > MOST_ITEMS:
            raise ValueError(f"a list grows beyond {MOST_ITEMS:,} items")
    return new


def _operands(move: Any, length: int) -> tuple[int, Any]:
    if isinstance(move, list) and len(move) == 2:
        place, what = move
        if type(place) is int and 0 <= place < length:
            if isinstance(what, dict) or (type(what) is int and 1 <= what <= length - place):
                return place, what
            raise ValueError(f"{str(what)[:40]} is no patch and no count of the items there")
        raise ValueError(f"the list has no item {str(place)[:40]}")
    raise ValueError(f"{str(move)[:40]} moves no item of a list")
