"""Reader of bundles in a folder: command line, client, API and screen read their files through it.

Ids come from Redis and names from a manifest that any writer of DATA_DIR may have changed: neither is trusted.
The bundle's folder is opened once, no link below DATA_DIR is followed, and everything is read through that
descriptor: a bundle that is replaced during a read is still read completely, in its old state.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from previewops.errors import ArtifactNotFound, BundleNotFound, BundleUnreadable
from previewops.stores.folder.paths import PREVIEWS_FOLDER
from previewops.stores.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    UNLISTED_FILES,
    ManifestEntry,
    check_name,
    parse_manifest,
)

if TYPE_CHECKING:
    from previewops.queue.records import JobRecord

CHUNK_BYTES = 262_144

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""Errors for a name without a file: nothing, a folder, a link or a socket."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open file of a bundle in a folder; see ``OpenArtifact``."""

    descriptor: int
    size: int
    sha256: str
    media_type: str

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """See ``OpenArtifact.stream``."""
        while start < end:
            chunk = os.pread(self.descriptor, min(CHUNK_BYTES, end - start), start)
            if not chunk:
                raise OSError("a published file was truncated")
            yield chunk
            start += len(chunk)

    def close(self) -> None:
        """Closes the file."""
        with suppress(OSError):
            os.close(self.descriptor)


def list_artifacts(data_dir: Path, record: JobRecord) -> tuple[ManifestEntry, ...]:
    """Returns the files of a job's bundle as its ``container.json`` lists them. Reads the disk.

    Each is a regular file, not reached by a link, with the listed length.

    Raises:
        BundleNotFound: the bundle is not on this machine, or differs from what was published.
        BundleUnreadable: the system cannot read it now.
    """
    with _open_bundle(data_dir, record) as folder:
        artifacts = _read_manifest(folder)
        for entry in artifacts.values():
            os.close(_open_listed(folder, entry))
        return tuple(artifacts.values())


def find_artifact(data_dir: Path, record: JobRecord, path: str) -> Path:
    """Returns the path of a file of the job's bundle, listed or not: regular, not reached by a link. Reads the disk.

    Raises:
        ArtifactNotFound: the bundle has no such file.
        BundleNotFound: the bundle is not on this machine.
        BundleUnreadable: the system cannot read it now.
    """
    with _open_bundle(data_dir, record) as folder:
        try:
            os.close(_open_regular(folder, path))
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _ABSENT:
                raise
            raise ArtifactNotFound(record.job_id, path) from error
    return local_bundle_path(data_dir, record) / path


def open_artifact(data_dir: Path, record: JobRecord, name: str) -> OpenFile:
    """Opens a file of a job's bundle: one that the manifest lists, the manifest, or preview.json. Reads the disk.

    Raises:
        ArtifactNotFound: the manifest lists no such file.
        BundleNotFound: the bundle is not on this machine, or differs from what was published.
        BundleUnreadable: the system cannot read it now: out of file descriptors, or a disk error.
    """
    with _open_bundle(data_dir, record) as folder:
        if name in UNLISTED_FILES:
            return _open_unlisted(folder, name)
        entry = _read_manifest(folder).get(name)
        if entry is None:
            raise ArtifactNotFound(record.job_id, name)
        return OpenFile(_open_listed(folder, entry), entry.bytes, entry.sha256, entry.media_type)


def local_bundle_path(data_dir: Path, record: JobRecord) -> Path:
    """Absolute path of the job's bundle. Checks nothing."""
    return Path(os.path.realpath(data_dir)) / PREVIEWS_FOLDER / record.project_id / record.job_id


@contextmanager
def _open_bundle(data_dir: Path, record: JobRecord) -> Iterator[int]:
    """Yields the descriptor of the bundle's folder and translates errors inside the block."""
    with _bundle_errors(record):
        with _missing_bundle_errors(data_dir, record):
            # DATA_DIR and the path to it may contain links.
            root = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            folder = _open_folder(root, (PREVIEWS_FOLDER, record.project_id, record.job_id))
        try:
            yield folder
        finally:
            os.close(folder)


@contextmanager
def _bundle_errors(record: JobRecord) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, OSError):
            if error.errno not in _ABSENT:
                raise BundleUnreadable(record.job_id, error.strerror or type(error).__name__) from error
            reason = error.strerror
        else:
            reason = str(error)
        raise BundleNotFound(
            f"the bundle of job {record.job_id} differs from what was published: {reason}",
            hint="it is damaged; submit the payload under a new jobId to render it again",
        ) from error


@contextmanager
def _missing_bundle_errors(data_dir: Path, record: JobRecord) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in _ABSENT:
            raise
        path, origin = local_bundle_path(data_dir, record), (record.result or {}).get("bundle", "unknown")
        raise BundleNotFound(
            f"the bundle of job {record.job_id} is not on this machine: {path} does not exist",
            hint=f"set DATA_DIR to the workers' folder, or use the machine that rendered it: {origin}",
        ) from error


def _open_folder(current: int, steps: Sequence[str]) -> int:
    """Opens the folder at ``steps`` below the open folder ``current``, which is closed. Follows no links."""
    for step in steps:
        try:
            below = os.open(check_name(step), _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = below
    return current


def _open_regular(folder: int, name: str) -> int:
    """Opens a regular file below ``folder``.

    Raises:
        ValueError: the name leads outside, or is not a regular file.
    """
    *steps, last = name.split("/")
    inner = _open_folder(os.dup(folder), steps)
    try:
        descriptor = os.open(check_name(last), _FILE, dir_fd=inner)
    finally:
        os.close(inner)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{name!r} is not a regular file")
    return descriptor


def _open_listed(folder: int, entry: ManifestEntry) -> int:
    descriptor = _open_regular(folder, entry.name)
    # The file may have been replaced; never return a wrong checksum.
    if (size := os.fstat(descriptor).st_size) != entry.bytes:
        os.close(descriptor)
        raise ValueError(f"{entry.name!r} has {size} bytes; {entry.bytes} were published")
    return descriptor


def _open_unlisted(folder: int, name: str) -> OpenFile:
    descriptor = _open_regular(folder, name)
    try:
        content = _read_manifest_bytes(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(descriptor, len(content), hashlib.sha256(content).hexdigest(), "application/json")


def _read_manifest_bytes(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := os.pread(descriptor, MAX_MANIFEST_BYTES + 1 - size, size):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_MANIFEST_BYTES:
            raise ValueError(f"it has more than {MAX_MANIFEST_BYTES} bytes")
    return b"".join(pieces)


def _read_manifest(folder: int) -> dict[str, ManifestEntry]:
    """Returns the manifest's files by name.

    Raises:
        ValueError: the manifest is invalid.
    """
    descriptor = _open_regular(folder, MANIFEST_FILE)
    try:
        return parse_manifest(_read_manifest_bytes(descriptor))
    finally:
        os.close(descriptor)
