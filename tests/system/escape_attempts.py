"""What a render process that was taken over would try, run inside a real one: the task of ``test_escape``.

System calls by number, as hostile code makes them, with arguments that have no lasting effect if one is not denied.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SUCCEEDED = 0
INVALID = 0xFFFF_FFFF
"""A descriptor or process that does not exist: a call that reaches the kernel fails otherwise than by the filter."""

DENIED = (errno.EPERM, errno.ENOSYS)
_COLUMN = {"x86_64": 0, "aarch64": 1}

CALLS: dict[str, tuple[int | None, int | None, tuple[int, ...]]] = {
    # memory that outlives the process, or that its limit does not count
    "shmget": (29, 194, (0, 1 << 20, 0o1600)),
    "shmat": (30, 196, (0, 0, 0)),
    "msgget": (68, 186, (0, 0o1600)),
    "semget": (64, 190, (0, 1, 0o1600)),
    "mq_open": (240, 180, (0, 0o102)),
    "memfd_create": (319, 279, (0, 0)),
    "memfd_secret": (447, 447, (0,)),
    "pipe2": (293, 59, (0, 0)),
    "eventfd2": (290, 19, (0, 0)),
    "epoll_create1": (291, 20, (0,)),
    "timer_create": (222, 107, (0, 0, 0)),
    "mlock": (149, 228, (0, 0)),
    "mlockall": (151, 230, (1,)),
    "remap_file_pages": (216, 234, (0, 0, 0, 0, 0)),
    "vmsplice": (278, 75, (INVALID, 0, 0, 0)),
    "splice": (275, 76, (INVALID, 0, INVALID, 0, 0, 0)),
    "fallocate": (285, 47, (INVALID, 0, 0, 0)),
    # its limits, its end, its name
    "setrlimit of processor time": (160, 164, (0, 0)),
    "prlimit64 of its address space": (302, 261, (0, 9, 1, 0)),
    "prlimit64 by a pointer in the upper half": (302, 261, (0, 9, 1 << 32, 0)),
    "prlimit64 of another process": (302, 261, (1, 0, 0, 0)),
    "prctl PR_SET_PDEATHSIG": (157, 167, (1, 0)),
    "prctl PR_SET_DUMPABLE": (157, 167, (4, 1)),
    "prctl PR_SET_SECCOMP": (157, 167, (22, 1)),
    "prctl PR_SET_MM": (157, 167, (35, 1, 0)),
    "prctl PR_SET_CHILD_SUBREAPER": (157, 167, (36, 1)),
    "setitimer": (38, 103, (0, 0, 0)),
    "setsid": (112, 157, ()),
    "setpgid": (109, 154, (0, 0)),
    "seccomp": (317, 277, (1, 0, 0)),
    # names of others' files
    "inotify_init1": (294, 26, (0,)),
    "inotify_add_watch": (254, 27, (INVALID, 0, 0)),
    "fanotify_init": (300, 262, (0, 0)),
    "fcntl F_NOTIFY": (72, 25, (INVALID, 1026, 0)),
    "statfs": (137, 43, (0, 0)),
    "name_to_handle_at": (303, 264, (INVALID, 0, 0, 0, 0)),
    "open_by_handle_at": (304, 265, (INVALID, 0, 0)),
    "chdir": (80, 49, (0,)),
    "fchdir": (81, 50, (INVALID,)),
    # files
    "openat to write": (257, 56, (INVALID, 0, 1)),
    "openat to create": (257, 56, (INVALID, 0, 0o100)),
    "openat of an unnamed file": (257, 56, (INVALID, 0, 0o20200002)),
    "openat2": (437, 437, (INVALID, 0, 0, 24)),
    "open to write": (2, None, (0, 2)),
    "creat": (85, None, (0, 0)),
    "unlinkat": (263, 35, (INVALID, 0, 0)),
    "renameat2": (316, 276, (INVALID, 0, INVALID, 0, 0)),
    "linkat": (265, 37, (INVALID, 0, INVALID, 0, 0)),
    "symlinkat": (266, 36, (0, INVALID, 0)),
    "mknodat": (259, 33, (INVALID, 0, 0, 0)),
    "mkdirat": (258, 34, (INVALID, 0, 0)),
    "truncate": (76, 45, (0, 0)),
    "ftruncate": (77, 46, (INVALID, 0)),
    "fchmod": (91, 52, (INVALID, 0)),
    "fchownat": (260, 54, (INVALID, 0, 0, 0, 0)),
    "utimensat": (280, 88, (INVALID, 0, 0, 0)),
    "setxattr": (188, 5, (0, 0, 0, 0, 0)),
    "fsetxattr": (190, 7, (INVALID, 0, 0, 0, 0)),
    "flock": (73, 32, (INVALID, 1)),
    "sync": (162, 81, ()),
    "syncfs": (306, 267, (INVALID,)),
    "copy_file_range": (326, 285, (INVALID, 0, INVALID, 0, 0, 0)),
    "sendfile": (40, 71, (INVALID, INVALID, 0, 0)),
    # sockets
    "socket": (41, 198, (2, 1, 0)),
    "socketpair": (53, 199, (1, 1, 0, 0)),
    "connect": (42, 203, (INVALID, 0, 0)),
    "bind": (49, 200, (INVALID, 0, 0)),
    "sendmsg": (46, 211, (INVALID, 0, 0)),
    "setsockopt": (54, 208, (INVALID, 0, 0, 0, 0)),
    # processes and programs
    "fork": (57, None, ()),
    "vfork": (58, None, ()),
    "clone of a process": (56, 220, (17, 0, 0, 0, 0)),
    "clone of a user namespace": (56, 220, (0x10000000 | 17, 0, 0, 0, 0)),
    "clone3": (435, 435, (0, 0)),
    "execve": (59, 221, (0, 0, 0)),
    "execveat": (322, 281, (INVALID, 0, 0, 0, 0)),
    "kill": (62, 129, (1, 0)),
    "tkill": (200, 130, (1, 0)),
    "tgkill": (234, 131, (1, 1, 0)),
    "pidfd_open": (434, 434, (1, 0)),
    "pidfd_getfd": (438, 438, (INVALID, 0, 0)),
    "pidfd_send_signal": (424, 424, (INVALID, 0, 0, 0)),
    "ptrace": (101, 117, (16, 1, 0, 0)),
    "process_vm_readv": (310, 270, (1, 0, 0, 0, 0, 0)),
    "process_madvise": (440, 440, (INVALID, 0, 0, 0, 0)),
    "kcmp": (312, 272, (1, 1, 0, 0, 0)),
    "setpriority": (141, 140, (0, 0, 0)),
    "sched_setscheduler": (144, 119, (0, 0, 0)),
    "ioprio_set": (251, 30, (1, 0, 0)),
    "fcntl F_SETOWN": (72, 25, (INVALID, 8, 1)),
    "fcntl F_SETPIPE_SZ": (72, 25, (1, 1031, 1 << 20)),
    "fcntl F_SETFL": (72, 25, (1, 4, 0)),
    "ioctl TIOCSTI": (16, 29, (2, 0x5412, 0)),
    "ioctl FIOSETOWN": (16, 29, (1, 0x8901, 0)),
    "ioctl FIONBIO": (16, 29, (1, 0x5421, 0)),
    # namespaces and mounts
    "unshare": (272, 97, (0x10000000,)),
    "setns": (308, 268, (INVALID, 0)),
    "mount": (165, 40, (0, 0, 0, 0, 0)),
    "umount2": (166, 39, (0, 0)),
    "pivot_root": (155, 41, (0, 0)),
    "chroot": (161, 51, (0,)),
    "open_tree": (428, 428, (INVALID, 0, 0)),
    "move_mount": (429, 429, (INVALID, 0, INVALID, 0, 0)),
    "fsopen": (430, 430, (0, 0)),
    "mount_setattr": (442, 442, (INVALID, 0, 0, 0, 0)),
    # users and capabilities
    "setuid": (105, 146, (0,)),
    "setresuid": (117, 147, (0, 0, 0)),
    "setgroups": (116, 159, (0, 0)),
    "capset": (126, 91, (0, 0)),
    # the machine
    "reboot": (169, 142, (0, 0, 0, 0)),
    "clock_settime": (227, 112, (INVALID, 0)),
    "settimeofday": (164, 170, (1, 1)),
    "adjtimex": (159, 171, (0,)),
    "sethostname": (170, 161, (0, 1 << 20)),
    "swapoff": (168, 225, (0,)),
    "acct": (163, 89, (1,)),
    "syslog": (103, 116, (INVALID, 0, 0)),
    "quotactl": (179, 60, (INVALID, 0, 0, 0)),
    "kexec_load": (246, 104, (0, 1 << 20, 0, INVALID)),
    "init_module": (175, 105, (0, 0, 0)),
    "delete_module": (176, 106, (0, 0)),
    "bpf": (321, 280, (0, 0, 0)),
    "perf_event_open": (298, 241, (0, 0, INVALID, INVALID, 0)),
    "userfaultfd": (323, 282, (0,)),
    "io_uring_setup": (425, 425, (0, 0)),
    "keyctl": (250, 219, (INVALID, 0, 0, 0, 0)),
    "add_key": (248, 217, (0, 0, 0, 0, 0)),
    "personality": (135, 92, (0x0008,)),
    "modify_ldt": (154, None, (0, 0, 0)),
    "iopl": (172, None, (3,)),
}
"""By name: the number on x86-64 and on aarch64, which lacks some, and arguments."""

HIDDEN = {
    "processes": "/proc/self/net/tcp",
    "unix sockets": "/proc/net/unix",
    "mounts": "/proc/self/mountinfo",
    "the worker's environment": "/proc/{parent}/environ",
    "the host's users": "/etc/passwd",
}
"""Files that describe others, by what they describe."""


def run(spec: dict[str, Any], _progress: object) -> dict[str, Any]:
    """The errno of each attempt, ``SUCCEEDED`` where it was not denied, by group and name.

    ``spec["secret"]`` is a file of another tenant, ``spec["link"]`` a link to it, and ``spec["unlisted"]`` the
    numbers of calls that no renderer makes.
    """
    return {
        "calls": {name: _errno(call) for name, call in _calls().items()},
        "unlisted": _reachable(spec["unlisted"]),
        "names": {name: _errno(attempt) for name, attempt in _names(spec).items()},
        "hidden": {
            what: _errno(lambda path=path: Path(path.format(parent=spec["worker"])).read_bytes())
            for what, path in HIDDEN.items()
        },
        "memory": {name: _errno(attempt) for name, attempt in _memory(spec["memory"]).items()},
        "processes": _visible_processes(),
        "limits": {name: resource.getrlimit(limit) for name, limit in _LIMITS.items()},
    }


_LIMITS = {
    "address space": resource.RLIMIT_AS,
    "core": resource.RLIMIT_CORE,
    "open files": resource.RLIMIT_NOFILE,
    "threads": resource.RLIMIT_NPROC,
    "file size": resource.RLIMIT_FSIZE,
    "message queues": 12,
}


def _calls() -> dict[str, Callable[[], object]]:
    column = _COLUMN[platform.machine()]
    numbered = {name: (call[column], call[2]) for name, call in CALLS.items()}
    return {
        name: lambda number=number, arguments=arguments: _syscall(number, *arguments)  # type: ignore[misc]
        for name, (number, arguments) in numbered.items()
        if number is not None
    }


def _reachable(numbers: list[int]) -> list[int]:
    """Those of the calls that reach the kernel, which rejects the arguments."""
    arguments = (INVALID,) * 6
    return [n for n in numbers if _errno(lambda n=n: _syscall(n, *arguments)) not in DENIED]  # type: ignore[misc]


def _names(spec: dict[str, Any]) -> dict[str, Callable[[], object]]:
    secret, link = spec["secret"], spec["link"]
    return {
        "stat": lambda: os.stat(secret),  # noqa: PTH116
        "lstat": lambda: os.lstat(secret),
        "access": lambda: _accessible(secret),
        "readlink": lambda: os.readlink(link),  # noqa: PTH115
        "open": lambda: os.open(secret, os.O_RDONLY),
        "open as a path": lambda: os.open(secret, os.O_PATH),
        "list": lambda: os.listdir(os.path.dirname(secret)),  # noqa: PTH120, PTH208
        "stat the folder": lambda: os.stat(os.path.dirname(secret)),  # noqa: PTH116, PTH120
        "stat from the root's parent": lambda: os.stat(f"/../../..{secret}"),  # noqa: PTH116
    }


def _accessible(path: str) -> None:
    if not os.access(path, os.F_OK):
        raise OSError(errno.ENOENT, path)


def _memory(limit_bytes: int) -> dict[str, Callable[[], object]]:
    return {
        "private": lambda: mmap.mmap(-1, limit_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
        "shared": lambda: mmap.mmap(-1, limit_bytes, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
    }


def _visible_processes() -> list[str]:
    with suppress(OSError):
        return [name for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    return []


def _errno(attempt: Callable[[], object]) -> int:
    try:
        attempt()
    except OSError as error:
        return error.errno or -1
    return SUCCEEDED


def _syscall(number: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments)) < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")


def describe(_spec: dict[str, Any], _progress: object) -> dict[str, Any]:
    """The user of the process, and its real and effective group."""
    return {"user": os.geteuid(), "groups": [os.getgid(), os.getegid()]}


def look_for_store(spec: dict[str, Any], _progress: object) -> dict[str, Any]:
    """The names of the environment, and the errno of a connection to the store at ``spec["address"]``."""
    host, port = spec["address"]
    return {
        "environment": sorted(os.environ),
        "connect": _errno(lambda: socket.create_connection((host, port), 5).close()),
    }


def spin(_spec: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Does what it can to outlive its worker, and then never ends."""
    progress(0.0, "spinning")
    for option, argument in ((1, 0), (36, 1)):  # PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER
        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)
    os.closerange(3, 256)
    with suppress(OSError):
        os.setsid()
    while True:
        pass
