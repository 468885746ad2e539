"""Dialogs that change the weight and the maximum of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.formatting import clean
from previewops.project_limits import MAX_ACTIVE, MAX_WEIGHT

if TYPE_CHECKING:
    from previewops.queue.projects import ProjectLoad

NO_MAXIMUM = "none"


def weight_question(project: str, load: ProjectLoad | None) -> str:
    """The question for a new weight."""
    weight = 1 if load is None else load.weight
    return f"Weight of {clean(project)}: its share of turns beside projects of weight 1. Now: {weight}."


def maximum_question(project: str, load: ProjectLoad | None) -> str:
    """The question for a new maximum of active jobs."""
    most = None if load is None else load.max_active
    now = NO_MAXIMUM if most is None else f"{most:,}"
    return f"How many jobs of {clean(project)} may be active at once? Now: {now}. Running jobs go on."


def check_weight(text: str) -> str:
    """The error of a typed weight, "" for none."""
    return _check(text, MAX_WEIGHT, f"allowed is a number from 1 to {MAX_WEIGHT}")


def check_maximum(text: str) -> str:
    """The error of a typed maximum, "" for none."""
    if text == NO_MAXIMUM:
        return ""
    return _check(text, MAX_ACTIVE, f"allowed is a number from 1 to {MAX_ACTIVE:,}, or {NO_MAXIMUM}")


def parse_maximum(text: str) -> int:
    """The maximum in a text without an error; 0 for none."""
    return 0 if text == NO_MAXIMUM else int(text)


def _check(text: str, maximum: int, allowed: str) -> str:
    if text.isascii() and text.isdigit() and len(text) <= len(str(maximum)) and 1 <= int(text) <= maximum:
        return ""
    return f"found {clean(text)!r}, {allowed}" if text else allowed
