"""Builds the seccomp(2) filter of a render process, as bytes. Pure.

Classic BPF with a list of allowed calls: those that CPython, Pillow, PyAV with its codecs and their threads make
after their start, found by strace(1) over the renderer's tests. Some are allowed for certain arguments only; a filter
sees the numbers passed to a call, but nothing behind a pointer. Other calls fail, which libraries expect, and only
calls of another architecture kill the process.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from enum import Enum

# linux/filter.h, linux/seccomp.h
_LOAD, _EQUALS, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_NOT_IMPLEMENTED = 0x00050000 | errno.ENOSYS
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # in seccomp_data; an argument has 8 bytes
_HIGH_HALF = 4  # bytes after the start of an argument: both architectures are little-endian
_X32_CALLS = 0x40000000  # the first number of x86-64's second call table
_SINCE_5_1 = (
    424  # from here on all architectures have the same numbers, and libraries expect that a call is missing
)

_CLONE_THREAD = 0x00010000
_NAMESPACES = 0x7E020080  # CLONE_NEW*: mount, cgroup, UTS, IPC, user, PID, network, time
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, and O_TMPFILE's own bit
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 1030
_FIONCLEX, _FIOCLEX, _TCGETS = 0x5450, 0x5451, 0x5401
_PR_SET_NAME, _PR_GET_NAME = 15, 16


@dataclass(frozen=True, slots=True)
class Architecture:
    """Audit number of an architecture, its column in the tables below, and whether it has an x32 call table."""

    audit: int
    column: int
    x32: bool = False


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, 0, x32=True),
    "aarch64": Architecture(0xC00000B7, 1),
}
"""By ``platform.machine()``."""


class _Test(Enum):
    """What an argument must fulfil. The lower 32 bits are compared, as the kernel uses only them, except for NULL."""

    ONE_OF = "one of the values"
    ANY_OF = "has one of the bits"
    NONE_OF = "has none of the bits"
    NULL = "is a null pointer"


@dataclass(frozen=True, slots=True)
class _Condition:
    argument: int
    test: _Test
    values: tuple[int, ...] = ()


def build_filter(machine: Architecture, own_pid: int) -> bytes:
    """The filter for process ``own_pid``, as an array of ``struct sock_filter``.

    ``clone`` is allowed for threads only. ``clone3``, whose flags a filter cannot see, fails with ENOSYS, and the C
    library then calls ``clone``.
    """
    instructions = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_EQUALS, machine.audit, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine.x32:
        instructions += [_instruction(_AT_LEAST, _X32_CALLS, 0, 1), _instruction(_RETURN, _DENY)]
    for numbers in _ALLOWED_CALLS.values():
        number = numbers[machine.column]
        if number is not None:
            instructions += [_instruction(_EQUALS, number, 0, 1), _instruction(_RETURN, _ALLOW)]
    for name, conditions in _conditional_calls(own_pid).items():
        number = _CONDITIONAL_CALLS[name][machine.column]
        if number is not None:
            instructions += _argument_checks(number, conditions)
    instructions += [_instruction(_AT_LEAST, _SINCE_5_1, 0, 1), _instruction(_RETURN, _NOT_IMPLEMENTED)]
    instructions.append(_instruction(_RETURN, _DENY))
    return b"".join(instructions)


def allowed_calls(column: int) -> frozenset[int]:
    """The numbers of the calls that are allowed, some of them for certain arguments only."""
    tables = (*_ALLOWED_CALLS.values(), *_CONDITIONAL_CALLS.values())
    return frozenset(number for numbers in tables if (number := numbers[column]) is not None)


def _argument_checks(number: int, conditions: tuple[_Condition, ...]) -> list[bytes]:
    """Allows a call if all ``conditions`` hold, and denies it otherwise. Other calls jump over these instructions."""
    body = [step for condition in conditions for step in _check(condition)]
    body.append(_instruction(_RETURN, _ALLOW))
    return [_instruction(_EQUALS, number, 0, len(body)), *body]


def _check(condition: _Condition) -> list[bytes]:
    """Instructions that deny the call, or lead to those behind them if ``condition`` holds."""
    at = _ARGUMENTS_AT + 8 * condition.argument
    deny = _instruction(_RETURN, _DENY)
    match condition.test:
        case _Test.ONE_OF:
            last = len(condition.values)
            tests = [
                _instruction(_EQUALS, value, last - place, 0) for place, value in enumerate(condition.values)
            ]
            return [_instruction(_LOAD, at), *tests, deny]
        case _Test.ANY_OF:
            return [_instruction(_LOAD, at), _instruction(_ANY_BIT, sum(condition.values), 1, 0), deny]
        case _Test.NONE_OF:
            return [_instruction(_LOAD, at), _instruction(_ANY_BIT, sum(condition.values), 0, 1), deny]
        case _Test.NULL:
            halves = (at, at + _HIGH_HALF)
            return [
                step
                for half in halves
                for step in (_instruction(_LOAD, half), _instruction(_EQUALS, 0, 1, 0), deny)
            ]


def _conditional_calls(own_pid: int) -> dict[str, tuple[_Condition, ...]]:
    """Conditions of the calls in ``_CONDITIONAL_CALLS``."""
    reading = _Condition(2, _Test.NONE_OF, (_WRITING,))
    own_process = _Condition(0, _Test.ONE_OF, (0,))
    return {
        "clone": (
            _Condition(0, _Test.ANY_OF, (_CLONE_THREAD,)),
            _Condition(0, _Test.NONE_OF, (_NAMESPACES,)),
        ),
        # Files arrive open: nothing is opened for writing, also on a kernel without Landlock.
        "open": (_Condition(1, _Test.NONE_OF, (_WRITING,)),),
        "openat": (reading,),
        # Thread libraries signal their own process.
        "tgkill": (_Condition(0, _Test.ONE_OF, (own_pid,)),),
        "prlimit64": (own_process, _Condition(2, _Test.NULL)),  # reads a limit
        "sched_setaffinity": (own_process,),
        "fcntl": (_Condition(1, _Test.ONE_OF, (_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC)),),
        "ioctl": (_Condition(1, _Test.ONE_OF, (_TCGETS, _FIOCLEX, _FIONCLEX)),),
        "prctl": (_Condition(0, _Test.ONE_OF, (_PR_SET_NAME, _PR_GET_NAME)),),
    }


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


# Numbers from asm/unistd_64.h and asm-generic/unistd.h: x86-64, aarch64, which lacks some.
_CONDITIONAL_CALLS: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220),
    "open": (2, None),
    "openat": (257, 56),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "prctl": (157, 167),
}
_ALLOWED_CALLS: dict[str, tuple[int | None, int | None]] = {
    # the calls of a frame's encoding first
    "futex": (202, 98),
    "read": (0, 63),
    "write": (1, 64),
    "lseek": (8, 62),
    "brk": (12, 214),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "mremap": (25, 216),
    "membarrier": (324, 283),
    # open descriptors
    "close": (3, 57),
    "dup": (32, 23),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "fstat": (5, 80),
    "getdents64": (217, 61),
    "poll": (7, None),
    "ppoll": (271, 73),
    # the two sockets; without sendmsg, as only the worker sends descriptors
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "sendto": (44, 206),
    # names of files, for imports
    "stat": (4, None),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    # threads and signals
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168),
    "gettid": (186, 178),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    # time, and what the process and the machine are
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "uname": (63, 160),
    "sysinfo": (99, 179),
}
