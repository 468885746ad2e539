"""Limits of this process's control groups: processors and memory. Pure, over the text of the kernel's files.

Both versions of control groups are read (cgroups(7)). A group is limited by all of its parents too, so each level of
the path counts and the smallest limit wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

ReadFile = Callable[[str], str | None]
"""Returns the text of a file, None if it cannot be read."""

UNLIMITED_V1_BYTES = 1 << 62
"""Version 1 writes "no limit" as the largest multiple of a page."""


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What the control groups allow. None means no limit.

    ``processors`` is a number of processors, and may be a fraction; ``cpu_used_s`` the processor time that the group
    with that quota has used. ``free_bytes`` is the memory that the group may still take; memory that only caches
    files counts as free.
    """

    processors: float | None = None
    cpu_used_s: float | None = None
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Hierarchy:
    """One mounted hierarchy: the folders of this process's group and its parents, the group's own first."""

    version: int
    folders: tuple[str, ...]


def read_limits(read: ReadFile) -> GroupLimits:
    """Returns the limits of this process. ``read`` reads files below /proc and the mounted hierarchies."""
    membership, mounts = read("/proc/self/cgroup"), read("/proc/self/mountinfo")
    if membership is None or mounts is None:
        return GroupLimits()
    groups = parse_membership(membership)
    hierarchies = parse_mounts(mounts, groups)
    processors, used_s = _cpu_limit(hierarchies, read)
    return GroupLimits(processors, used_s, _free_memory(hierarchies, read))


def parse_membership(text: str) -> dict[str, str]:
    """Parses /proc/self/cgroup: the group's path by controller; "" is the controller of version 2."""
    groups: dict[str, str] = {}
    for line in text.splitlines():
        _, separator, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator:
            groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def parse_mounts(text: str, groups: dict[str, str]) -> dict[str, _Hierarchy]:
    """Parses /proc/self/mountinfo: the hierarchy of the controllers "", "cpu", "cpuacct" and "memory"."""
    found: dict[str, _Hierarchy] = {}
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, filesystem = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or len(filesystem) < 3:
            continue
        root, mount_point = _unescape(fields[3]), _unescape(fields[4])
        if filesystem[0] == "cgroup2":
            controllers, version = [""], 2
        elif filesystem[0] == "cgroup":
            controllers, version = filesystem[2].split(","), 1
        else:
            continue
        for controller in controllers:
            if controller in ("", "cpu", "cpuacct", "memory") and controller in groups:
                folders = _folders(root, mount_point, groups[controller])
                found.setdefault(controller, _Hierarchy(version, folders))
    return found


def _unescape(path: str) -> str:
    for escape, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escape, letter)
    return path


def _folders(root: str, mount_point: str, group: str) -> tuple[str, ...]:
    """Returns the folders of a group and its parents up to the mount's root.

    A container may see its group as a path of the host that is not below its own mount: then the mount is its group.
    """
    path, base = PurePosixPath(group), PurePosixPath(root)
    inside = (
        path.relative_to(base) if ".." not in path.parts and path.is_relative_to(base) else PurePosixPath()
    )
    folder = PurePosixPath(mount_point) / inside
    count = len(inside.parts)
    return tuple(map(str, (folder, *folder.parents[:count])))


def _cpu_limit(hierarchies: dict[str, _Hierarchy], read: ReadFile) -> tuple[float | None, float | None]:
    """Returns the smallest quota in processors, and the time used by its group in s."""
    quotas: list[tuple[float, float | None]] = []
    for controller in ("", "cpu"):
        for index, folder in enumerate(_folders_of(hierarchies, controller)):
            if controller == "":
                quota, used_s = _quota_v2(read(f"{folder}/cpu.max")), _used_v2(read(f"{folder}/cpu.stat"))
            else:
                quota = _quota_v1(read(f"{folder}/cpu.cfs_quota_us"), read(f"{folder}/cpu.cfs_period_us"))
                used_s = _used_v1(hierarchies, index, read)
            if quota is not None:
                quotas.append((quota, used_s))
    return min(quotas, key=lambda entry: entry[0], default=(None, None))


def _free_memory(hierarchies: dict[str, _Hierarchy], read: ReadFile) -> int | None:
    free: list[int] = []
    for controller, limit_name, usage_name, cache_name in (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for folder in _folders_of(hierarchies, controller):
            limit = _number(read(f"{folder}/{limit_name}"))
            usage = _number(read(f"{folder}/{usage_name}"))
            if limit is None or usage is None or limit >= UNLIMITED_V1_BYTES:
                continue
            cache = _value_of(read(f"{folder}/memory.stat"), cache_name) or 0
            free.append(max(0, limit - max(0, usage - cache)))
    return min(free, default=None)


def _folders_of(hierarchies: dict[str, _Hierarchy], controller: str) -> Iterator[str]:
    hierarchy = hierarchies.get(controller)
    if hierarchy is not None:
        yield from hierarchy.folders


def _quota_v2(text: str | None) -> float | None:
    quota, _, period = (text or "").strip().partition(" ")
    return _ratio(_number(quota), _number(period))


def _quota_v1(quota: str | None, period: str | None) -> float | None:
    return _ratio(_number(quota), _number(period))


def _ratio(quota: int | None, period: int | None) -> float | None:
    return quota / period if quota and period else None


def _used_v2(text: str | None) -> float | None:
    used_us = _value_of(text, "usage_usec")
    return None if used_us is None else used_us / 1e6


def _used_v1(hierarchies: dict[str, _Hierarchy], index: int, read: ReadFile) -> float | None:
    folders = list(_folders_of(hierarchies, "cpuacct"))
    if index >= len(folders):
        return None
    used_ns = _number(read(f"{folders[index]}/cpuacct.usage"))
    return None if used_ns is None else used_ns / 1e9


def _value_of(text: str | None, name: str) -> int | None:
    """Returns a value of a file with lines "name value"."""
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value)
    return None


def _number(text: str | None) -> int | None:
    """Parses a whole number; None for "max", for -1 and for anything else."""
    stripped = (text or "").strip()
    return int(stripped) if stripped.isascii() and stripped.isdigit() else None
