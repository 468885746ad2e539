"""Reads published bundles, and nothing else: names come from the manifest, and no link is followed.

The bundle's folder is opened once and everything is read by that descriptor, so that a bundle which is replaced
meanwhile is read whole, as it was.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.api.errors import NoArtifacts, StorageFails
from previewops.bundles import CONTAINER, PREVIEWS

PREVIEW = "preview.json"
MOST_MANIFEST_BYTES = 4 * 1024 * 1024

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""What the system says of a name that leads to no file: nothing, or a folder, a link or a socket."""
_OCTETS = "application/octet-stream"
_MEDIA_TYPES = frozenset(
    {
        "image/webp",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/apng",
        "image/avif",
        "video/webm",
        "video/mp4",
        "application/json",
        "text/vtt",
    }
)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file of a bundle, open for reading; whoever has it closes ``descriptor``."""

    descriptor: int
    size: int
    sha256: str
    media_type: str

    @property
    def etag(self) -> str:
        """The strong validator of the content."""
        return f'"{self.sha256}"'


def open_file(data_dir: Path, project_id: str, job_id: str, name: str) -> OpenFile:
    """Opens the file ``name`` of a job's bundle: one that the manifest lists, the manifest, or preview.json.

    Raises:
        NoArtifacts: there is no bundle, or no such file in it.
        StorageFails: whether there is cannot be told now: no open file is left, say, or the disk fails.
    """
    with _bundle(data_dir, project_id, job_id) as folder:
        if name in (CONTAINER, PREVIEW):
            return _hashed(folder, name)
        listed = {entry["path"]: entry for entry in _manifest(folder)["files"]}
        entry = listed.get(name)
        if entry is None:
            raise NoArtifacts(
                f"job {job_id} has no artifact of that name", hint="GET …/artifacts lists the names there are"
            )
        return _opened(folder, name, entry)


@contextmanager
def _bundle(data_dir: Path, project_id: str, job_id: str) -> Iterator[int]:
    """The descriptor of the bundle's folder."""
    with _missing_is_told(job_id):
        # DATA_DIR itself may be a link, and the path to it may have some.
        root = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with _below(root, (PREVIEWS, project_id, job_id)) as folder:
            yield folder


@contextmanager
def _missing_is_told(job_id: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError) and error.errno not in _ABSENT:
            raise StorageFails(job_id, error.strerror or type(error).__name__) from error
        raise NoArtifacts(
            f"the bundle of job {job_id} is not there, or is not what was published",
            hint="it may have been pruned, or DATA_DIR is another folder than the workers'",
        ) from error


@contextmanager
def _below(current: int, steps: Sequence[str]) -> Iterator[int]:
    """The folder that ``steps`` lead to from the open folder ``current``, which is closed; no step is a link."""
    try:
        for step in steps:
            below = os.open(_one_name(step), _FOLDER, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _one_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("a name that leads elsewhere")
    return name


def _descriptor(folder: int, name: str) -> int:
    """Opens a file below ``folder``."""
    *steps, last = name.split("/")
    with _below(os.dup(folder), steps) as inner:
        return os.open(_one_name(last), _FILE, dir_fd=inner)


def _opened(folder: int, name: str, entry: dict[str, Any]) -> OpenFile:
    descriptor = _descriptor(folder, name)
    try:
        found = os.fstat(descriptor)
        # Something else than was published may be there; a checksum that is not true is never told.
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry["bytes"]:
            raise ValueError("another file than the manifest's")
        kind = entry.get("mediaType")
        return OpenFile(
            descriptor, found.st_size, str(entry["sha256"]), kind if kind in _MEDIA_TYPES else _OCTETS
        )
    except BaseException:
        os.close(descriptor)
        raise


def _hashed(folder: int, name: str) -> OpenFile:
    descriptor = _descriptor(folder, name)
    try:
        content = _content(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(descriptor, len(content), hashlib.sha256(content).hexdigest(), "application/json")


def _manifest(folder: int) -> dict[str, Any]:
    descriptor = _descriptor(folder, CONTAINER)
    try:
        found: dict[str, Any] = json.loads(_content(descriptor))
    finally:
        os.close(descriptor)
    return found


def _content(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := os.pread(descriptor, MOST_MANIFEST_BYTES + 1 - size, size):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_MANIFEST_BYTES:
            raise ValueError("too large")
    return b"".join(pieces)


def close(file: OpenFile) -> None:
    """Closes the file."""
    with suppress(OSError):
        os.close(file.descriptor)
