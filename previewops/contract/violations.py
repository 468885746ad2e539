"""Normalizes lists of violations: unique, ordered by position, bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from previewops.contract.limits import MAX_COUNTED_VIOLATIONS, MAX_VIOLATIONS
from previewops.errors import Violation


def normalize(violations: Iterable[Violation]) -> list[Violation]:
    """Returns ``violations`` ordered by pointer (array indexes as numbers), one per pointer, code and found.

    Lists at most MAX_VIOLATIONS; a last entry counts the others. Reads at most MAX_COUNTED_VIOLATIONS + 1, so that a
    document full of errors costs little.
    """
    drawn = list(islice(violations, MAX_COUNTED_VIOLATIONS + 1))
    once = {(item.pointer, item.code, item.found): item for item in reversed(drawn)}
    ordered = sorted(once.values(), key=_order)
    total = (
        f"more than {MAX_COUNTED_VIOLATIONS}" if len(drawn) > MAX_COUNTED_VIOLATIONS else str(len(ordered))
    )
    return shorten_report(ordered, MAX_VIOLATIONS, total)


def shorten_report(violations: Sequence[Violation], most: int, total: str | None = None) -> list[Violation]:
    """Returns the first ``most`` violations, and one entry with the ``total`` number if there are others."""
    if len(violations) <= most:
        return list(violations)
    found = f"{total or len(violations)} violations"
    message = "has more violations than this report lists"
    return [*violations[:most], Violation("", "more-violations", message, found, f"{most} in one report")]


def _order(violation: Violation) -> tuple[list[tuple[int, str]], str, str]:
    parts = violation.pointer.split("/")
    place = [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]
    return place, violation.code, violation.found
