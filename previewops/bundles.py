"""The one reader of published bundles: every door goes through here to their files.

Ids come from Redis and names from a manifest that anybody who may write DATA_DIR can have changed, so neither is
trusted. The bundle's folder is opened once, no link is followed below DATA_DIR, and everything is read by that
descriptor: a bundle that is replaced meanwhile is read whole, as it was.
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
"""The folder of DATA_DIR that readers see bundles in."""

MANIFEST_FILE = "container.json"
"""The file of a bundle that names all others but ``preview.json``."""

PREVIEW_FILE = "preview.json"
"""The file of a bundle that tells what was rendered."""

MAX_MANIFEST_BYTES = 4 * 1024 * 1024

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""What the system says of a name that leads to no file: nothing, or a folder, a link or a socket."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a bundle: its name within it ("frames/001.webp"), where it is, and what it was written as.

    ``file`` is absolute; ``bytes`` and ``sha256`` (hexadecimal) are of its content when it was rendered.
    """

    name: str
    file: Path
    bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class OpenArtifact:
    """A file of a bundle, open for reading; whoever has it calls ``close``.

    ``size`` in bytes and ``sha256`` (hexadecimal) are those of the manifest, and the size is the opened file's too.
    Of the manifest itself and of ``preview.json``, which it does not list, they are those of what was read.
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
    """The files of a job's bundle as its ``container.json`` lists them. Blocks on the disk.

    Each is there, is a regular file reached by no link, and has the length that is listed.

    Raises:
        BundleElsewhere: there is no bundle here, or it is not what was published.
        BundleUnreadable: whether there is cannot be told now.
    """
    with _bundle(data_dir, record) as folder:
        listed = _listed(folder, _place(data_dir, record))
        for entry in listed.values():
            os.close(_opened(folder, entry))
        return tuple(listed.values())


def find_artifact(data_dir: Path, record: JobRecord, path: str) -> Path:
    """The file ``path`` of the job's bundle, listed or not: a regular file, reached by no link. Blocks on the disk.

    Raises:
        NoSuchArtifact: the bundle has no such file.
        BundleElsewhere: there is no bundle here.
        BundleUnreadable: whether there is cannot be told now.
    """
    with _bundle(data_dir, record) as folder:
        try:
            os.close(_regular(folder, path))
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _ABSENT:
                raise
            raise ArtifactNotFound(record.job_id, path) from error
    return _place(data_dir, record) / path


def open_artifact(data_dir: Path, record: JobRecord, name: str) -> OpenArtifact:
    """Opens the file ``name`` of a job's bundle: one that the manifest lists, the manifest, or preview.json.

    Blocks on the disk.

    Raises:
        NoSuchArtifact: the manifest lists no such file.
        BundleElsewhere: there is no bundle here, or it is not what was published.
        BundleUnreadable: whether there is cannot be told now: no open file is left, say, or the disk fails.
    """
    with _bundle(data_dir, record) as folder:
        if name in (MANIFEST_FILE, PREVIEW_FILE):
            return _hashed(folder, name)
        entry = _listed(folder, _place(data_dir, record)).get(name)
        if entry is None:
            raise ArtifactNotFound(record.job_id, name)
        return OpenArtifact(_opened(folder, entry), entry.bytes, entry.sha256, entry.media_type)


def _place(data_dir: Path, record: JobRecord) -> Path:
    return Path(os.path.realpath(data_dir)) / PREVIEWS_FOLDER / record.project_id / record.job_id


@contextmanager
def _bundle(data_dir: Path, record: JobRecord) -> Iterator[int]:
    """The descriptor of the bundle's folder. What goes wrong with its files inside is told as what it means."""
    with _told(record):
        with _missing_is_elsewhere(data_dir, record):
            # DATA_DIR itself may be a link, and the path to it may have some.
            root = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            folder = _below(root, (PREVIEWS_FOLDER, record.project_id, record.job_id))
        try:
            yield folder
        finally:
            os.close(folder)


@contextmanager
def _told(record: JobRecord) -> Iterator[None]:
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
            f"the bundle of job {record.job_id} is not what was published: {reason}",
            hint="it is damaged; submit the payload under a new jobId to render it again",
        ) from error


@contextmanager
def _missing_is_elsewhere(data_dir: Path, record: JobRecord) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in _ABSENT:
            raise
        named = (record.result or {}).get("bundle")
        raise BundleNotFound(
            f"the bundle of job {record.job_id} is not on this machine: there is no {_place(data_dir, record)}",
            hint=f"set DATA_DIR to the workers' folder, or look at it where it was made: {named or 'unknown'}",
        ) from error


def _below(current: int, steps: Sequence[str]) -> int:
    """Opens the folder that ``steps`` lead to from the open folder ``current``, which is closed; none is a link."""
    for step in steps:
        try:
            below = os.open(_one_name(step), _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = below
    return current


def _one_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} leads out of the bundle")
    return name


def _regular(folder: int, name: str) -> int:
    """Opens a file below ``folder``.

    Raises:
        ValueError: the name leads elsewhere, or what is there is no regular file.
    """
    *steps, last = name.split("/")
    inner = _below(os.dup(folder), steps)
    try:
        descriptor = os.open(_one_name(last), _FILE, dir_fd=inner)
    finally:
        os.close(inner)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{name!r} is no regular file")
    return descriptor


def _opened(folder: int, entry: Artifact) -> int:
    descriptor = _regular(folder, entry.name)
    # Something else than was published may be there; a checksum that is not true is never told.
    if (found := os.fstat(descriptor).st_size) != entry.bytes:
        os.close(descriptor)
        raise ValueError(f"{entry.name!r} has {found} bytes; {entry.bytes} were published")
    return descriptor


def _hashed(folder: int, name: str) -> OpenArtifact:
    descriptor = _regular(folder, name)
    try:
        content = _content(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return OpenArtifact(descriptor, len(content), hashlib.sha256(content).hexdigest(), "application/json")


def _content(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := os.pread(descriptor, MAX_MANIFEST_BYTES + 1 - size, size):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_MANIFEST_BYTES:
            raise ValueError(f"it has more than {MAX_MANIFEST_BYTES} bytes")
    return b"".join(pieces)


def _listed(folder: int, place: Path) -> dict[str, Artifact]:
    """The manifest's files by name.

    Raises:
        ValueError: it is none.
    """
    descriptor = _regular(folder, MANIFEST_FILE)
    try:
        found: Any = json.loads(_content(descriptor))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{MANIFEST_FILE} does not read as JSON: {error}") from error
    finally:
        os.close(descriptor)
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, list):
        raise ValueError(f"{MANIFEST_FILE} lists no files")
    listed = {entry.name: entry for entry in (_entry(place, raw) for raw in files)}
    if len(listed) != len(files):
        raise ValueError(f"{MANIFEST_FILE} lists a file twice")
    return listed


def _entry(place: Path, raw: Any) -> Artifact:
    match raw:
        case {"path": str(name), "bytes": int(size), "sha256": str(digest), "mediaType": str(kind)} if (
            size >= 0 and not isinstance(size, bool) and _SHA256.fullmatch(digest)
        ):
            for step in name.split("/"):
                _one_name(step)
            return Artifact(name, place / name, size, digest, kind)
    raise ValueError(f"{MANIFEST_FILE} has an entry that names no path, bytes, sha256 and mediaType")
