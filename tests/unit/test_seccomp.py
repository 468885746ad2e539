"""The seccomp filter, interpreted for every architecture."""

from __future__ import annotations

import errno
import struct

import pytest

from previewops.worker.sandbox.seccomp import ARCHITECTURES, build_filter

ALLOWED, REJECTED, ABSENT, KILLED = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x80000000
OWN = 4_711
AT_FDCWD = (1 << 64) - 100
X86, ARM = (ARCHITECTURES[name] for name in ("x86_64", "aarch64"))


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """The filter's verdict on a call, interpreted as linux/filter.h defines."""
    architecture = ARCHITECTURES[machine]
    data = struct.pack("<II8x6Q", number, audit or architecture.audit, *(*arguments, *[0] * 6)[:6])
    steps = list(struct.iter_unpack("<HBBI", build_filter(architecture, OWN)))
    value, at = 0, 0
    while True:
        code, if_true, if_false, operand = steps[at]
        match code:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, operand)
                at += 1
                continue
            case 0x06:
                return int(operand)
            case 0x15:
                held = value == operand
            case 0x35:
                held = value >= operand
            case 0x45:
                held = bool(value & operand)
            case _:
                raise AssertionError(f"an unknown instruction {code:#x}")
        at += 1 + (if_true if held else if_false)


@pytest.mark.parametrize(
    ("x86", "arm", "arguments", "expected"),
    [
        (0, 63, (), ALLOWED),  # read
        (1, 64, (), ALLOWED),  # write
        (334, 293, (), ALLOWED),  # rseq
        (439, 439, (), ALLOWED),  # faccessat2
        (41, 198, (), REJECTED),  # socket
        (46, 211, (), REJECTED),  # sendmsg
        (59, 221, (), REJECTED),  # execve
        (29, 194, (), REJECTED),  # shmget
        (319, 279, (), REJECTED),  # memfd_create
        (294, 26, (), REJECTED),  # inotify_init1
        (160, 164, (), REJECTED),  # setrlimit
        (129, 138, (), REJECTED),  # rt_sigqueueinfo
        (280, 88, (), REJECTED),  # utimensat
        (435, 435, (), ABSENT),  # clone3
        (425, 425, (), ABSENT),  # io_uring_setup
        (2_000, 2_000, (), ABSENT),  # of a kernel to come
        (56, 220, (17,), REJECTED),  # clone: a process
        (56, 220, (0x3D0F00,), ALLOWED),  # clone: a thread
        (56, 220, (0x3D0F00 | 0x10000000,), REJECTED),  # clone: a thread in a user namespace
        (257, 56, (AT_FDCWD, 1, 0o2000000), ALLOWED),  # openat: O_RDONLY | O_CLOEXEC
        *((257, 56, (AT_FDCWD, 1, flags), REJECTED) for flags in (1, 2, 0o100, 0o1000, 0o20200000)),
        (234, 131, (OWN, 1, 6), ALLOWED),  # tgkill
        (234, 131, (OWN + 1, OWN + 1, 9), REJECTED),
        (234, 131, (OWN | 1 << 32, 1, 6), ALLOWED),  # the kernel uses the lower half
        (302, 261, (0, 7, 0, 1), ALLOWED),  # prlimit64: read
        (302, 261, (0, 7, 1, 0), REJECTED),  # prlimit64: change
        (302, 261, (0, 7, 1 << 32, 0), REJECTED),
        (302, 261, (OWN + 1, 7), REJECTED),
        (203, 122, (0,), ALLOWED),  # sched_setaffinity
        (203, 122, (1,), REJECTED),
        (72, 25, (3, 2, 1), ALLOWED),  # fcntl F_SETFD
        *((72, 25, (3, command, 1), REJECTED) for command in (4, 8, 10, 15, 1026, 1031)),
        (16, 29, (3, 0x5401), ALLOWED),  # ioctl TCGETS
        (16, 29, (3, 0x5401 | 1 << 32), ALLOWED),
        *((16, 29, (3, command), REJECTED) for command in (0x8901, 0x8902, 0x5412, 0x541C)),
        (157, 167, (15, 1), ALLOWED),  # prctl PR_SET_NAME
        *((157, 167, (option, 0), REJECTED) for option in (1, 4, 22, 36)),
    ],
)
def test_verdicts_are_the_same_on_every_architecture(
    x86: int, arm: int, arguments: tuple[int, ...], expected: int
) -> None:
    assert verdict("x86_64", x86, *arguments) == expected
    assert verdict("aarch64", arm, *arguments) == expected


def test_old_calls_of_x86_open_files_for_reading_only() -> None:
    assert verdict("x86_64", 2, 1, 0) == ALLOWED  # open
    assert verdict("x86_64", 2, 1, 0o101) == REJECTED
    assert verdict("x86_64", 85, 1, 0) == REJECTED  # creat


def test_calls_of_another_table_are_denied() -> None:
    assert verdict("x86_64", 0, audit=0x40000003) == KILLED  # as a 32-bit program
    assert verdict("aarch64", 63, audit=X86.audit) == KILLED
    assert verdict("x86_64", 0x40000000) == REJECTED  # x32
    assert verdict("aarch64", 63, audit=ARM.audit) == ALLOWED
