"""Gives up what a user may do: capabilities, and root's own user. See capabilities(7)."""

from __future__ import annotations

import errno
import os
import pwd
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from previewops.worker.sandbox import kernel

# linux/prctl.h, linux/capability.h, linux/securebits.h
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_SET_SECUREBITS = 24, 47, 28
_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES = 64  # Linux 6.18 has 41; it rejects the first that it lacks
_NOROOT_LOCKED, _NO_AMBIENT_LOCKED = 0b11, 0b11 << 6

_TRANSIENT_USERS = range(61_184, 65_520)
"""User ids that distributions leave to services which come and go (systemd's DynamicUser)."""


def choose_user(seed: int) -> int | None:
    """An unassigned user id for the render processes of one worker; None unless this process is root.

    Another ``seed``, a process id, mostly leads to another user.
    """
    if os.geteuid() != 0:
        return None
    first = seed % len(_TRANSIENT_USERS)
    return next(filter(_is_unassigned, (*_TRANSIENT_USERS[first:], *_TRANSIENT_USERS[:first])), None)


def _is_unassigned(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return True
    return False


def limit_capabilities() -> None:
    """Empties the bounding set, and makes root an ordinary user for programs that it executes, for good."""
    try:
        for capability in range(_CAPABILITIES):
            kernel.prctl(_PR_CAPBSET_DROP, capability)
    except OSError as error:
        if error.errno == errno.EPERM:  # without CAP_SETPCAP; no_new_privs has the same effect
            return
        if error.errno != errno.EINVAL:
            raise
    kernel.prctl(_PR_SET_SECUREBITS, _NOROOT_LOCKED | _NO_AMBIENT_LOCKED)


def become_user(user: int, readable: Iterable[Path]) -> str:
    """Changes root to ``user``, without groups, for good. Returns "", or the reason why this process remains root.

    It remains root if ``user`` could not read each of ``readable``. The kernel clears the parent-death signal.
    """
    try:
        os.setgroups([])
        os.setresgid(user, user, 0)
        os.setresuid(user, user, 0)
    except OSError as error:
        _remain_root()
        return f"root may not change its user here ({error.strerror})"
    hidden = next((path for path in readable if not _is_readable(path)), None)
    if hidden is not None:
        _remain_root()
        return f"other users cannot read {hidden}"
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    return ""


def _remain_root() -> None:
    with suppress(OSError):  # nothing has changed
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


def _is_readable(path: Path) -> bool:
    if not os.access(path, os.R_OK, effective_ids=True):
        return False
    return not path.is_dir() or os.access(path, os.X_OK, effective_ids=True)


def drop_capabilities() -> None:
    """Gives up all capabilities of this process for good. Raises OSError."""
    kernel.prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    kernel.check(kernel.libc().capset(header, bytes(24)), "capset")
