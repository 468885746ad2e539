"""Examines what the queue derives from jobs for the turns and maxima of projects, and repairs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from previewops.doctor.data_diagnosis import (
    damaged_limits,
    decode_id,
    diagnose_active,
    diagnose_limits,
    diagnose_turns,
)
from previewops.doctor.job_diagnosis import Finding
from previewops.project_limits import NO_PROJECT
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts
from previewops.states import Priority

BATCH = 200
"""Jobs per script."""

Read = Callable[[Iterable[Sequence[Any]]], Awaitable[list[Any]]]
Members = Callable[[str | bytes], Awaitable[set[bytes]]]
Report = Callable[[Iterable[Finding], Callable[[], Awaitable[Any]]], Awaitable[None]]


class ProjectCheck:
    """One examination. ``families`` are the queue's keys by prefix.

    ``read`` runs commands at one moment, ``members`` reads a sorted set, ``report`` takes findings and their repair.
    """

    def __init__(
        self,
        keys: Keys,
        scripts: Scripts,
        *,
        read: Read,
        members: Members,
        report: Report,
        families: Mapping[str, Sequence[bytes]],
    ) -> None:
        self._keys = keys
        self._scripts = scripts
        self._read = read
        self._members = members
        self._report = report
        self._families = families

    async def run(self) -> None:
        """Examines limits, then active jobs and held projects, then turns."""
        await self._check_limits()
        await self._check_active()
        for priority in Priority:
            await self._check_turns(priority)

    async def _check_limits(self) -> None:
        key = self._keys.project_limits
        (raw,) = await self._read([("HGETALL", key)])
        if isinstance(raw, Exception):
            return  # of another type: reported with the types
        names = {name.decode("utf-8", "backslashreplace"): name for name in raw}
        fields = {text: raw[name].decode("utf-8", "replace") for text, name in names.items()}
        damaged = damaged_limits(fields)
        await self._report(
            diagnose_limits(key, fields, damaged),
            lambda: self._scripts.run(ScriptName.REPAIR_FIELDS, key, *(names[name] for name in damaged)),
        )

    async def _check_active(self) -> None:
        """Also reports a wrong number of limits, without which scripts do not read them."""
        ids = await self._by_project(await self._members(self._keys.active))
        for project, listed in await self._members_by_project(self._keys.project_active_prefix):
            ids[project] |= listed
        for project in await self._members(self._keys.held_projects):
            ids[project] |= set()
        if not ids:
            ids[NO_PROJECT.encode()] = set()
        for project, batch in _batches(ids):
            differing, first, held, miscounted = await self._scripts.run(
                ScriptName.REPAIR_ACTIVE, 0, project, *batch
            )
            findings = diagnose_active(
                self._keys, decode_id(project), differing=differing, first=first, wrongly_held=held == 1
            )
            await self._report(findings, self._repair(ScriptName.REPAIR_ACTIVE, project, *batch))
            if miscounted:
                found, repair = "project_limits that are not their number", "store the number"
                finding = Finding(self._keys.meta, found, "the number of limits", repair)
                await self._report([finding], self._repair(ScriptName.REPAIR_ACTIVE, project))

    async def _check_turns(self, priority: Priority) -> None:
        prefix = f"{self._keys.project_waiting_prefix}{priority.value}:"
        ids = await self._by_project(await self._members(self._keys.waiting(priority)))
        for project, listed in await self._members_by_project(prefix):
            ids[project] |= listed
        for project in await self._members(self._keys.turns(priority)):
            ids[project] |= set()
        for project, batch in _batches(ids):
            differing, first, wrong = await self._scripts.run(
                ScriptName.REPAIR_TURNS, 0, priority.value, project, *batch
            )
            findings = diagnose_turns(
                self._keys,
                priority,
                decode_id(project),
                differing=differing,
                first=first,
                wrong_turn=wrong == 1,
            )
            repair = self._repair(ScriptName.REPAIR_TURNS, priority.value, project, *batch)
            await self._report(findings, repair)

    def _repair(self, script: ScriptName, *arguments: str | bytes) -> Callable[[], Awaitable[Any]]:
        return lambda: self._scripts.run(script, 1, *arguments)

    async def _by_project(self, ids: set[bytes]) -> defaultdict[bytes, set[bytes]]:
        """Returns jobs by the project of their record. A script compares again at one moment."""
        prefix = self._keys.job_prefix.encode()
        grouped: defaultdict[bytes, set[bytes]] = defaultdict(set)
        ordered = sorted(ids)
        for start in range(0, len(ordered), BATCH):
            batch = ordered[start : start + BATCH]
            projects = await self._read(("HGET", prefix + job_id, "project") for job_id in batch)
            for job_id, project in zip(batch, projects, strict=True):
                valid = isinstance(project, bytes) and _takes_turns(project)
                grouped[project if valid else NO_PROJECT.encode()].add(job_id)
        return grouped

    async def _members_by_project(self, prefix: str) -> list[tuple[bytes, set[bytes]]]:
        raw = prefix.encode()
        keys = (key for family in self._families.values() for key in family if key.startswith(raw))
        return [(key[len(raw) :], await self._members(key)) for key in keys]


def _takes_turns(project: bytes) -> bool:
    """As turn_of in lua/include/project_limits.lua."""
    return len(project) <= 128 and all(byte in _PLAIN for byte in project)


_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


def _batches(ids: Mapping[bytes, set[bytes]]) -> Iterator[tuple[bytes, list[bytes]]]:
    for project, members in sorted(ids.items()):
        ordered = sorted(members)
        for start in range(0, max(1, len(ordered)), BATCH):
            yield project, ordered[start : start + BATCH]
