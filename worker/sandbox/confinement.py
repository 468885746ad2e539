"""Confines a render process by the kernel: files by Landlock, sockets and processes by seccomp.

Landlock (landlock(7)) allows it to read the files of its Python and the fonts. It can open no other file and write
none: assets and output arrive as open descriptors. seccomp (seccomp(2), module ``seccomp``) denies the calls by which
code from a hostile picture could reach the network, other processes, file attributes (outside of Landlock), or rarely
used parts of the kernel. Neither can be undone. Without them the limits of setrlimit(2) remain, and
``detect_support`` reports it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from previewops.worker.sandbox.seccomp import ARCHITECTURES, build_filter

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_PR_GET_SECCOMP, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 21, 22, 2

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_ONLY, _BENEATH_PATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by ABI version
_NET_RIGHTS, _NET_SINCE = 0b11, 4
_SCOPES, _SCOPES_SINCE = 0b11, 6
_COMPLETE_SINCE = 3  # before, a readable file could be truncated

_LIBRARIES = ("PIL", "av")  # decode and encode; jobs that need av import it

RESOURCE_LIMITS = "resource limits"
"""The layer that every kernel has."""


@dataclass(frozen=True, slots=True)
class KernelSupport:
    """The confinement that this machine's kernel supports. ``landlock`` is its ABI version, 0 where it is missing."""

    landlock: int
    seccomp: bool

    @property
    def complete(self) -> bool:
        """Whether every layer is supported."""
        return self.landlock >= _COMPLETE_SINCE and self.seccomp

    @property
    def layers(self) -> tuple[str, ...]:
        """The supported layers, for the worker's status."""
        names = [f"Landlock {self.landlock}"] if self.landlock else []
        names += ["seccomp"] if self.seccomp else []
        return (*names, RESOURCE_LIMITS)

    def describe(self) -> str:
        """The supported and missing layers, for a log line."""
        layers = (("Landlock", self.landlock), ("seccomp", self.seccomp))
        missing = [name for name, supported in layers if not supported]
        in_force = ", ".join(self.layers)
        if missing:
            return f"{in_force}; this kernel lacks {' and '.join(missing)}"
        if self.complete:
            return in_force
        return f"{in_force}; this Landlock cannot keep readable files from being truncated"


def detect_support() -> KernelSupport:
    """What ``confine`` can use here. Costs two system calls and changes nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_ONLY)
    has_filters = platform.machine() in ARCHITECTURES and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    return KernelSupport(max(0, version), has_filters)


def readable_paths() -> list[Path]:
    """Paths that a confined process can read: Python, its packages, this one, the system's libraries."""
    packages = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own = Path(__file__).resolve().parents[1]  # also in a checkout, where symbolic links lead to the folders
    package = Path(sys.modules["previewops"].__file__ or "").resolve().parent
    paths = [*map(Path, packages), own, package, package.parent / "schemas", Path(f"/proc/{os.getpid()}")]
    paths += map(Path, ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null"))
    paths += map(Path, ("/dev/urandom", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo"))
    paths += (folder for name in _LIBRARIES for folder in _folders_of(name))
    return [path for path in paths if path.exists()]


def _folders_of(library: str) -> Iterator[Path]:
    """The folders of an installed package, and of shared libraries beside it.

    A package installed by --user or --target, or on PYTHONPATH, is outside Python's own folders.
    """
    spec = find_spec(library)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        package = Path(folder).resolve()
        yield package
        yield from package.parent.glob("*.libs")


def confine(readable: Iterable[Path]) -> KernelSupport:
    """Confines this process for good, as far as the kernel supports it; OSError if it rejects a supported layer."""
    protection = detect_support()
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
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
    # Kernels accept a shorter structure, of the version that they support, and reject a longer one.
    size = 24 if version >= _SCOPES_SINCE else 16 if version >= _NET_SINCE else 8
    ruleset = _check(libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "landlock")
    try:
        for path in readable:
            _allow_reading(libc, ruleset, path)
        _check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # unreadable anyway
    try:
        rights = _READ_FILE | (_READ_FOLDER if path.is_dir() else 0)
        rule = struct.pack("<Qi", rights, handle)
        _check(libc.syscall(_ADD_RULE, ruleset, _BENEATH_PATH, rule, 0), f"landlock rule for {path}")
    finally:
        os.close(handle)


def _restrict_calls(libc: ctypes.CDLL) -> None:
    program = build_filter(ARCHITECTURES[platform.machine()], os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    sock_fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _check(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, sock_fprog, 0, 0), "PR_SET_SECCOMP")


def _check(result: int, operation: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), operation)
    return result
