"""Normalizes lists of violations: unique, ordered by position, bounded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from previewops.contract.limits import MAX_VIOLATIONS
from previewops.errors import Violation


def normalize(violations: Iterable[Violation]) -> list[Violation]:
    """Returns ``violations`` ordered by pointer (array indexes as numbers), one per pointer, code and found.

    Reads at most MAX_VIOLATIONS + 1, so that a document full of errors costs little. If there were more, a last entry
    reports it.
    """
    drawn = list(islice(violations, MAX_VIOLATIONS + 1))
    once = {(item.pointer, item.code, item.found): item for item in reversed(drawn)}
    ordered = sorted(once.values(), key=_order)
    if len(drawn) > MAX_VIOLATIONS:
        found, allowed = f"more than {MAX_VIOLATIONS}", f"{MAX_VIOLATIONS} in one report"
        message = "has more violations than this report lists"
        return [*ordered[:MAX_VIOLATIONS], Violation("", "more-violations", message, found, allowed)]
    return ordered


def _order(violation: Violation) -> tuple[list[tuple[int, str]], str, str]:
    parts = violation.pointer.split("/")
    place = [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]
    return place, violation.code, violation.found
