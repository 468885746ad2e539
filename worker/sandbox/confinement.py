"""Confines a render process by the kernel, in layers, none of which can be undone.

- A private root folder (``private_root``) and namespaces (``namespaces``), where this user may make them: no other
  file, process, network or shared memory can be named.
- No capabilities, and if the worker is root, a user of its own (``privileges``).
- Landlock (``landlock``): it can read the files of its Python and the fonts, and open no other. Assets and output
  arrive as open descriptors.
- seccomp (``seccomp``): the system calls that a renderer needs, and no others.
- Limits of setrlimit(2), set by ``child``.

A layer that is missing is reported with its reason, and the others remain.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from previewops.file_kinds import PICTURES
from previewops.process.parent_death import set_parent_death_signal
from previewops.worker.sandbox import kernel
from previewops.worker.sandbox.landlock import COMPLETE_SINCE, landlock_version, restrict_files
from previewops.worker.sandbox.namespaces import NAMESPACES, enter_namespaces
from previewops.worker.sandbox.private_root import PRIVATE_ROOT, RootLayout, enter_private_root
from previewops.worker.sandbox.privileges import (
    become_user,
    choose_user,
    drop_capabilities,
    limit_capabilities,
)
from previewops.worker.sandbox.seccomp import ARCHITECTURES, build_filter

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_PR_GET_SECCOMP, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 21, 22, 2

_LIBRARIES = ("PIL", "av", *(kind.module for kind in PICTURES if kind.module))  # jobs that need one import it
_SYSTEM_FONTS = ("/usr/share/fonts", "/usr/local/share/fonts")

LANDLOCK, SECCOMP = "Landlock", "seccomp"
OWN_USER = "own user"
NO_CAPABILITIES = "no capabilities"
RESOURCE_LIMITS = "resource limits"
"""The layer that every kernel has."""


@dataclass(frozen=True, slots=True)
class ConfinementReport:
    """The layers that confine a render process, and the reason of each missing one by its name."""

    layers: tuple[str, ...] = (RESOURCE_LIMITS,)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the two layers are in force that keep a render process from files and system calls."""
        return not self.missing.keys() & {LANDLOCK, SECCOMP}

    def describe(self) -> str:
        """The layers, and the missing ones with their reasons, for a log line."""
        reasons = "".join(f"; without {name}: {reason}" for name, reason in self.missing.items())
        return ", ".join(self.layers) + reasons

    def heartbeat_fields(self) -> dict[str, Any]:
        """The same in the worker's report of itself."""
        missing = [f"{name}: {reason}" for name, reason in self.missing.items()]
        return {"confinedBy": list(self.layers), "confinementMissing": missing}

    def as_json(self) -> dict[str, Any]:
        return {"layers": list(self.layers), "missing": self.missing}

    @classmethod
    def from_json(cls, value: Any) -> ConfinementReport:
        """Decodes ``as_json``, sent before a process has read anything hostile."""
        return cls(
            tuple(map(str, value["layers"])),
            {str(name): str(reason) for name, reason in value["missing"].items()},
        )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a fork server has prepared for its render processes, so that each of them starts sooner.

    ``namespaces_missing`` is "" if they are in namespaces of their own. ``user`` is the id for them if the worker is
    root. They can read ``readable``, and have the files of ``root`` in their private root.
    """

    namespaces_missing: str
    user: int | None
    readable: tuple[Path, ...]
    root: RootLayout

    @property
    def counted_alone(self) -> bool:
        """Whether the kernel counts the threads of these processes apart from others of the same user."""
        return self.user is not None or not self.namespaces_missing


def prepare_surroundings(worker_pid: int) -> Surroundings:
    """Enters the namespaces of render processes, and gives up the capabilities of all future programs.

    The next child of this process is the first one in its PID namespace.
    """
    readable = readable_paths()
    # Names in the folders of the system's fonts are not secret, and may be many.
    fonts = [Path(folder) for folder in _SYSTEM_FONTS if Path(folder).is_dir()]
    layout = RootLayout([*readable, *fonts])
    user = choose_user(worker_pid)
    namespaces_missing = enter_namespaces()
    limit_capabilities()
    return Surroundings(namespaces_missing, user, tuple(readable), layout)


@dataclass(frozen=True, slots=True)
class KernelSupport:
    """What the kernel and the filters of this process permit.

    ``landlock`` is its version, 0 if there is none. The other two are "" or the reason why the layer is missing.
    """

    landlock: int
    landlock_missing: str = ""
    seccomp_missing: str = ""

    @property
    def complete(self) -> bool:
        """Whether files and system calls can be restricted."""
        return self.landlock >= COMPLETE_SINCE and not self.seccomp_missing


def detect_support() -> KernelSupport:
    """What ``confine`` can use here. Costs three system calls and changes nothing."""
    return KernelSupport(*landlock_version(), _why_no_filter())


def _why_no_filter() -> str:
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        return f"processor {machine}: allowed {' or '.join(ARCHITECTURES)}"
    try:
        kernel.prctl(_PR_GET_SECCOMP)
    except OSError:
        return "missing in this kernel"
    return ""


def readable_paths() -> list[Path]:
    """Paths that a confined process can read: Python, its packages, this one, the system's libraries."""
    packages = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own = Path(__file__).resolve().parents[1]  # also in a checkout, where symbolic links lead to the folders
    package = Path(sys.modules["previewops"].__file__ or "").resolve().parent
    paths = [*map(Path, packages), own, package, package.parent / "schemas"]
    paths += map(Path, ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null"))
    paths += map(Path, ("/dev/urandom", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo"))
    paths += (folder for name in _LIBRARIES for folder in _folders_of(name))
    return [path for path in paths if path.exists()]


def _folders_of(library: str) -> Iterator[Path]:
    """The folders of an installed package, and of shared libraries beside it.

    A package installed by --user or --target, or on PYTHONPATH, is outside Python's own folders.
    """
    try:
        spec = find_spec(library)
    except ImportError:  # the import of the task reports it
        return
    for folder in (spec.submodule_search_locations if spec else None) or ():
        package = Path(folder).resolve()
        yield package
        yield from package.parent.glob("*.libs")


def confine(surroundings: Surroundings, fonts: Iterable[Path], parent_pid: int) -> ConfinementReport:
    """Confines this process for good, as far as it is possible here. Raises OSError if a layer fails halfway.

    It can still read ``fonts``, absolute paths. It exits if process ``parent_pid`` has died.
    """
    existing = [path for path in fonts if path.exists()]
    surroundings.root.add(existing)
    paths = [*surroundings.readable, *existing]
    missing = {
        NAMESPACES: surroundings.namespaces_missing,
        PRIVATE_ROOT: enter_private_root(surroundings.root),
    }
    layers = [NAMESPACES, PRIVATE_ROOT]
    if surroundings.user is not None:
        layers.append(OWN_USER)
        missing[OWN_USER] = become_user(surroundings.user, paths)
    drop_capabilities()
    layers.append(NO_CAPABILITIES)
    if not set_parent_death_signal(parent_pid, signal.SIGKILL):  # a change of the user clears it
        os._exit(0)
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    support = detect_support()
    missing |= {LANDLOCK: support.landlock_missing, SECCOMP: support.seccomp_missing}
    if support.landlock:
        # A private root has only folders on the way to readable files, which imports may list.
        restrict_files(support.landlock, paths, [] if missing[PRIVATE_ROOT] else [Path("/")])
        if support.landlock < COMPLETE_SINCE:
            missing[LANDLOCK] = f"version {support.landlock} cannot keep readable files from being truncated"
    if not support.seccomp_missing:
        _restrict_calls()
    reasons = {name: reason for name, reason in missing.items() if reason}
    names = [f"{LANDLOCK} {support.landlock}"] if support.landlock else []
    names += [name for name in (SECCOMP, *layers) if name not in reasons]
    return ConfinementReport((*names, RESOURCE_LIMITS), reasons)


def _restrict_calls() -> None:
    program = build_filter(ARCHITECTURES[platform.machine()], os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    sock_fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    kernel.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, sock_fprog)
