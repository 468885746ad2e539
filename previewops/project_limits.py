"""Weights and maxima of projects, as PREVIEW_PROJECT_LIMITS and operators set them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_WEIGHT = 100
MAX_ACTIVE = 1_000_000
MAX_NAMED = 1_000
"""Projects that one setting may name."""

EVERY_PROJECT = "*"
"""Name of the limits of every project without its own."""

NO_PROJECT = ""
"""Project of the jobs without a valid one, which only stock arq clients can enqueue. They share one turn."""

_PROJECT = re.compile(r"(?!.*\.\.)(?!.*\.\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LIMIT = re.compile(r"(weight|active):([0-9]{1,7}|none)")

PROJECT_ALLOWED = "a projectId, or * for every project without its own limits"
LIMITS_ALLOWED = (
    f"projects and limits such as shop=weight:3,active:4;*=active:8, with a weight from 1 to {MAX_WEIGHT} "
    f"and active from 1 to {MAX_ACTIVE}, or none for no maximum"
)


@dataclass(frozen=True, slots=True)
class ProjectLimits:
    """What is set for one project. None: not set, so that the next rule applies.

    ``weight`` is the share of turns, ``max_active`` the maximum of active jobs, 0 for no maximum.
    """

    weight: int | None = None
    max_active: int | None = None

    def __str__(self) -> str:
        """As in PREVIEW_PROJECT_LIMITS: ``weight:3,active:4``; "" if nothing is set."""
        weight = () if self.weight is None else (f"weight:{self.weight}",)
        active = () if self.max_active is None else (f"active:{self.max_active or 'none'}",)
        return ",".join((*weight, *active))


def is_project(name: str) -> bool:
    """Whether jobs can have this projectId."""
    return _PROJECT.fullmatch(name) is not None


def parse_project_limits(raw: str) -> tuple[tuple[str, ProjectLimits], ...] | None:
    """Parses ``shop=weight:3,active:4;*=active:8``. Returns None if it is invalid."""
    limits: dict[str, ProjectLimits] = {}
    for part in filter(None, (part.strip() for part in raw.split(";"))):
        name, _, values = part.partition("=")
        parsed = _parse_limits(values)
        if parsed is None or name in limits or not (name == EVERY_PROJECT or is_project(name)):
            return None
        limits[name] = parsed
    return tuple(limits.items()) if len(limits) <= MAX_NAMED else None


def _parse_limits(text: str) -> ProjectLimits | None:
    values: dict[str, int] = {}
    for part in text.split(","):
        match = _LIMIT.fullmatch(part.strip())
        if match is None or match[1] in values:
            return None
        unlimited = match[2] == "none"
        value = 0 if unlimited else int(match[2])
        largest = MAX_WEIGHT if match[1] == "weight" else MAX_ACTIVE
        if not 1 <= value <= largest and not (unlimited and match[1] == "active"):
            return None
        values[match[1]] = value
    return ProjectLimits(values.get("weight"), values.get("active"))
