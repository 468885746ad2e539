"""Rules for asset roots: what of DATA_DIR is none, and which folder a message may propose as one. Pure."""

from __future__ import annotations

from pathlib import Path, PurePath

ASSETS_FOLDER = "assets"
"""Folder of DATA_DIR for assets. The rest of DATA_DIR holds bundles of all projects, the cache and Redis' data."""

_SYSTEM = (
    *(
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/lost+found",
        "/proc",
        "/root",
    ),
    *("/run", "/sbin", "/sys", "/usr", "/var/backups", "/var/cache", "/var/lock", "/var/log", "/var/mail"),
    *("/var/run", "/var/spool"),
)
_NOT_PROPOSED = (
    "/nix",
    "/opt",
    "/snap",
    "/var/db",
    "/var/lib",
)  # state of other services, installed programs
_HOMES = PurePath("/home")


def is_below(path: str, folder: str) -> bool:
    """Whether the absolute ``path`` is ``folder`` or in it, by their normalised texts."""
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def is_private(path: str, data_dir: str) -> bool:
    """Whether an absolute path is DATA_DIR or in it, outside of its folder for assets; by their normalised texts."""
    return is_below(path, data_dir) and not is_below(path, f"{data_dir.rstrip('/')}/{ASSETS_FOLDER}")


def is_system_folder(path: PurePath) -> bool:
    """Whether an absolute path is ``/`` or in a folder of the operating system."""
    return path == PurePath("/") or any(path.is_relative_to(folder) for folder in _SYSTEM)


def is_proposable(folder: PurePath) -> bool:
    """Whether a message may propose an absolute folder as an asset root.

    Producers choose the paths that messages report: a folder of the system or of a service's state, a whole file
    system or home, hidden folders, which hold keys, and installed programs are never proposed.
    """
    if is_system_folder(folder) or len(folder.parts) < 3 or folder.parent == _HOMES:
        return False
    if any(folder.is_relative_to(other) for other in _NOT_PROPOSED):
        return False
    return not any(part.startswith(".") for part in folder.parts)


def default_roots(data_dir: Path, started_in: Path) -> tuple[Path, ...]:
    """Returns the roots without PREVIEW_ASSET_ROOTS: DATA_DIR/assets and, unless the system's, ``started_in``."""
    return (data_dir / ASSETS_FOLDER, *(() if is_system_folder(started_in) else (started_in,)))
