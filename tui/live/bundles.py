"""Where the files of a bundle are on this machine. Ids and paths come from Redis, so they are not to be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from previewops.tui.ports import BundleElsewhere

if TYPE_CHECKING:
    from previewops.records import JobRecord

PREVIEWS = "previews"
"""The folder of DATA_DIR that readers see bundles in."""


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
