"""Publication: a staging folder atomically becomes the job's bundle, unless a later attempt has published.

Under DATA_DIR, one file system::

    .staging/<jobId>.<token>          an attempt renders here
    previews/<projectId>/<jobId>      the bundle that readers see
    .fences/<projectId>/<jobId>       the highest fencing token that has begun to publish; its lock serialises

A claim has a fencing token that increases from claim to claim (Martin Kleppmann, "How to do distributed locking",
2016). An attempt that was frozen past the end of its lease may still believe that it holds it. The fence stops it
at the resource: a token smaller than the fence's is rejected. The fence is written durably before the bundle moves,
so that no crash leaves a bundle newer than its fence.

A first bundle arrives by rename(2). A later one replaces the old bundle by renameat2(2) with RENAME_EXCHANGE, then
the old one is removed. Where kernel or file system lack the exchange, two renames do it: a reader may find nothing
for an instant, never a partial bundle. A reader that wants a consistent bundle opens the folder, reads through that
descriptor, and starts again if the path leads to another folder afterwards.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from previewops.job_errors import StaleToken, TransientJobError
from previewops.stores.folder.flush import flush, flush_one, walk_tree
from previewops.stores.folder.trees import remove
from previewops.stores.manifest import MANIFEST_FILE, VOLATILE_FILES
from previewops.stores.port import Publication, PublishResult, StepObserver
from previewops.stores.staging import REPLACED_SUFFIX

LOCK_TIMEOUT_S = 10.0
"""How long to wait for the fence of another attempt: publishing takes milliseconds, a frozen process for ever."""
_LOCK_RETRY_S = 0.01

_FENCE_DIGITS = 20
_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h
_EXCHANGE_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

SwapFolders = Callable[[Path, Path], bool]


def publish(
    staging: Path,
    target: Path,
    *,
    fence: Path,
    token: int,
    swap_folders: SwapFolders | None = None,
    on_step: StepObserver | None = None,
) -> Publication:
    """Makes ``staging`` the bundle ``target``. Blocks on the disk: do not call it in the event loop.

    After its return, the bundle survives a power failure. When it raises, ``staging`` is removed, and ``target`` is
    unchanged or, after a failed flush, the new bundle. A repetition with the same token is harmless.

    Args:
        staging: folder with the rendered files, on the file system of ``target``.
        fence: the job's fence file; created if missing.
        token: the attempt's fencing token, at least 1.
        swap_folders: swaps two folders atomically, or returns False where that is not supported.
        on_step: called after each step with its name.

    Raises:
        StaleToken: a later attempt has published.
        TransientJobError: code "disk-full"; "data-dir-unusable"; "publication-locked", another attempt is publishing
            and does not finish.
    """
    swap = swap_folders or rename_exchange
    notify = on_step or (lambda _step: None)
    try:
        with _typed_os_errors(target), _locked_fence(fence, create=staging.is_dir()) as fence_fd:
            notify("locked")
            newest = _read_fence(fence_fd, fence)
            if token < newest:
                raise StaleToken(token, newest)
            if token == newest and not staging.exists() and target.is_dir():
                return Publication(str(target), token, PublishResult.ALREADY_PUBLISHED)
            # A durable rename is worth no more than the files that it names, and than the fence's own name.
            flush([*walk_tree(staging), fence.parent])
            notify("flushed")
            _write_fence(fence_fd, token)
            notify("fenced")
            return Publication(str(target), token, _place(staging, target, swap, notify))
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def erase(target: Path, *, fence: Path, token: int, trash_dir: Path) -> bool:
    """Removes the bundle ``target`` atomically, and rejects attempts with a token up to ``token`` from now on.

    Returns whether there was a bundle. Blocks on the disk.

    Raises:
        TransientJobError: as ``publish``.
    """
    with _typed_os_errors(target), _locked_fence(fence, create=True) as fence_fd:
        flush_one(fence.parent)
        # The fence's own token may publish, so it is the next one.
        _write_fence(fence_fd, max(token + 1, _read_fence(fence_fd, fence)))
        if not target.exists():
            return False
        remove(target, trash_dir=trash_dir)
        flush_one(target.parent)
        return True


def rename_exchange(one: Path, other: Path) -> bool:
    """Swaps two paths by renameat2(2); False if it is not supported here. Raises OSError if it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)  # glibc 2.28, musl 1.2.4
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _EXCHANGE_UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def _place(staging: Path, target: Path, swap: SwapFolders, on_step: StepObserver) -> PublishResult:
    _make_folders(target.parent)
    if not target.exists():
        staging.rename(target)
        on_step("renamed")
        flush([target.parent, staging.parent])
        on_step("durable")
        return PublishResult.FIRST
    if _same_bundle(staging, target):
        for name in VOLATILE_FILES:
            with suppress(OSError):  # the owner may be another user: only the bundle's age is lost
                os.utime(target / name)
        shutil.rmtree(staging, ignore_errors=True)  # the sweep removes leftovers
        on_step("removed")
        return PublishResult.UNCHANGED
    old = staging
    if not swap(staging, target):
        old = _swap_by_two_renames(staging, target, on_step)
    on_step("exchanged")
    flush([target.parent, staging.parent])
    on_step("durable")
    shutil.rmtree(old, ignore_errors=True)
    on_step("removed")
    return PublishResult.REPLACED


def _swap_by_two_renames(staging: Path, target: Path, on_step: StepObserver) -> Path:
    """Moves ``staging`` to ``target`` and returns the new path of the old bundle."""
    aside = staging.with_name(staging.name + REPLACED_SUFFIX)
    target.rename(aside)
    on_step("aside")
    try:
        staging.rename(target)
    except OSError:
        aside.rename(target)
        raise
    return aside


def _same_bundle(staging: Path, target: Path) -> bool:
    """Whether both have the same manifest, and the files of ``target`` have the lengths of those of ``staging``.

    Comparing lengths lets a rerun repair a damaged bundle.
    """
    try:
        same_manifest = (staging / MANIFEST_FILE).read_bytes() == (target / MANIFEST_FILE).read_bytes()
        return same_manifest and _file_sizes(staging) == _file_sizes(target)
    except OSError:
        return False


def _file_sizes(folder: Path) -> dict[str, int]:
    """Length in bytes by relative path, 0 for files that differ between renders."""
    return {
        (name := str(path.relative_to(folder))): 0 if name in VOLATILE_FILES else path.stat().st_size
        for path in folder.rglob("*")
        if not path.is_dir()
    }


@contextmanager
def _locked_fence(fence: Path, *, create: bool) -> Iterator[int]:
    """The fence file, open and locked. The lock ends with this process, however that ends.

    ``create`` only if DATA_DIR exists: if it is missing, an unmounted disk say, it must not be created on the disk
    beneath.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    if create:
        _make_folders(fence.parent)
        flags |= os.O_CREAT
    fd = os.open(fence, flags, 0o644)
    try:
        _lock(fd)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    """flock(2) with a timeout, which the call lacks: the holder may be frozen."""
    deadline_s = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                raise TransientJobError(
                    "publication-locked",
                    f"another attempt at this job has been publishing for {LOCK_TIMEOUT_S:g} s",
                    hint="a worker is frozen while it publishes: end it",
                    found=f"locked for {LOCK_TIMEOUT_S:g} s",
                    allowed=LOCK_TIMEOUT_S,
                ) from None
            time.sleep(_LOCK_RETRY_S)
        else:
            return


def _read_fence(fd: int, fence: Path) -> int:
    """The token in the fence, 0 if it is new."""
    text = os.pread(fd, _FENCE_DIGITS + 1, 0).decode("ascii", errors="replace").strip()
    if text == "":
        return 0
    if not text.isdecimal():
        raise TransientJobError(
            "data-dir-unusable",
            f"the fence {fence} is damaged",
            hint="remove the file while no attempt at this job runs; the next attempt creates it",
            found=text,
            allowed="a fencing token in decimal digits",
        )
    return int(text)


def _write_fence(fd: int, token: int) -> None:
    """Fixed length, one write within one sector: a crash leaves the old token or the new one."""
    os.pwrite(fd, f"{token:0{_FENCE_DIGITS}d}\n".encode("ascii"), 0)
    os.fsync(fd)


def _make_folders(folder: Path) -> None:
    """mkdir -p that survives a power failure."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        flush_one(path.parent)


@contextmanager
def _typed_os_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise TransientJobError(
                "disk-full",
                f"disk full, cannot publish {target}: {error.strerror}",
                hint="free space or raise the quota of DATA_DIR",
                found=error.strerror,
                allowed="space for the bundle",
            ) from error
        raise TransientJobError(
            "data-dir-unusable",
            f"cannot publish {target}: {error.strerror} ({error.filename})",
            hint="DATA_DIR must exist, be writable for the worker and lie on one file system",
            found=error.strerror,
            allowed="a writable folder on one file system",
        ) from error
