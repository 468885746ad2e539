"""Namespaces of render processes, see namespaces(7): entered by the fork server, before it has threads or files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from previewops.worker.sandbox import kernel

# linux/sched.h
_NEW_USER, _NEW_PID, _NEW_IPC, _NEW_NET = 0x10000000, 0x20000000, 0x08000000, 0x40000000

NAMESPACES = "PID, IPC and network namespaces"
"""The layer, as workers report it."""


def enter_namespaces() -> str:
    """Puts this process into new IPC and network namespaces, and its next child into a new PID namespace.

    Returns "", or the reason why nothing has changed. Users other than root get a user namespace as well, in which
    they have the capabilities to do so.
    """
    try:
        if os.geteuid() == 0:
            kernel.unshare(_NEW_PID | _NEW_IPC | _NEW_NET)
        else:
            _try_user_namespace()
            _enter_user_namespace(_NEW_PID | _NEW_IPC | _NEW_NET)
    except OSError as error:
        return describe_failure(error.errno or 0, is_root=os.geteuid() == 0)
    return ""


def describe_failure(number: int, *, is_root: bool) -> str:
    """Why namespaces cannot be made, from the errno of the attempt."""
    if number == errno.ENOSPC:
        return "the limits user.max_*_namespaces of this host are reached"
    if number in (errno.ENOSYS, errno.EINVAL):
        return "missing in this kernel or filtered by the container"
    if is_root:
        return "root without CAP_SYS_ADMIN, or denied by a filter of the service or container"
    return "user namespaces are denied to this user by the service, the container or the host"


def _try_user_namespace() -> None:
    """Raises OSError if a process cannot enter a user namespace and keep its user there. Costs one fork."""
    pid = os.fork()
    if pid == 0:
        try:
            _enter_user_namespace(0)
        except OSError as error:
            os._exit(error.errno or errno.EPERM)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise OSError(code, os.strerror(code))


def _enter_user_namespace(flags: int) -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(_NEW_USER | flags)
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny", encoding="ascii")
    (own / "uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    (own / "gid_map").write_text(f"{group} {group} 1", encoding="ascii")
