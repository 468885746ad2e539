"""Paths of bundles and fences below DATA_DIR."""

from __future__ import annotations

from pathlib import Path

from previewops.stores.staging import path_inside

PREVIEWS_FOLDER = "previews"
"""Folder of DATA_DIR with the published bundles."""


def bundle_path(data_dir: Path, project_id: str, job_id: str) -> Path:
    """The folder of the job's bundle. Raises PermanentJobError "unsafe-path" if not inside ``data_dir``."""
    return path_inside(data_dir, PREVIEWS_FOLDER, project_id, job_id)


def fence_path(data_dir: Path, project_id: str, job_id: str) -> Path:
    """The job's fence file. Raises PermanentJobError "unsafe-path" if not inside ``data_dir``."""
    return path_inside(data_dir, ".fences", project_id, job_id)
