"""Where an open file is in its file system, whatever mount it was reached by: Linux only."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_MOUNT_ID = re.compile(r"(?m)^mnt_id:\s*([0-9]+)$")
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Place(NamedTuple):
    """A file system, as major:minor, and a path from its root."""

    device: str
    path: PurePosixPath


def mount_id(fd: int) -> int | None:
    """Returns the id of the mount that the descriptor was opened through; None if the system does not report it."""
    try:
        match = _MOUNT_ID.search(Path(f"/proc/self/fdinfo/{fd}").read_text("ascii"))
    except OSError:
        return None
    return int(match[1]) if match else None


def place_of(fd: int) -> Place | None:
    """Returns where an open file is in its file system; None if the system does not report it."""
    number = mount_id(fd)
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
        path = PurePosixPath(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115 - a pure path
    except OSError:
        return None
    return None if number is None else find_place(mounts, number, path)


def find_place(mounts: str, number: int, path: PurePosixPath) -> Place | None:
    """Returns the place of ``path``, reached through mount ``number`` of ``mounts``, as mountinfo has them."""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if fields[0] == str(number):
            device, root, point = fields[2], _unescaped(fields[3]), _unescaped(fields[4])
            return Place(device, root / path.relative_to(point)) if path.is_relative_to(point) else None
    return None


def _unescaped(field: str) -> PurePosixPath:
    return PurePosixPath(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), field))
