"""Restricts this process to reading given files by Landlock, see landlock(7)."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from previewops.worker.sandbox import kernel

_PR_GET_SECCOMP = 21  # linux/prctl.h

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_ONLY, _BENEATH_PATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by ABI version
_NET_RIGHTS, _NET_SINCE = 0b11, 4  # bind and connect
_SCOPES, _SCOPES_SINCE = 0b11, 6  # abstract unix sockets and signals of processes outside

COMPLETE_SINCE = 3
"""The first version by which a readable file cannot be truncated."""


def landlock_version() -> tuple[int, str]:
    """The version that can be used here, and "" or the reason why there is none. Changes nothing."""
    try:
        return kernel.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_ONLY), ""
    except OSError as error:
        return 0, describe_failure(error.errno or 0, is_filtered=_has_filter())


def describe_failure(number: int, *, is_filtered: bool) -> str:
    """Why Landlock cannot be used, from the errno of its first call. ``is_filtered``: this process has a filter.

    The kernel itself never returns EPERM for this call.
    """
    if number == errno.ENOSYS:
        return (
            "missing in this kernel or filtered by the container" if is_filtered else "missing in this kernel"
        )
    if number == errno.EOPNOTSUPP:
        return "disabled at boot of this kernel, see its option lsm="
    return "denied by a system call filter of the service or container"


def restrict_files(version: int, readable: Iterable[Path], listable: Iterable[Path] = ()) -> None:
    """Allows this process to read ``readable`` and what is below, and nothing else, for good. Raises OSError.

    It may list the folders below ``listable``, too.
    """
    files = _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= version)]
    net = _NET_RIGHTS if version >= _NET_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    attributes = struct.pack("<QQQ", files, net, scopes)
    # Kernels accept a shorter structure, of the version that they support, and reject a longer one.
    size = 24 if version >= _SCOPES_SINCE else 16 if version >= _NET_SINCE else 8
    ruleset = kernel.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | (_READ_FOLDER if path.is_dir() else 0))
        for path in listable:
            _allow(ruleset, path, _READ_FOLDER)
        kernel.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # unreadable anyway
    try:
        rule = struct.pack("<Qi", rights, handle)
        kernel.syscall(_ADD_RULE, ruleset, _BENEATH_PATH, rule, 0)
    finally:
        os.close(handle)


def _has_filter() -> bool:
    try:
        return kernel.prctl(_PR_GET_SECCOMP) > 0
    except OSError:
        return True
