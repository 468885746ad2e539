"""Builds the seccomp(2) filter of a render process, as bytes. Pure.

Classic BPF: calls of another architecture kill the process, denied ones fail with EPERM, all others are allowed.
Some depend on one argument. A filter sees the numbers passed to a call, but nothing behind a pointer.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

# linux/filter.h, linux/seccomp.h
_LOAD, _EQUALS, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_NOT_IMPLEMENTED = 0x00050000 | errno.ENOSYS
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # in seccomp_data; an argument has 8 bytes
_X32_CALLS = 0x40000000  # the first number of x86-64's second call table
_CLONE_THREAD = 0x00010000
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
_FIOSETOWN, _SIOCSPGRP, _TIOCSTI, _TIOCLINUX = 0x8901, 0x8902, 0x5412, 0x541C


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
    for numbers in _DENIED_CALLS.values():
        number = numbers[machine.column]
        if number is not None:
            instructions += [_instruction(_EQUALS, number, 0, 1), _instruction(_RETURN, _DENY)]
    instructions += [_instruction(_EQUALS, _CLONE3, 0, 1), _instruction(_RETURN, _NOT_IMPLEMENTED)]
    for numbers, argument, values, allows, test in _argument_rules(own_pid):
        instructions += _argument_check(numbers[machine.column], argument, values, allows, test)
    instructions.append(_instruction(_RETURN, _ALLOW))
    return b"".join(instructions)


def _argument_check(
    number: int, argument: int, values: tuple[int, ...], allows: bool, test: int
) -> list[bytes]:
    """Allows or denies a call by one argument: if ``test`` matches it with one of ``values``.

    Other calls jump over these instructions. The arguments are 32 bits wide: the kernel uses the lower half only.
    """
    if_match, otherwise = (_ALLOW, _DENY) if allows else (_DENY, _ALLOW)
    tests = [_instruction(test, value, len(values) - index, 0) for index, value in enumerate(values)]
    body = [
        _instruction(_LOAD, _ARGUMENTS_AT + 8 * argument),
        *tests,
        _instruction(_RETURN, otherwise),
        _instruction(_RETURN, if_match),
    ]
    return [_instruction(_EQUALS, number, 0, len(body)), *body]


def _argument_rules(own_pid: int) -> tuple[tuple[tuple[int, int], int, tuple[int, ...], bool, int], ...]:
    """Numbers of a call, its argument, values, whether they are allowed, and the test."""
    signals = (_F_SETOWN, _F_SETSIG, _F_SETOWN_EX)  # choose the process that a file signals
    owners = (_FIOSETOWN, _SIOCSPGRP, _TIOCSTI, _TIOCLINUX)
    return (
        ((56, 220), 0, (_CLONE_THREAD,), True, _ANY_BIT),  # clone
        ((234, 131), 0, (own_pid,), True, _EQUALS),  # tgkill: thread libraries signal their own process
        ((302, 261), 0, (0,), True, _EQUALS),  # prlimit64: the pid
        ((203, 122), 0, (0,), True, _EQUALS),  # sched_setaffinity: the pid
        ((72, 25), 1, signals, False, _EQUALS),  # fcntl
        # The same by ioctl, and input to the terminal that may show the worker's log.
        ((16, 29), 1, owners, False, _EQUALS),
    )


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


# Numbers from asm/unistd_64.h and asm-generic/unistd.h: x86-64, aarch64, which lacks some.
_CLONE3 = 435
_DENIED_CALLS: dict[str, tuple[int | None, int | None]] = {
    # sockets
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # programs and processes
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # files by name, which Landlock does not check, or not in each version; and descriptors opened for reading
    "truncate": (76, 45),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # the kernel
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "personality": (135, 92),
}
