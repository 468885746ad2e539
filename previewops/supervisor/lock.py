"""One supervisor a host for a queue and a DATA_DIR: a lock that the kernel drops with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from previewops.errors import SupervisorRunning, UsageError
from previewops.settings import Settings
from previewops.supervisor.host import host_name


@contextmanager
def hold_supervisor_lock(settings: Settings) -> Iterator[None]:
    """Holds the lock.

    Raises:
        SupervisorRunning: another process holds it.
        UsageError: DATA_DIR cannot be written to.
    """
    path = supervisor_folder(settings) / "lock"
    # Not truncated on opening: it tells of its holder.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SupervisorRunning(
                settings.queue_name, str(settings.data_dir), _holder(descriptor)
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def supervisor_folder(settings: Settings) -> Path:
    """Where this host's supervisor of this queue keeps its lock and its roster; made if it is not there.

    All hosts of a queue share one DATA_DIR, so the host is part of the name.

    Raises:
        UsageError: it cannot be made.
    """
    folder = settings.data_dir / "supervisor" / f"host-{host_name()}" / f"queue-{settings.queue_name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"DATA_DIR {settings.data_dir} cannot be used: {error.strerror}",
            hint="set DATA_DIR to a folder that this user may write to",
        ) from error
    return folder


def _holder(descriptor: int) -> int:
    written = os.pread(descriptor, 32, 0).strip()
    return int(written) if written.isdigit() else 0
