"""A root folder of this process alone, with nothing in it but given files: no other name can be found.

Landlock denies opening other files, but not finding out that they exist: stat(2), access(2) and readlink(2) tell.
Uses mount_setattr(2) of Linux 5.12 and the calls before it. Their numbers are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from previewops.worker.sandbox import kernel

PRIVATE_ROOT = "private root folder"
"""The layer, as workers report it."""

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
# linux/sched.h, linux/mount.h, linux/fcntl.h
_NEW_MOUNTS = 0x00020000
_NOSUID, _NODEV, _NOEXEC = 1 << 1, 1 << 2, 1 << 3
_REMOUNT, _BIND, _READ_ONLY = 1 << 5, 1 << 12, 1
_RECURSIVE, _PRIVATE = 1 << 14, 1 << 18
_DETACH = 2
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_TREE_CLONE, _TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_FROM_EMPTY_PATH = 4
_ATTRIBUTES = (
    0x1 | 0x2
)  # MOUNT_ATTR_RDONLY, _NOSUID; no NODEV: /dev/null and /dev/urandom are among the files

_MAX_PARTS = 500
"""Parts of a path with all its links; a cycle of links has more."""

_PLACE = "/proc"
"""A folder that is always there, to mount the new root on before it becomes the root."""


def enter_private_root(visible: Iterable[Path]) -> str:
    """Replaces the root by an empty one with ``visible``, read-only. Needs CAP_SYS_ADMIN.

    Returns "", or the reason why the root has not changed.
    """
    try:
        kernel.unshare(_NEW_MOUNTS)
        kernel.mount("none", "/", "", _PRIVATE | _RECURSIVE)
        with ExitStack() as stack:
            trees = [(path, stack.enter_context(_Tree(path))) for path in outermost(visible)]
            links = dict(link for path in visible for link in links_of(path))
            kernel.mount("none", _PLACE, "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=0755,size=1m")
            try:
                _fill(trees, links)
                _pivot()
            except OSError:
                with suppress(OSError):
                    kernel.unmount(_PLACE, _DETACH)
                raise
    except OSError as error:
        return describe_refusal(error)
    return ""


def describe_refusal(error: OSError) -> str:
    """Why the root cannot be replaced."""
    if error.errno == errno.EPERM:
        return "mounts are denied by the service, the container or the host"
    if error.errno == errno.ENOSYS:
        return "missing in this kernel or filtered by the container"
    return str(error)


def outermost(paths: Iterable[Path]) -> list[Path]:
    """The real paths, without those below another one, in an order that needs no other."""
    chosen: list[Path] = []
    for path in sorted({path.resolve() for path in paths}):
        if not chosen or not path.is_relative_to(chosen[-1]):
            chosen.append(path)
    return chosen


def links_of(path: Path) -> Iterator[tuple[Path, str]]:
    """The symbolic links on the way along ``path``, which is absolute, with their targets."""
    folder, parts = Path("/"), list(path.parts[1:])
    for _ in range(_MAX_PARTS):
        if not parts:
            return
        part = parts.pop(0)
        place = folder.parent if part == ".." else folder / part
        if not place.is_symlink():
            folder = place
            continue
        target = os.readlink(place)  # noqa: PTH115 - as text, for the link
        yield place, target
        parts = [*(name for name in Path(target).parts if name != "/"), *parts]
        folder = Path("/") if target.startswith("/") else folder


class _Tree:
    """A detached, read-only copy of the mounts at a path, as a descriptor."""

    def __init__(self, path: Path) -> None:
        self.is_folder = path.is_dir()
        flags = _TREE_CLONE | _TREE_CLOEXEC | _AT_RECURSIVE
        self.fd = kernel.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), ctypes.c_uint(flags))
        attributes = struct.pack("<QQQQ", _ATTRIBUTES, 0, 0, 0)
        try:
            flags = _AT_EMPTY_PATH | _AT_RECURSIVE
            kernel.syscall(
                _MOUNT_SETATTR,
                self.fd,
                b"",
                ctypes.c_uint(flags),
                attributes,
                ctypes.c_size_t(len(attributes)),
            )
        except OSError:
            os.close(self.fd)
            raise

    def __enter__(self) -> _Tree:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _fill(trees: list[tuple[Path, _Tree]], links: dict[Path, str]) -> None:
    """Puts the trees and links into the new root, each at its path."""
    root = Path(_PLACE)
    for path, tree in trees:
        place = root / path.relative_to("/")
        if tree.is_folder:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        flags = ctypes.c_uint(_MOVE_FROM_EMPTY_PATH)
        kernel.syscall(_MOVE_MOUNT, tree.fd, b"", _AT_FDCWD, os.fsencode(place), flags)
    for link, target in links.items():
        place = root / link.relative_to("/")
        if not any(link.is_relative_to(path) for path, _ in trees):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
    kernel.mount("none", _PLACE, "", _REMOUNT | _BIND | _READ_ONLY | _NOSUID | _NODEV | _NOEXEC)


def _pivot() -> None:
    """Makes the new root the root, and lets the old one go."""
    os.chdir(_PLACE)
    kernel.syscall(_PIVOT_ROOT[os.uname().machine], b".", b".")
    kernel.unmount(".", _DETACH)
    os.chdir("/")
