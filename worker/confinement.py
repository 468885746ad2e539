"""What a render process is denied by the kernel: files by Landlock, sockets and processes by seccomp.

Landlock (landlock(7)) leaves it the files of the Python that it runs in, and fonts, to read. It opens no other
and writes none: assets and output come to it as open descriptors. seccomp (seccomp(2)) takes away the calls by which
code that a hostile picture smuggled in could reach the network, other processes or the kernel's rarer parts.
Both are one-way. Where the kernel has neither, the limits of setrlimit(2) are still there, and ``available`` says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_PR_GET_SECCOMP, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 21, 22, 2

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_ONLY, _BENEATH_PATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by ABI version
_NET_RIGHTS, _NET_SINCE = 0b11, 4
_SCOPES, _SCOPES_SINCE = 0b11, 6

# linux/filter.h, linux/seccomp.h, linux/audit.h
_LOAD, _EQUALS, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x00010000
_X32_CALLS = 0x40000000  # x86-64's second table of calls begins here


RESOURCE_LIMITS = "resource limits"
"""The layer that is there on every kernel."""


@dataclass(frozen=True, slots=True)
class Protection:
    """What the kernel of this machine can deny a render process.

    ``landlock`` is the version of its interface, 0 where there is none.
    """

    landlock: int
    seccomp: bool

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.landlock > 0 and self.seccomp

    @property
    def layers(self) -> tuple[str, ...]:
        """What is in force, for a worker to tell of itself."""
        found = [f"Landlock {self.landlock}"] if self.landlock else []
        found += ["seccomp"] if self.seccomp else []
        return (*found, RESOURCE_LIMITS)

    def as_words(self) -> str:
        """What is in force, and what is missing, for a log line."""
        missing = [
            name for name, there in (("Landlock", self.landlock), ("seccomp", self.seccomp)) if not there
        ]
        words = ", ".join(self.layers)
        return words + (f"; without {' and '.join(missing)}, which this kernel lacks" if missing else "")


def available() -> Protection:
    """What ``confine`` would put in force here. Costs two system calls and changes nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_ONLY)
    has_filters = platform.machine() in _ARCHITECTURES and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    return Protection(max(0, version), has_filters)


def readable_paths() -> list[Path]:
    """What a render process may still open, to read: Python, its packages, this one, the system's libraries."""
    packages = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own = Path(__file__).resolve().parent  # of a checkout too, whose folders are reached through links
    package = Path(sys.modules["previewops"].__file__ or "").resolve().parent
    found = [*map(Path, packages), own, package, package.parent / "schemas", Path(f"/proc/{os.getpid()}")]
    found += map(Path, ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null"))
    found += map(Path, ("/dev/urandom", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo"))
    return [path for path in found if path.exists()]


def confine(readable: Iterable[Path]) -> Protection:
    """Puts in force, for this process and for ever, what the kernel has; ``readable`` stays open to reading.

    Raises:
        OSError: the kernel has it and refuses.
    """
    protection = available()
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    if protection.landlock:
        _restrict_files(libc, protection.landlock, readable)
    if protection.seccomp:
        _restrict_calls(libc)
    return protection


def _restrict_files(libc: ctypes.CDLL, version: int, readable: Iterable[Path]) -> None:
    files = _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= version)]
    net = _NET_RIGHTS if version >= _NET_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    attributes = struct.pack("<QQQ", files, net, scopes)
    # Kernels take a shorter structure for the version that they know, and refuse a longer one.
    size = 24 if version >= _SCOPES_SINCE else 16 if version >= _NET_SINCE else 8
    ruleset = _checked(libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "landlock")
    try:
        for path in readable:
            _allow_reading(libc, ruleset, path)
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # it cannot be read as it is
    try:
        rights = _READ_FILE | (_READ_FOLDER if path.is_dir() else 0)
        rule = struct.pack("<Qi", rights, handle)
        _checked(libc.syscall(_ADD_RULE, ruleset, _BENEATH_PATH, rule, 0), f"landlock rule for {path}")
    finally:
        os.close(handle)


def _restrict_calls(libc: ctypes.CDLL) -> None:
    program = _filter_program(_ARCHITECTURES[platform.machine()])
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    told = Program(len(program) // 8, ctypes.addressof(code))
    _checked(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(told), 0, 0), "PR_SET_SECCOMP")


@dataclass(frozen=True, slots=True)
class _Architecture:
    """Numbers of one architecture: its name in the audit interface, calls, and whether it has x32 beside."""

    audit: int
    clone: int
    clone3: int
    refused: tuple[int, ...]
    x32: bool = False


def _filter_program(machine: _Architecture) -> bytes:
    """Classic BPF: calls of another architecture kill, refused ones fail with EPERM, all others pass.

    ``clone`` passes for threads only. ``clone3``, whose flags no filter can see, is said not to exist, and
    the C library then takes ``clone``.
    """
    refuse, absent = _REFUSE | errno.EPERM, _REFUSE | errno.ENOSYS
    steps = [
        _step(_LOAD, 4),  # seccomp_data.arch
        _step(_EQUALS, machine.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, 0),  # seccomp_data.nr
    ]
    if machine.x32:
        steps += [_step(_AT_LEAST, _X32_CALLS, 0, 1), _step(_RETURN, refuse)]
    for number in machine.refused:
        steps += [_step(_EQUALS, number, 0, 1), _step(_RETURN, refuse)]
    steps += [
        _step(_EQUALS, machine.clone3, 0, 1),
        _step(_RETURN, absent),
        _step(_EQUALS, machine.clone, 0, 3),
        _step(_LOAD, 16),  # seccomp_data.args[0], its low half
        _step(_ANY_BIT, _CLONE_THREAD, 1, 0),
        _step(_RETURN, refuse),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(steps)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result


# Numbers from asm/unistd_64.h and asm-generic/unistd.h. Sockets: socket, socketpair, connect, bind, listen,
# accept, accept4. Programs and processes: fork, vfork, execve, execveat, kill, tkill, ptrace, process_vm_readv,
# process_vm_writev, process_madvise, kcmp, pidfd_open, pidfd_getfd, pidfd_send_signal. Namespaces and mounts:
# unshare, setns, mount, umount2, pivot_root, chroot, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick,
# mount_setattr. The kernel: bpf, perf_event_open, userfaultfd, io_uring_setup, io_uring_enter,
# io_uring_register, keyctl, add_key, request_key, init_module, finit_module, delete_module, kexec_load,
# open_by_handle_at, name_to_handle_at, personality.
_SHARED = (424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 440, 442)
_ARCHITECTURES = {
    "x86_64": _Architecture(
        0xC000003E,
        clone=56,
        clone3=435,
        refused=(
            *(41, 53, 42, 49, 50, 43, 288, 57, 58, 59, 322, 62, 200, 101, 310, 311, 312),
            *(272, 308, 165, 166, 155, 161, 321, 298, 323, 250, 248, 249, 175, 313, 176, 246, 304, 303, 135),
            *_SHARED,
        ),
        x32=True,
    ),
    "aarch64": _Architecture(
        0xC00000B7,
        clone=220,
        clone3=435,
        refused=(
            *(198, 199, 203, 200, 201, 202, 242, 221, 281, 129, 130, 117, 270, 271, 272),
            *(97, 268, 40, 39, 41, 51, 280, 241, 282, 219, 217, 218, 105, 273, 106, 104, 265, 264, 92),
            *_SHARED,
        ),
    ),
}
