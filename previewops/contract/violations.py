"""Many violations as one report: each once, in the order of the document, bounded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from previewops.contract.limits import MAX_VIOLATIONS
from previewops.errors import Violation


def normalize(violations: Iterable[Violation]) -> list[Violation]:
    """``violations`` ordered by pointer (array places by number), one for each pointer, code and found.

    At most MAX_VIOLATIONS + 1 are drawn, so that a document made of errors costs little; if there were that
    many, a last entry says that there are more.
    """
    drawn = list(islice(violations, MAX_VIOLATIONS + 1))
    once = {(item.pointer, item.code, item.found): item for item in reversed(drawn)}
    ordered = sorted(once.values(), key=_order)
    if len(drawn) > MAX_VIOLATIONS:
        return [*ordered[:MAX_VIOLATIONS], _more()]
    return ordered


def _order(violation: Violation) -> tuple[list[tuple[int, str]], str, str]:
    parts = violation.pointer.split("/")
    place = [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]
    return place, violation.code, violation.found


def _more() -> Violation:
    return Violation(
        "",
        "more-violations",
        "has more violations than are listed",
        f"more than {MAX_VIOLATIONS}",
        f"{MAX_VIOLATIONS} in one report",
    )
