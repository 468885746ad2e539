"""A root folder of this process alone, with nothing in it but given files: no other name can be found.

Landlock denies opening other files, but not finding out that they exist, by stat(2), access(2) and readlink(2).
Uses mount_setattr(2) of Linux 5.12 and the calls before it. Their numbers are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from previewops.worker.sandbox import kernel

PRIVATE_ROOT = "private root folder"
"""The layer, as workers report it."""

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
# linux/sched.h, linux/mount.h, linux/fcntl.h
_NEW_MOUNTS = 0x00020000
_NOSUID, _NODEV, _NOEXEC = 1 << 1, 1 << 2, 1 << 3
_REMOUNT, _BIND, _READ_ONLY = 1 << 5, 1 << 12, 1
_RECURSIVE, _PRIVATE = 1 << 14, 1 << 18
_DETACH = 2
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_TREE_CLONE, _TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_FROM_EMPTY_PATH = 4
_READ_ONLY_NOSUID = (
    0x1 | 0x2
)  # mount attributes; without NODEV, as /dev/null and /dev/urandom are among the files

_PLACE = "/proc"
"""A folder that is always there, to mount the new root on before it becomes the root."""


class RootLayout:
    """Which files a root has: real paths, and the symbolic links by which they are reached.

    Remembers the folders that it has seen, as there are many fonts in few folders.
    """

    def __init__(self, visible: Iterable[Path] = ()) -> None:
        self.links: dict[str, str] = {}
        self._real = {"/": "/"}  # by path
        self._visible: set[str] = set()
        self.add(visible)

    def add(self, visible: Iterable[Path]) -> None:
        """Adds existing absolute paths with all that is below them."""
        self._visible.update(self._real_path(str(path)) for path in visible)

    def outermost(self) -> list[Path]:
        """The real paths, without those that are below another one."""
        chosen: list[Path] = []
        for path in sorted(map(Path, self._visible)):
            if not chosen or not path.is_relative_to(chosen[-1]):
                chosen.append(path)
        return chosen

    def _real_path(self, path: str) -> str:
        known = self._real.get(path)
        if known is not None:
            return known
        self._real[path] = path  # a cycle of links ends here
        parent, name = os.path.split(path)
        folder = self._real_path(parent)
        if name == "..":
            real = str(Path(folder).parent)
        elif name in ("", "."):
            real = folder
        else:
            real = f"{folder.rstrip('/')}/{name}"
            if Path(real).is_symlink():
                self.links[real] = target = os.readlink(real)  # noqa: PTH115 - as text, for the link
                real = self._real_path(str(Path(folder) / target))
        self._real[path] = real
        return real


def enter_private_root(layout: RootLayout) -> str:
    """Replaces the root by an empty one with the files of ``layout``, read-only. Needs CAP_SYS_ADMIN.

    Returns "", or the reason why the root has not changed.
    """
    try:
        kernel.unshare(_NEW_MOUNTS)
        kernel.mount("none", "/", "", _PRIVATE | _RECURSIVE)
        with ExitStack() as stack:
            trees = [(path, stack.enter_context(_Tree(path))) for path in layout.outermost()]
            kernel.mount("none", _PLACE, "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=0755,size=1m")
            try:
                _fill(trees, layout.links)
                _pivot()
            except OSError:
                with suppress(OSError):
                    kernel.unmount(_PLACE, _DETACH)
                raise
    except OSError as error:
        return describe_failure(error)
    return ""


def describe_failure(error: OSError) -> str:
    """Why the root cannot be replaced."""
    if error.errno == errno.EPERM:
        return "mounts are denied by the service, the container or the host"
    if error.errno == errno.ENOSYS:
        return "missing in this kernel or filtered by the container"
    return str(error)


class _Tree:
    """A detached, read-only copy of the mounts at a path, as a descriptor."""

    def __init__(self, path: Path) -> None:
        self.is_folder = path.is_dir()
        flags = _TREE_CLONE | _TREE_CLOEXEC | _AT_RECURSIVE
        self.fd = kernel.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), ctypes.c_uint(flags))
        attributes = struct.pack("<QQQQ", _READ_ONLY_NOSUID, 0, 0, 0)
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


def _fill(trees: list[tuple[Path, _Tree]], links: dict[str, str]) -> None:
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
        if not any(Path(link).is_relative_to(path) for path, _ in trees):
            place = root / link.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
    kernel.mount("none", _PLACE, "", _REMOUNT | _BIND | _READ_ONLY | _NOSUID | _NODEV | _NOEXEC)


def _pivot() -> None:
    """Makes the new root the root, and detaches the old one."""
    os.chdir(_PLACE)
    kernel.check(kernel.libc().pivot_root(b".", b"."), "pivot_root")
    kernel.unmount(".", _DETACH)
    os.chdir("/")
