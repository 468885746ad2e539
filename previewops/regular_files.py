"""Opens files that a setting or an argument names: regular files only, of a limited size, without blocking.

A named pipe would wait for a writer, and a device such as /dev/zero never ends.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: str | Path, max_bytes: int) -> BinaryIO:
    """Opens ``path`` for reading.

    Raises:
        OSError: it cannot be opened, is not a regular file (EINVAL), or has more than ``max_bytes`` (EFBIG).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if status.st_size > max_bytes:
            message = f"size: found {status.st_size} bytes, allowed {max_bytes}"
            raise OSError(errno.EFBIG, message, str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | Path, max_bytes: int) -> bytes:
    """Returns the content of ``path``. Raises OSError as ``open_regular``, also for a file that grew."""
    with open_regular(path, max_bytes) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"size: found more than {max_bytes} bytes", str(path))
    return content
