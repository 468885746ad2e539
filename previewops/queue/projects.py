"""What each project waits for and runs, and its limits: read, and changed while workers run.

Projects take turns within a priority (lua/include/turns.lua). Limits are stored in Redis, by operators or from
PREVIEW_PROJECT_LIMITS: those of a project win over those of ``*``, and of two for the same name an operator's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from previewops.disclosure import redact
from previewops.errors import UsageError
from previewops.project_limits import (
    EVERY_PROJECT,
    MAX_ACTIVE,
    MAX_WEIGHT,
    PROJECT_ALLOWED,
    ProjectLimits,
    is_project,
)
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptArgument, ScriptName, Scripts
from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS, UnreadableKeys
from previewops.states import ScriptResult

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.settings import Settings

MAX_PROJECTS = 1_000
"""Projects that one reading has of those that wait in a priority, are held, or have limits."""

MAX_STORED_LIMITS = 10_000
DEPLOYMENT = "PREVIEW_PROJECT_LIMITS"
"""Who changed a limit, if no operator did."""

LimitChange: TypeAlias = int | Literal["keep"] | None
"""A new limit; None removes it."""

_WIDTH = 7


@dataclass(frozen=True, slots=True)
class ProjectLoad:
    """One project: numbers of waiting and active jobs, and its limits.

    ``project`` is "" for jobs without a valid projectId. ``max_active`` None: no maximum. ``held``: jobs wait because
    the project has as many active jobs as it may. ``oldest_wait_ms`` None: no job waits.
    """

    project: str
    waiting: int
    active: int
    weight: int
    max_active: int | None
    held: bool
    oldest_wait_ms: int | None

    def as_json(self) -> dict[str, Any]:
        """The project as ``previewops projects --json`` and the API print it."""
        return {
            "project": self.project,
            "waiting": self.waiting,
            "active": self.active,
            "weight": self.weight,
            "maxActive": self.max_active,
            "held": self.held,
            "oldestWaitMs": self.oldest_wait_ms,
        }


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """The limits that apply to a project. ``changed``: this call has changed what is stored."""

    weight: int
    max_active: int | None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class ProjectLoads:
    """One reading: the projects, those with most waiting jobs first.

    ``waiting_projects`` is the number of projects that wait, at least: more than are here if they are many.
    ``others`` are the limits of projects that are not named in any.
    """

    projects: tuple[ProjectLoad, ...]
    waiting_projects: int
    others: EffectiveLimits
    now_ms: int
    unreadable: UnreadableKeys = NO_UNREADABLE_KEYS

    def as_json(self) -> dict[str, Any]:
        """The reading as ``previewops projects --json`` and the API print it."""
        return {
            "projects": [load.as_json() for load in self.projects],
            "waitingProjects": self.waiting_projects,
            "others": {"weight": self.others.weight, "maxActive": self.others.max_active},
            "unreadable": self.unreadable.as_json(),
        }


async def project_loads(
    redis: Redis, settings: Settings, *, projects: Collection[str] | None = None, limit: int = MAX_PROJECTS
) -> ProjectLoads:
    """Reads the projects that wait, run jobs or have limits, in one round trip.

    ``projects`` are those that the caller may see; None for all. ``limit`` bounds the cost, not the length.
    """
    visible = "" if projects is None else json.dumps(sorted(projects) or [EVERY_PROJECT])
    scripts = Scripts(redis, Keys(settings.queue_name))
    now, waiting, weight, max_active, *rows, unreadable = await scripts.run(
        ScriptName.PROJECT_LOADS, limit, visible
    )
    now_ms = int(now)
    loads = (_load(rows[i : i + _WIDTH], now_ms) for i in range(0, len(rows), _WIDTH))
    ordered = sorted(loads, key=lambda load: (-load.waiting, -load.active, load.project))
    others = EffectiveLimits(weight, max_active or None)
    if projects is not None:  # the caller must not learn of others
        waiting = sum(load.waiting > 0 for load in ordered)
        return ProjectLoads(tuple(ordered), waiting, others, now_ms)
    return ProjectLoads(tuple(ordered), waiting, others, now_ms, UnreadableKeys.from_reply(unreadable))


def _load(row: list[Any], now_ms: int) -> ProjectLoad:
    project, waiting, active, weight, max_active, held, oldest_us = row
    return ProjectLoad(
        project.decode("utf-8", "replace"),
        waiting,
        active,
        weight,
        max_active or None,
        held == 1,
        max(0, now_ms - int(oldest_us) // 1000) if oldest_us else None,
    )


async def set_project_limits(
    redis: Redis,
    settings: Settings,
    project: str,
    *,
    weight: LimitChange = "keep",
    max_active: LimitChange = "keep",
    who: str,
    reason: str = "",
) -> EffectiveLimits:
    """Sets limits of one project, or of ``*``, while workers run. Jobs that run go on.

    None removes what an operator has set; ``max_active`` 0 sets that there is no maximum.

    Raises:
        UsageError: an invalid project, weight or maximum, or limits of too many projects.
    """
    if isinstance(weight, int) and not 1 <= weight <= MAX_WEIGHT:
        raise UsageError(f"weight: found {weight}, allowed a whole number from 1 to {MAX_WEIGHT}")
    if isinstance(max_active, int) and not 0 <= max_active <= MAX_ACTIVE:
        allowed = f"a whole number from 1 to {MAX_ACTIVE}, or none for no maximum"
        raise UsageError(f"maximum of active jobs: found {max_active}, allowed {allowed}")
    if project != EVERY_PROJECT and not is_project(project):
        raise UsageError(f"project: found {project[:200]!r}, allowed {PROJECT_ALLOWED}")
    values = (_script_argument(weight), _script_argument(max_active))
    reply = await _store_limits(redis, settings, "set", who, redact(reason), project, *values)
    return EffectiveLimits(reply[1], reply[2] or None, changed=reply[0] == ScriptResult.OK)


async def store_deployment_limits(
    redis: Redis, settings: Settings, limits: Iterable[tuple[str, ProjectLimits]]
) -> tuple[str, ...]:
    """Stores PREVIEW_PROJECT_LIMITS in place of what it was before. Returns the names that changed.

    Raises:
        UsageError: limits of too many projects.
    """
    values = (
        value
        for name, limit in limits
        for value in (name, *("" if value is None else value for value in (limit.weight, limit.max_active)))
    )
    reply = await _store_limits(redis, settings, "env", DEPLOYMENT, "", *values)
    return tuple(name.decode("utf-8", "replace") for name in reply[3:])


def _script_argument(change: LimitChange) -> str:
    if change == "keep":
        return ""
    return "-" if change is None else str(change)


async def _store_limits(redis: Redis, settings: Settings, *arguments: ScriptArgument) -> list[Any]:
    layer, who, reason, *limits = arguments
    reply: list[Any] = await Scripts(redis, Keys(settings.queue_name)).run(
        ScriptName.SET_PROJECT_LIMITS, layer, who, reason, MAX_STORED_LIMITS, *limits
    )
    if reply[0] == ScriptResult.FULL:
        found, allowed = f"more than {MAX_STORED_LIMITS}", f"at most {MAX_STORED_LIMITS}"
        hint = "`previewops projects reset NAME` removes limits, or set them for * once"
        raise UsageError(f"projects with limits: found {found}, allowed {allowed}", hint=hint)
    return reply
