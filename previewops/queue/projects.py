"""What each project waits for and runs, and its limits: read, and changed while workers run.

Projects take turns within a priority (lua/include/turns.lua). Limits are stored in Redis, by operators or from
PREVIEW_PROJECT_LIMITS: those of a project win over those of ``*``, and of two for the same name an operator's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

_WIDTH = 7
_REMOVE = "-"


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
class ProjectLoads:
    """One reading: the projects, those with most waiting jobs first.

    ``waiting_projects`` is the number of projects that wait, at least: more than are here if they are many.
    """

    projects: tuple[ProjectLoad, ...]
    waiting_projects: int
    now_ms: int
    unreadable: UnreadableKeys = NO_UNREADABLE_KEYS


async def project_loads(
    redis: Redis, settings: Settings, *, projects: Collection[str] | None = None, limit: int = MAX_PROJECTS
) -> ProjectLoads:
    """Reads the projects that wait, run jobs or have limits, in one round trip.

    ``projects`` are those that the caller may see; None for all. ``limit`` bounds the cost, not the length.
    """
    visible = "" if projects is None else json.dumps(sorted(projects) or [EVERY_PROJECT])
    scripts = Scripts(redis, Keys(settings.queue_name))
    now_us, waiting, *rows, unreadable = await scripts.run(ScriptName.PROJECT_LOADS, limit, visible)
    now_ms = int(now_us)
    loads = (_load(rows[i : i + _WIDTH], now_ms) for i in range(0, len(rows), _WIDTH))
    ordered = sorted(loads, key=lambda load: (-load.waiting, -load.active, load.project))
    return ProjectLoads(tuple(ordered), int(waiting), now_ms, UnreadableKeys.from_reply(unreadable))


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
    weight: int | None = None,
    max_active: int | None = None,
    who: str,
    reason: str = "",
) -> bool:
    """Sets limits of one project, or of ``*``, while workers run. Returns whether that changed anything.

    None keeps what is set; ``max_active`` 0 sets that there is no maximum. Jobs that run go on.

    Raises:
        UsageError: an invalid project, weight or maximum, or limits of too many projects.
    """
    if weight is not None and not 1 <= weight <= MAX_WEIGHT:
        raise UsageError(f"weight: found {weight}, allowed a whole number from 1 to {MAX_WEIGHT}")
    if max_active is not None and not 0 <= max_active <= MAX_ACTIVE:
        allowed = f"a whole number from 1 to {MAX_ACTIVE}, or none for no maximum"
        raise UsageError(f"maximum of active jobs: found {max_active}, allowed {allowed}")
    if weight is None and max_active is None:
        raise UsageError("found neither a weight nor a maximum of active jobs, allowed one or both")
    values = ("" if value is None else str(value) for value in (weight, max_active))
    return await _store(redis, settings, project, *values, who=who, reason=reason)


async def reset_project_limits(
    redis: Redis, settings: Settings, project: str, *, who: str, reason: str = ""
) -> bool:
    """Removes what operators have set for one project, or for ``*``. Returns whether that changed anything.

    Raises:
        UsageError: an invalid project.
    """
    return await _store(redis, settings, project, _REMOVE, _REMOVE, who=who, reason=reason)


async def store_deployment_limits(
    redis: Redis, settings: Settings, limits: Iterable[tuple[str, ProjectLimits]]
) -> tuple[str, ...]:
    """Stores PREVIEW_PROJECT_LIMITS in place of what it was before. Returns the names that changed."""
    arguments: list[ScriptArgument] = []
    for name, limit in limits:
        values = ("" if value is None else value for value in (limit.weight, limit.max_active))
        arguments += (name, *values)
    code, _, *changed = await Scripts(redis, Keys(settings.queue_name)).run(
        ScriptName.SET_PROJECT_LIMITS, "env", DEPLOYMENT, "", MAX_STORED_LIMITS, *arguments
    )
    _check_room(code)
    return tuple(name.decode("utf-8", "replace") for name in changed)


async def _store(
    redis: Redis, settings: Settings, project: str, weight: str, max_active: str, *, who: str, reason: str
) -> bool:
    if project != EVERY_PROJECT and not is_project(project):
        raise UsageError(f"project: found {project[:200]!r}, allowed {PROJECT_ALLOWED}")
    arguments = ("set", who, redact(reason), MAX_STORED_LIMITS, project, weight, max_active)
    code, *_ = await Scripts(redis, Keys(settings.queue_name)).run(ScriptName.SET_PROJECT_LIMITS, *arguments)
    _check_room(code)
    return ScriptResult(code) is ScriptResult.OK


def _check_room(code: int) -> None:
    if code == ScriptResult.FULL:
        found, allowed = f"more than {MAX_STORED_LIMITS}", f"at most {MAX_STORED_LIMITS}"
        hint = "`previewops projects reset NAME` removes limits, or set them for * once"
        raise UsageError(f"projects with limits: found {found}, allowed {allowed}", hint=hint)
