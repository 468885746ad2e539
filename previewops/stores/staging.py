"""Staging folders: where attempts render to, always on a local disk, whatever the store."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from previewops.job_errors import PermanentJobError

STAGING_FOLDER = ".staging"
"""Folder of DATA_DIR with the attempts' staging folders."""

REPLACED_SUFFIX = ".replaced"
"""Ends the name of a bundle that two renames have moved aside."""


def staging_path(data_dir: Path, job_id: str, token: int) -> Path:
    """The folder that an attempt renders to. Raises PermanentJobError "unsafe-path" if not inside ``data_dir``."""
    return path_inside(data_dir, STAGING_FOLDER, f"{job_id}.{token}")


def sweep_staging(data_dir: Path, is_live: Callable[[str], bool]) -> int:
    """Removes leftovers of dead attempts from the staging folder, and returns their number.

    ``is_live`` is called with the name of an attempt, "<jobId>.<token>".
    """
    removed = 0
    with suppress(FileNotFoundError):
        for entry in sorted((data_dir / STAGING_FOLDER).iterdir()):
            if not is_live(entry.name.removesuffix(REPLACED_SUFFIX)):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
                removed += 1
    return removed


def remove_attempts(data_dir: Path, job_id: str, *, until: int) -> None:
    """Removes the staging folders of a job's attempts with a token up to ``until``."""
    for folder in (data_dir / STAGING_FOLDER).glob(f"{glob.escape(job_id)}.*"):
        token = folder.name.removesuffix(REPLACED_SUFFIX).removeprefix(f"{job_id}.")
        if token.isascii() and token.isdecimal() and int(token) <= until:
            shutil.rmtree(folder, ignore_errors=True)


def path_inside(data_dir: Path, *parts: str) -> Path:
    """``parts`` under ``data_dir``: plain names, and no symbolic link that leads outside.

    Raises:
        PermanentJobError: code "unsafe-path".
    """
    path = data_dir.joinpath(*parts)
    plain = all(part not in ("", ".", "..") and "/" not in part and "\0" not in part for part in parts)
    if not plain or not path.parent.resolve().is_relative_to(data_dir.resolve()):
        raise PermanentJobError(
            "unsafe-path",
            f"{'/'.join(parts)!r} is outside of DATA_DIR",
            hint="use jobId and projectId of letters, digits, '.', '_' and '-', and no links that leave DATA_DIR",
            found="/".join(parts),
            allowed="a folder inside DATA_DIR",
        )
    return path
