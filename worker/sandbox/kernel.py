"""System calls of the confinement that Python's standard library lacks. Linux only."""

from __future__ import annotations

import ctypes
import os
from functools import cache


@cache
def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int | bytes) -> int:
    """prctl(2). Raises OSError."""
    padded = [
        ctypes.c_ulong(item) if isinstance(item, int) else item for item in (*arguments, 0, 0, 0, 0)[:4]
    ]
    return check(libc().prctl(option, *padded), f"prctl {option}")


def syscall(number: int, *arguments: object) -> int:
    """syscall(2): a call by its number. Raises OSError."""
    return check(libc().syscall(number, *arguments), f"system call {number}")


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    check(libc().unshare(flags), "unshare")


def mount(source: str, target: str, filesystem: str, flags: int, options: str = "") -> None:
    """mount(2). Raises OSError."""
    words = [word.encode() for word in (source, target, filesystem)]
    check(libc().mount(*words, ctypes.c_ulong(flags), options.encode() or None), f"mount on {target}")


def unmount(target: str, flags: int) -> None:
    """umount2(2). Raises OSError."""
    check(libc().umount2(target.encode(), flags), f"unmount {target}")


def check(result: int, operation: str) -> int:
    """``result`` of a C function. Raises OSError with its errno if it is negative."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), operation)
    return result
