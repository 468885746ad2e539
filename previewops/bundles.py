"""Where the files of a bundle are on this machine. Ids and paths come from Redis, so they are not to be trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from previewops.errors import BundleElsewhere

if TYPE_CHECKING:
    from previewops.records import JobRecord

PREVIEWS = "previews"
"""The folder of DATA_DIR that readers see bundles in."""

CONTAINER = "container.json"
"""The file of a bundle that names all others but ``preview.json``."""


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


def artifacts_of(data_dir: Path, record: JobRecord) -> tuple[Artifact, ...]:
    """The files of a job's bundle as its ``container.json`` lists them, by name. Blocks on the disk.

    Raises:
        BundleElsewhere: there is no bundle here, or its ``container.json`` does not read as one.
    """
    manifest = artifact_path(data_dir, record, CONTAINER)
    try:
        files = json.loads(manifest.read_bytes())["files"]
        return tuple(_artifact(manifest.parent, entry) for entry in files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleElsewhere(
            f"{CONTAINER} of job {record.job_id} cannot be read: {error}",
            hint="the bundle is damaged; submit the payload under a new jobId to render it again",
        ) from error


def _artifact(folder: Path, entry: dict[str, Any]) -> Artifact:
    name = str(entry["path"])
    if not _plain(name):
        raise ValueError(f"{name!r} leads out of the bundle")
    return Artifact(name, folder / name, int(entry["bytes"]), str(entry["sha256"]), str(entry["mediaType"]))


def artifact_path(data_dir: Path, record: JobRecord, path: str) -> Path:
    """The file ``path`` of the job's bundle, links resolved: it is a regular file, and inside the bundle.

    Raises:
        BundleElsewhere: there is no such file here.
    """
    try:
        folder = _folder(data_dir, record)
        file = _plain(path) and (folder / path).resolve()
        if file and file.is_relative_to(folder) and file.is_file():
            return file
    except (OSError, ValueError, RuntimeError) as error:  # a null byte, a name too long, a circle of links
        raise BundleElsewhere(f"{path} of job {record.job_id} cannot be read: {error}") from error
    raise BundleElsewhere(
        f"the bundle of job {record.job_id} has no file {path}", hint="its files may have been removed since"
    )


def _folder(data_dir: Path, record: JobRecord) -> Path:
    """The folder of the job's bundle, links resolved."""
    previews = (data_dir / PREVIEWS).resolve()
    names = (record.project_id, record.job_id)
    folder = previews.joinpath(*names)
    if not all(map(_one_name, names)) or not folder.is_dir() or not folder.resolve().is_relative_to(previews):
        named = (record.result or {}).get("bundle")
        raise BundleElsewhere(
            f"the bundle of job {record.job_id} is not on this machine: there is no {folder}",
            hint=f"set DATA_DIR to the workers' folder, or look at it where it was made: {named or 'unknown'}",
        )
    return folder.resolve()


def _one_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _plain(path: str) -> bool:
    return bool(path) and not path.startswith("/") and all(map(_one_name, path.split("/")))
