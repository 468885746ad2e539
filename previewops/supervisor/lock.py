"""Lock that admits one supervisor per host, queue and DATA_DIR. The kernel releases it when its holder exits."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from previewops.errors import SupervisorRunning, data_dir_error
from previewops.settings import Settings
from previewops.supervisor.host import host_name
from previewops.supervisor.records import LOCK_NAME

SUPERVISOR_FOLDER = "supervisor"
LOG_FOLDER = "logs"
HOST_PREFIX = "host-"


@contextmanager
def hold_supervisor_lock(settings: Settings) -> Iterator[None]:
    """Holds the lock.

    Raises:
        SupervisorRunning: another process holds it.
        UsageError: DATA_DIR is not a folder that this user can write to.
        DataDirUnavailable: DATA_DIR cannot be used now.
    """
    path = supervisor_folder(settings) / LOCK_NAME
    try:
        # Not truncated on opening: it holds the pid of its holder.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise data_dir_error(str(settings.data_dir), error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _holder_pid(descriptor)
            raise SupervisorRunning(settings.queue_name, str(settings.data_dir), pid) from None
        with suppress(OSError):  # the pid is for messages; the disk may be full
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def supervisor_folder(settings: Settings) -> Path:
    """Returns the folder of this host's supervisor of this queue, and creates it if it is missing.

    Raises:
        UsageError: DATA_DIR is not a folder that this user can write to.
        DataDirUnavailable: DATA_DIR cannot be used now.
    """
    folder = own_folder(settings, SUPERVISOR_FOLDER)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise data_dir_error(str(settings.data_dir), error) from error
    return folder


def own_folder(settings: Settings, kind: str) -> Path:
    """Returns the folder ``kind`` (``supervisor`` or ``logs``) of this host and queue. It need not exist.

    Hosts and queues may share one DATA_DIR, so the names of both are a part of the path.
    """
    return settings.data_dir / kind / f"{HOST_PREFIX}{host_name()}" / f"queue-{settings.queue_name}"


def holder_pid(settings: Settings) -> int:
    """Returns the process id of the running supervisor of this host, queue and DATA_DIR; 0 without one."""
    try:
        descriptor = os.open(own_folder(settings, SUPERVISOR_FOLDER) / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder_pid(descriptor)
    finally:
        os.close(descriptor)
    return 0


def _holder_pid(descriptor: int) -> int:
    content = os.pread(descriptor, 32, 0).strip()
    return int(content) if content.isdigit() else 0
