"""Checks of arguments of client calls; errors name the argument."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping

from previewops.errors import UsageError


class BadArgument(UsageError, TypeError, ValueError):
    """An argument has a wrong type or value: ``argument`` is its name, ``found`` and ``allowed`` describe values."""

    code = "bad-argument"

    def __init__(self, argument: str, found: str, allowed: str, *, hint: str | None = None) -> None:
        super().__init__(f"{argument}: found {found}, allowed {allowed}", hint=hint)
        self.argument = argument
        self.found = found
        self.allowed = allowed


def require_text(argument: str, value: object) -> None:
    """Requires a string that can be encoded as UTF-8.

    Raises:
        BadArgument: any other value.
    """
    if not isinstance(value, str):
        raise BadArgument(argument, _kind(value), "a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadArgument(argument, ascii(value), "a string without lone surrogates") from None


def require_seconds(argument: str, value: object) -> None:
    """Requires a number of seconds, or None for no limit.

    Raises:
        BadArgument: any other value, or a negative number.
    """
    allowed = "None or a number of seconds, 0 or more"
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadArgument(argument, _kind(value), allowed)
    try:
        number = float(value)
    except OverflowError:
        raise BadArgument(argument, "a number of more than 308 digits", allowed) from None
    if math.isnan(number) or number < 0:
        raise BadArgument(argument, str(value), allowed)


def require_flag(argument: str, value: object) -> None:
    """Requires True or False: the text "no" would count as True.

    Raises:
        BadArgument: any other value.
    """
    if not isinstance(value, bool):
        raise BadArgument(argument, _kind(value), "True or False")


def require_list(argument: str, value: object) -> None:
    """Requires an iterable that is not itself a payload.

    Raises:
        BadArgument: any other value.
    """
    single = isinstance(value, Mapping | os.PathLike | str | bytes)
    if single or not isinstance(value, Iterable):
        raise BadArgument(
            argument, _kind(value), "a list or another iterable of payloads",
            hint="put a single payload into a list, or pass it to submit" if single else None,
        )  # fmt: skip


def payload_error(value: object) -> BadArgument:
    """Returns the error for a value that is neither a payload nor a path."""
    hint = None
    if isinstance(value, str | bytes):
        hint = "parse JSON text with json.loads; wrap a file name in pathlib.Path"
    return BadArgument("payload", _kind(value), "a mapping, or the Path of a JSON file", hint=hint)


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
