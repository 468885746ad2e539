"""Publication: a rendered folder becomes the job's bundle, whole or not at all, if no later attempt was first.

Under DATA_DIR, one file system::

    .staging/<jobId>.<token>          an attempt renders here
    previews/<projectId>/<jobId>      the bundle that readers see
    .fences/<projectId>/<jobId>       the highest fencing token that has begun to publish; its lock serialises

A claim comes with a fencing token that grows from claim to claim (Martin Kleppmann, "How to do distributed
locking", 2016). An attempt that was frozen past its lease and wakes up late may believe in it still; what
stops it is here, at the resource: a token smaller than the fence's is refused. The fence is moved, durably,
before the bundle is, so that no crash leaves a bundle newer than its fence.

A first bundle arrives by rename(2). Another one takes the place of the old by renameat2(2) with
RENAME_EXCHANGE, and then the old one is removed. Where the kernel or the file system has no exchange, two
renames do: a reader may find nothing for an instant, never a half. A reader that wants one consistent
bundle opens the folder and reads by that descriptor, starting over if the path has come to lead elsewhere
meanwhile.
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
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from previewops.errors import PermanentJobError, StaleToken, TransientJobError

MANIFEST = "container.json"
VOLATILE_FILES = frozenset({"preview.json"})
"""Files that differ between two renders of the same bytes: they hold timings."""

LOCK_TIMEOUT_S = 10.0
"""How long a fence may be held by another attempt: publishing takes milliseconds, frozen for ever."""
_LOCK_RETRY_S = 0.01

_FENCE_DIGITS = 20
_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h
_EXCHANGE_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class PublishResult(StrEnum):
    """What became of the staging folder."""

    FIRST = "first"  # there was no bundle; this is it
    REPLACED = "replaced"  # the bundle that was there is gone
    UNCHANGED = "kept"  # the bundle that was there has the same bytes and stays, as new; staging is gone
    ALREADY_PUBLISHED = "already"  # this very token has published before: its reply was lost


@dataclass(frozen=True, slots=True)
class Publication:
    """A bundle that readers can see: where, by which token, and how it came to be there."""

    path: Path
    token: int
    result: PublishResult


SwapFolders = Callable[[Path, Path], bool]
StepObserver = Callable[[str], None]


def bundle_path(data_dir: Path, project_id: str, job_id: str) -> Path:
    """Where the job's bundle is. Raises PermanentJobError "unsafe-path" if not inside ``data_dir``."""
    return _path_inside(data_dir, "previews", project_id, job_id)


def fence_path(data_dir: Path, project_id: str, job_id: str) -> Path:
    """Where the job's fence is. Raises PermanentJobError "unsafe-path" if not inside ``data_dir``."""
    return _path_inside(data_dir, ".fences", project_id, job_id)


def staging_path(data_dir: Path, job_id: str, token: int) -> Path:
    """Where an attempt renders. Raises PermanentJobError "unsafe-path" if not inside ``data_dir``."""
    return _path_inside(data_dir, ".staging", f"{job_id}.{token}")


def publish(
    staging: Path,
    target: Path,
    *,
    fence: Path,
    token: int,
    swap_folders: SwapFolders | None = None,
    on_step: StepObserver | None = None,
) -> Publication:
    """Makes ``staging`` the bundle ``target``. Blocks on the disk: call it off the event loop.

    When it returns, the bundle survives a power cut. When it raises, ``staging`` is gone and ``target`` is
    what it was or, after a failed flush, the new bundle. Repeating it with the same token is harmless.

    Args:
        staging: folder with the rendered files, on the file system of ``target``.
        fence: the job's fence file; made when there is none.
        token: the attempt's fencing token, at least 1.
        exchange: swaps two folders in one step, or returns False where that cannot be done.
        observe: on_step of each step right after it was made.

    Raises:
        StaleToken: a later attempt has published. TransientJobError: code "disk-full"; "data-dir-unusable";
        "publication-locked", another attempt is in the
            middle of publishing and does not get on.
    """
    swap = swap_folders or rename_exchange
    notify = on_step or _ignore_step
    try:
        with _typed_os_errors(target), _locked_fence(fence, staging) as fence_fd:
            notify("locked")
            newest = _read_fence(fence_fd, fence)
            if token < newest:
                raise StaleToken(token, newest)
            if token == newest and not staging.exists() and target.is_dir():
                return Publication(target, token, PublishResult.ALREADY_PUBLISHED)
            _flush_tree(staging)
            notify("flushed")
            _write_fence(fence_fd, token)
            notify("fenced")
            result = _place(staging, target, swap, notify)
            return Publication(target, token, result)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def sweep_staging(data_dir: Path, is_live: Callable[[str], bool]) -> int:
    """Removes what dead attempts left in the staging folder, and tells how many folders that were.

    ``is_live`` is asked with "<jobId>.<token>", the name of the attempt.
    """
    removed = 0
    with suppress(FileNotFoundError):
        for entry in sorted((data_dir / ".staging").iterdir()):
            if not is_live(entry.name.removesuffix(_REPLACED_SUFFIX)):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
                removed += 1
    return removed


def rename_exchange(one: Path, other: Path) -> bool:
    """Swaps two names by renameat2(2); False where the C library, kernel or file system cannot.

    Raises:
        OSError: it can, and failed.
    """
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


_REPLACED_SUFFIX = ".replaced"


def _place(staging: Path, target: Path, swap: SwapFolders, on_step: StepObserver) -> PublishResult:
    _make_folders(target.parent)
    if not target.exists():
        staging.rename(target)
        on_step("renamed")
        _flush_folders(target.parent, staging.parent)
        on_step("durable")
        return PublishResult.FIRST
    if _same_bundle(staging, target):
        for name in VOLATILE_FILES:
            with suppress(OSError):  # of another user, say: all that it says is how old the bundle is
                os.utime(target / name)
        shutil.rmtree(staging, ignore_errors=True)  # what stays is swept
        on_step("removed")
        return PublishResult.UNCHANGED
    old = staging
    if not swap(staging, target):
        old = _swap_by_two_renames(staging, target, on_step)
    on_step("exchanged")
    _flush_folders(target.parent, staging.parent)
    on_step("durable")
    shutil.rmtree(old, ignore_errors=True)
    on_step("removed")
    return PublishResult.REPLACED


def _swap_by_two_renames(staging: Path, target: Path, on_step: StepObserver) -> Path:
    """Puts ``staging`` in the place of ``target`` and returns where the old bundle is now."""
    aside = staging.with_name(staging.name + _REPLACED_SUFFIX)
    target.rename(aside)
    on_step("aside")
    try:
        staging.rename(target)
    except OSError:
        aside.rename(target)
        raise
    return aside


def _same_bundle(staging: Path, target: Path) -> bool:
    """Whether both have the same manifest, and ``target`` still has every file of ``staging`` in full length.

    The lengths make a rerun repair a bundle that somebody has damaged since.
    """
    try:
        if (staging / MANIFEST).read_bytes() != (target / MANIFEST).read_bytes():
            return False
        return _file_sizes(staging) == _file_sizes(target)
    except OSError:
        return False


def _file_sizes(folder: Path) -> dict[str, int]:
    """Length in bytes by relative path, 0 for what a render may change from time to time."""
    return {
        (name := str(path.relative_to(folder))): 0 if name in VOLATILE_FILES else path.stat().st_size
        for path in _files(folder)
    }


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)


@contextmanager
def _locked_fence(fence: Path, staging: Path) -> Iterator[int]:
    """The fence file, open and locked. The lock goes with the process that holds it, however that ends."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    if staging.is_dir():
        # Only now: a DATA_DIR that has gone, an unmounted disk say, must not be made anew on whatever is beneath.
        _make_folders(fence.parent)
        flags |= os.O_CREAT
    fd = os.open(fence, flags, 0o644)
    try:
        _flush(fence.parent)
        _lock(fd)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    """flock(2) with a deadline, which the call itself has not: its holder may be frozen."""
    deadline_s = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                raise TransientJobError(
                    "publication-locked",
                    f"another attempt at this job has been publishing for {LOCK_TIMEOUT_S:g} s",
                    hint="a worker is frozen in the middle of a publication: end it",
                    found=f"locked for {LOCK_TIMEOUT_S:g} s",
                    allowed=LOCK_TIMEOUT_S,
                ) from None
            time.sleep(_LOCK_RETRY_S)
        else:
            return


def _read_fence(fd: int, fence: Path) -> int:
    """The token in the fence, 0 in a new one."""
    text = os.pread(fd, _FENCE_DIGITS + 1, 0).decode("ascii", errors="replace").strip()
    if text == "":
        return 0
    if not text.isdecimal():
        raise TransientJobError(
            "data-dir-unusable",
            f"the fence {fence} is damaged",
            hint="with no attempt at this job running, remove the file; the next attempt writes it anew",
            found=text,
            allowed="a fencing token in decimal digits",
        )
    return int(text)


def _write_fence(fd: int, token: int) -> None:
    """Of fixed length, in one write within one sector: after a crash it is the old token or the new one."""
    os.pwrite(fd, f"{token:0{_FENCE_DIGITS}d}\n".encode("ascii"), 0)
    os.fsync(fd)


def _flush_tree(folder: Path) -> None:
    """Brings all of ``folder`` to the disk: a rename that lasts is worth no more than what it names."""
    for parent, _, names in os.walk(folder, topdown=False, onerror=_raise_error):
        for name in names:
            _flush(Path(parent, name))
        _flush(Path(parent))


def _flush_folders(*folders: Path) -> None:
    for folder in folders:
        _flush(folder)


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make_folders(folder: Path) -> None:
    """mkdir -p whose result survives a power cut."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _flush(path.parent)


def _path_inside(data_dir: Path, *parts: str) -> Path:
    """``parts`` under ``data_dir``: each one plain name, and no symbolic link on the way that leads out."""
    path = data_dir.joinpath(*parts)
    plain = all(part not in ("", ".", "..") and "/" not in part and "\0" not in part for part in parts)
    if not plain or not path.parent.resolve().is_relative_to(data_dir.resolve()):
        raise PermanentJobError(
            "unsafe-path",
            f"{'/'.join(parts)!r} does not stay inside DATA_DIR",
            hint="use jobId and projectId of letters, digits, '.', '_' and '-', and no links out of DATA_DIR",
            found="/".join(parts),
            allowed="a folder inside DATA_DIR",
        )
    return path


@contextmanager
def _typed_os_errors(target: Path) -> Iterator[None]:
    """Turns what the file system says into the errors that the retry policy knows."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise TransientJobError(
                "disk-full",
                f"no room for {target}: {error.strerror}",
                hint="free space or raise the quota of DATA_DIR",
                found=error.strerror,
                allowed="room for the bundle",
            ) from error
        raise TransientJobError(
            "data-dir-unusable",
            f"cannot publish {target}: {error.strerror} ({error.filename})",
            hint="DATA_DIR must exist, be writable for the worker and lie on one file system",
            found=error.strerror,
            allowed="a writable folder on one file system",
        ) from error


def _raise_error(error: OSError) -> None:
    raise error


def _ignore_step(step: str) -> None:
    """The observer of a publication that nobody observes."""
