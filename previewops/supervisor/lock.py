"""Lock that admits one supervisor per host, queue and DATA_DIR. The kernel releases it when its holder exits."""

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
        UsageError: DATA_DIR is not writable.
    """
    path = supervisor_folder(settings) / "lock"
    # Not truncated on opening: it holds the pid of its holder.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _holder_pid(descriptor)
            raise SupervisorRunning(settings.queue_name, str(settings.data_dir), pid) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def supervisor_folder(settings: Settings) -> Path:
    """Returns the folder of this host's supervisor of this queue, and creates it if it is missing.

    All hosts of a queue share one DATA_DIR, so the host name is a part of the path.

    Raises:
        UsageError: it cannot be created.
    """
    folder = settings.data_dir / "supervisor" / f"host-{host_name()}" / f"queue-{settings.queue_name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"DATA_DIR {settings.data_dir} cannot be used: {error.strerror}",
            hint="set DATA_DIR to a folder that is writable for this user",
        ) from error
    return folder


def _holder_pid(descriptor: int) -> int:
    content = os.pread(descriptor, 32, 0).strip()
    return int(content) if content.isdigit() else 0
