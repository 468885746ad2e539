"""Files by which processes show that their event loops run. They depend neither on Redis nor on DATA_DIR.

Each process holds a lock on a file of its own in /tmp and writes the monotonic time into it. The kernel releases the
lock when the process exits, so a file without a lock belongs to a process that is gone, whatever its pid means now.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

REFRESH_INTERVAL_S = 2.0
"""Maximum time between two signs of a process whose event loop runs."""

_NAME = "alive"
# Not tempfile.gettempdir(): TMPDIR may differ between a process and the probe that looks at it.
_TMP = Path("/tmp")  # noqa: S108 - the folder in it is checked by _require_private
_MAX_BYTES = 64


class Role(StrEnum):
    """Kind of a process that shows that it is alive."""

    SUPERVISOR = "supervisor"
    WORKER = "worker"
    API = "api"


@dataclass(frozen=True, slots=True)
class ProcessSign:
    """Last sign of a running process. ``age_s`` is the time since then, seconds."""

    role: Role
    pid: int
    age_s: float


def alive_prefix(data_dir: Path, queue_name: str) -> Path:
    """Returns the path with which the names of all alive files of this user, DATA_DIR and queue begin."""
    # Not resolve(): it would wait for a network file system that does not answer.
    key = os.path.abspath(data_dir) + "\0" + queue_name  # noqa: PTH100
    digest = hashlib.sha256(os.fsencode(key)).hexdigest()[:16]
    return _TMP / f"previewops-{os.geteuid()}" / f"{_NAME}-{digest}"


class AliveFile:
    """The file of this process. Never fails: where it cannot be created, nothing is written."""

    def __init__(self, prefix: Path, role: Role) -> None:
        self._path: Path | None = None
        self._descriptor = -1
        with suppress(OSError):
            self._create(prefix, role)

    def refresh(self) -> None:
        """Records that the event loop runs."""
        if self._path is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, f"{time.monotonic():020.3f}\n".encode(), 0)

    def close(self) -> None:
        """Removes the file."""
        path, self._path = self._path, None
        if path is not None:
            with suppress(OSError):
                path.unlink()
            os.close(self._descriptor)

    def _create(self, prefix: Path, role: Role) -> None:
        folder = prefix.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        _require_private(folder)
        _remove_leftovers(folder)
        name = f"{prefix.name}-{role}-{os.getpid()}-{os.urandom(4).hex()}"
        # Under its final name it is locked already: without a lock, another process could remove it.
        partial = folder / f".{name}"
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path, self._descriptor = folder / name, descriptor
            self.refresh()
            partial.rename(self._path)
        except OSError:
            self._path = None
            os.close(descriptor)
            raise


def read_signs(prefix: Path) -> list[ProcessSign]:
    """Returns the last signs of all running processes whose files begin with ``prefix``.

    Raises:
        PermissionError: other users can write to the folder, so that its content proves nothing.
    """
    if not prefix.parent.exists():
        return []
    _require_private(prefix.parent)
    signs = []
    for path in _files(prefix):
        with suppress(OSError):
            sign = _read_sign(path)
            if sign is not None:
                signs.append(sign)
    return signs


def _read_sign(path: Path) -> ProcessSign | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if not _is_locked(descriptor):
            return None
        *_, role, pid, _ = path.name.split("-")
        recorded_s = float(os.pread(descriptor, _MAX_BYTES, 0))
        return ProcessSign(Role(role), int(pid), max(0.0, time.monotonic() - recorded_s))
    except ValueError:
        return None  # not a file of ours
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    """Removes the files of processes that were killed, of every DATA_DIR and queue."""
    for path in _files(folder / _NAME):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if not _is_locked(descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)


def _files(prefix: Path) -> Iterator[Path]:
    return (path for path in sorted(prefix.parent.iterdir()) if path.name.startswith(f"{prefix.name}-"))


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _require_private(folder: Path) -> None:
    """Raises PermissionError if another user can write to ``folder``. Anybody can create one of that name in /tmp."""
    status = folder.lstat()
    is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
    if not is_private:
        raise PermissionError(errno.EPERM, "it is not a folder that only this user can write to", str(folder))
