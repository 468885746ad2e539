"""Removes the folders of hosts that no longer exist: pods and cloud machines get a new name with each start."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from previewops.supervisor.host import host_name
from previewops.supervisor.lock import HOST_PREFIX, LOG_FOLDER, SUPERVISOR_FOLDER
from previewops.supervisor.records import DRAINED_NAME, LOCK_NAME

STALE_AFTER_S = 30 * 24 * 3600
"""A running supervisor marks its folder every hour."""


def remove_stale_folders(data_dir: Path, now_s: float) -> list[Path]:
    """Removes and returns the folders of other hosts that were last used before ``STALE_AFTER_S``.

    The folder of a drained host stays: the host may come back, and is then to stay drained. Logs stay as long as the
    folder of their host's supervisor.
    """
    return [*_remove_stale(data_dir, SUPERVISOR_FOLDER, now_s), *_remove_stale(data_dir, LOG_FOLDER, now_s)]


def _remove_stale(data_dir: Path, kind: str, now_s: float) -> list[Path]:
    removed = []
    with suppress(OSError):
        for folder in sorted((data_dir / kind).glob(f"{HOST_PREFIX}*")):
            if folder.name == f"{HOST_PREFIX}{host_name()}" or folder.is_symlink():
                continue
            if kind == LOG_FOLDER and (data_dir / SUPERVISOR_FOLDER / folder.name).exists():
                continue
            if _is_stale(folder, now_s):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed


def _is_stale(folder: Path, now_s: float) -> bool:
    try:
        files = [path for path in folder.rglob("*") if path.is_file()]
        used_s = max((path.stat().st_mtime for path in files), default=folder.stat().st_mtime)
    except OSError:
        return False
    names = {path.name for path in files}
    locks = [path for path in files if path.name == LOCK_NAME]
    return now_s - used_s > STALE_AFTER_S and DRAINED_NAME not in names and not any(map(_is_held, locks))


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True  # of another user, who decides about it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
