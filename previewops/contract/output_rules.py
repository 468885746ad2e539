"""Rules of the options that choose what a bundle contains: outputs, widths, only, stepsRange.

Each function skips members of the wrong type: the schema reports those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from previewops.contract.limits import DEFAULT_FORMAT, DEFAULT_RESOLUTION
from previewops.contract_maxima import MAX_STEPS
from previewops.errors import Violation
from previewops.message_formatting import describe_value, json_pointer, quote

_OPTIONS = ("previewRequest", "options")
_RESOLUTION = r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})"
_STILL_ONLY = ("png", "jpeg")  # formats without an animation
_MAX_ITEMS = 8  # of a list of options that is checked; the schema allows fewer

Options = dict[str, Any]


def parse_resolution(text: str) -> tuple[int, int] | None:
    """Parses "WxH" to width and height in pixels; None for other text."""
    match = re.fullmatch(_RESOLUTION, text)
    return (int(match[1]), int(match[2])) if match else None


def asked_formats(options: Options) -> tuple[str, ...]:
    """Returns the formats of ``outputs``, else ``format``."""
    if "outputs" in options:
        return tuple(item for item in _items(options, "outputs") if isinstance(item, str))
    name = options.get("format", DEFAULT_FORMAT)
    return (name,) if isinstance(name, str) else ()


def output_violations(options: object, steps: object) -> Iterator[Violation]:
    """Yields the violations of ``options`` for a request with these ``steps``."""
    if not isinstance(options, dict):
        return
    for name in ("outputs", "widths", "only"):
        yield from _repeated(options, name)
    if "format" in options and "outputs" in options:
        allowed = "format for one animation, or outputs for several, not both"
        yield Violation(
            json_pointer(_OPTIONS), "format-twice", "names formats twice", "format and outputs", allowed
        )
    yield from _widths(options)
    yield from _excluded_parts(options)
    yield from _steps_range(options, len(steps) if isinstance(steps, list) else 0)


def _items(options: Options, name: str) -> list[Any]:
    value = options.get(name)
    return value[:_MAX_ITEMS] if isinstance(value, list) else []


def _repeated(options: Options, name: str) -> Iterator[Violation]:
    items = _items(options, name)
    for index, item in enumerate(items):
        first = items.index(item)
        if type(item) in (str, int) and first < index:
            allowed = f"each value once ({json_pointer((*_OPTIONS, name, first))} has this one)"
            where = json_pointer((*_OPTIONS, name, index))
            found = describe_value(item)
            yield Violation(where, "repeated-value", "is a value that is listed before", found, allowed)


def _widths(options: Options) -> Iterator[Violation]:
    resolution = options.get("resolution", DEFAULT_RESOLUTION)
    size = parse_resolution(resolution) if isinstance(resolution, str) else None
    if size is None:
        return
    for index, width in enumerate(_items(options, "widths")):
        if isinstance(width, int) and width > size[0]:
            where = json_pointer((*_OPTIONS, "widths", index))
            allowed = f"at most {size[0]}, the width of the resolution {resolution}"
            yield Violation(where, "width-too-large", "is wider than the frames", str(width), allowed)


def _excluded_parts(options: Options) -> Iterator[Violation]:
    excluding = {
        "animation": "format" if options.get("format") in _STILL_ONLY else None,
        "thumbnails": "thumbnails" if options.get("thumbnails") is False else None,
    }
    for index, part in enumerate(_items(options, "only")):
        option = excluding.get(part) if isinstance(part, str) else None
        if option is not None:
            where = json_pointer((*_OPTIONS, "only", index))
            found = f"{quote(part)} beside {option} {describe_value(options.get(option))}"
            allowed = f"another {option}, or a list without {quote(part)}"
            yield Violation(where, "part-excluded", f"is a part that {option} excludes", found, allowed)


def _steps_range(options: Options, steps: int) -> Iterator[Violation]:
    span = options.get("stepsRange")
    if not isinstance(span, dict):
        return
    first, last = span.get("from"), span.get("to")
    if not isinstance(first, int) or not isinstance(last, int) or not 0 < first <= MAX_STEPS:
        return
    if first <= last <= steps or not 0 < last <= MAX_STEPS:
        return
    allowed = f"from 1 to {steps}, from not after to" if steps else "no stepsRange: there are no steps"
    found = f"from {first} to {last}"
    yield Violation(
        json_pointer((*_OPTIONS, "stepsRange")), "steps-range", "is not a range of the steps", found, allowed
    )
