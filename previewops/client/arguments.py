"""What callers hand over, looked at before it goes further: a slip is told by the argument's name."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping

from previewops.errors import UsageError


class BadArgument(UsageError, TypeError, ValueError):
    """An argument of a call is of a wrong type or value: ``argument`` names it, beside ``found`` and ``allowed``."""

    code = "bad-argument"

    def __init__(self, argument: str, found: str, allowed: str, *, hint: str | None = None) -> None:
        super().__init__(f"{argument} is {found}; allowed is {allowed}", hint=hint)
        self.argument = argument
        self.found = found
        self.allowed = allowed


def require_text(argument: str, value: object) -> None:
    """Demands a string that UTF-8 can hold, as it goes to Redis.

    Raises:
        BadArgument: it is something else.
    """
    if not isinstance(value, str):
        raise BadArgument(argument, _kind(value), "a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadArgument(argument, ascii(value), "a string without lone surrogates") from None


def require_seconds(argument: str, value: object) -> None:
    """Demands seconds, or None for no end.

    Raises:
        BadArgument: it is something else, or less than nought.
    """
    allowed = "None, or a number of seconds from 0 on"
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


def require_list(argument: str, value: object) -> None:
    """Demands something to go through that is no payload itself.

    Raises:
        BadArgument: it is something else.
    """
    single = isinstance(value, Mapping | os.PathLike | str | bytes)
    if single or not isinstance(value, Iterable):
        raise BadArgument(
            argument, _kind(value), "a list of payloads, or whatever else can be gone through",
            hint="put a single payload into a list, or hand it to submit" if single else None,
        )  # fmt: skip


def payload_error(value: object) -> BadArgument:
    """The refusal of what is neither a payload nor the path of one."""
    hint = None
    if isinstance(value, str | bytes):
        hint = "json.loads makes a payload of JSON text; wrap the name of a file in pathlib.Path"
    return BadArgument(
        "payload", _kind(value), "a mapping, or the Path of a file with one in JSON", hint=hint
    )


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
