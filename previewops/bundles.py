"""The only reader of published bundles: command line, client, API and screen read their files through it.

Ids come from Redis and names from a manifest that any writer of DATA_DIR may have changed: neither is trusted.
The bundle's folder is opened once, no link below DATA_DIR is followed, and everything is read through that
descriptor: a bundle that is replaced during a read is still read completely, in its old state.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from previewops.errors import ArtifactNotFound, BundleNotFound, BundleUnreadable

if TYPE_CHECKING:
    from previewops.queue.records import JobRecord

PREVIEWS_FOLDER = "previews"
"""Folder of DATA_DIR with the published bundles."""

MANIFEST_FILE = "container.json"
"""Manifest of a bundle: lists all its files except ``preview.json``."""

PREVIEW_FILE = "preview.json"
"""File of a bundle that describes what was rendered."""

MAX_MANIFEST_BYTES = 4 * 1024 * 1024

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""Errors for a name without a file: nothing, a folder, a link or a socket."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a bundle: its name within it ("frames/001.webp"), its path and its metadata.

    ``file`` is absolute; ``bytes`` and ``sha256`` (hexadecimal) describe its content when it was rendered.
    """

    name: str
    file: Path
    bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class OpenArtifact:
    """An open file of a bundle. The caller closes it.

    ``size`` in bytes and ``sha256`` (hexadecimal) come from the manifest; the size is checked against the open file.
    For the manifest itself and ``preview.json``, which it does not list, they are computed from the content.
    """

    descriptor: int
    size: int
    sha256: str
    media_type: str

    def close(self) -> None:
        """Closes the file."""
        with suppress(OSError):
            os.close(self.descriptor)


def list_artifacts(data_dir: Path, record: JobRecord) -> tuple[Artifact, ...]:
    """Returns the files of a job's bundle as its ``container.json`` lists them. Reads the disk.

    Each is a regular file, not reached by a link, with the listed length.

    Raises:
        BundleNotFound: the bundle is not on this machine, or differs from what was published.
        BundleUnreadable: the system cannot read it now.
    """
    with _open_bundle(data_dir, record) as folder:
        artifacts = _read_manifest(folder, _bundle_path(data_dir, record))
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
    return _bundle_path(data_dir, record) / path


def open_artifact(data_dir: Path, record: JobRecord, name: str) -> OpenArtifact:
    """Opens a file of a job's bundle: one that the manifest lists, the manifest, or preview.json. Reads the disk.

    Raises:
        ArtifactNotFound: the manifest lists no such file.
        BundleNotFound: the bundle is not on this machine, or differs from what was published.
        BundleUnreadable: the system cannot read it now: out of file descriptors, or a disk error.
    """
    with _open_bundle(data_dir, record) as folder:
        if name in (MANIFEST_FILE, PREVIEW_FILE):
            return _open_unlisted(folder, name)
        entry = _read_manifest(folder, _bundle_path(data_dir, record)).get(name)
        if entry is None:
            raise ArtifactNotFound(record.job_id, name)
        return OpenArtifact(_open_listed(folder, entry), entry.bytes, entry.sha256, entry.media_type)


def _bundle_path(data_dir: Path, record: JobRecord) -> Path:
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
        path, origin = _bundle_path(data_dir, record), (record.result or {}).get("bundle", "unknown")
        raise BundleNotFound(
            f"the bundle of job {record.job_id} is not on this machine: {path} does not exist",
            hint=f"set DATA_DIR to the workers' folder, or use the machine that rendered it: {origin}",
        ) from error


def _open_folder(current: int, steps: Sequence[str]) -> int:
    """Opens the folder at ``steps`` below the open folder ``current``, which is closed. Follows no links."""
    for step in steps:
        try:
            below = os.open(_check_name(step), _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = below
    return current


def _check_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is outside the bundle")
    return name


def _open_regular(folder: int, name: str) -> int:
    """Opens a regular file below ``folder``.

    Raises:
        ValueError: the name leads outside, or is not a regular file.
    """
    *steps, last = name.split("/")
    inner = _open_folder(os.dup(folder), steps)
    try:
        descriptor = os.open(_check_name(last), _FILE, dir_fd=inner)
    finally:
        os.close(inner)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{name!r} is not a regular file")
    return descriptor


def _open_listed(folder: int, entry: Artifact) -> int:
    descriptor = _open_regular(folder, entry.name)
    # The file may have been replaced; never return a wrong checksum.
    if (size := os.fstat(descriptor).st_size) != entry.bytes:
        os.close(descriptor)
        raise ValueError(f"{entry.name!r} has {size} bytes; {entry.bytes} were published")
    return descriptor


def _open_unlisted(folder: int, name: str) -> OpenArtifact:
    descriptor = _open_regular(folder, name)
    try:
        content = _read_manifest_bytes(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return OpenArtifact(descriptor, len(content), hashlib.sha256(content).hexdigest(), "application/json")


def _read_manifest_bytes(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := os.pread(descriptor, MAX_MANIFEST_BYTES + 1 - size, size):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_MANIFEST_BYTES:
            raise ValueError(f"it has more than {MAX_MANIFEST_BYTES} bytes")
    return b"".join(pieces)


def _read_manifest(folder: int, bundle: Path) -> dict[str, Artifact]:
    """Returns the manifest's files by name.

    Raises:
        ValueError: the manifest is invalid.
    """
    descriptor = _open_regular(folder, MANIFEST_FILE)
    try:
        manifest: Any = json.loads(_read_manifest_bytes(descriptor))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{MANIFEST_FILE} is not JSON: {error}") from error
    finally:
        os.close(descriptor)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, list):
        raise ValueError(f"{MANIFEST_FILE} lists no files")
    listed = {entry.name: entry for entry in (_parse_entry(bundle, raw) for raw in files)}
    if len(listed) != len(files):
        raise ValueError(f"{MANIFEST_FILE} lists a file twice")
    return listed


def _parse_entry(bundle: Path, raw: Any) -> Artifact:
    match raw:
        case {"path": str(name), "bytes": int(size), "sha256": str(digest), "mediaType": str(kind)} if (
            size >= 0 and not isinstance(size, bool) and _SHA256.fullmatch(digest)
        ):
            for step in name.split("/"):
                _check_name(step)
            return Artifact(name, bundle / name, size, digest, kind)
    raise ValueError(f"{MANIFEST_FILE} has an entry without path, bytes, sha256 or mediaType")
