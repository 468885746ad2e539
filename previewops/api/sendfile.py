"""Headers with which a proxy in front sends a file of a bundle itself. Pure."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from previewops.queue.records import JobRecord
from previewops.stores.folder.paths import PREVIEWS_FOLDER

_ACCEL = "x-accel-redirect:"


def sendfile_header(
    setting: str | None, data_dir: Path, record: JobRecord, name: str
) -> dict[str, str] | None:
    """Returns the header for PREVIEW_API_SENDFILE; None if it is not set.

    nginx (X-Accel-Redirect) gets a path below its internal location, Apache and others (X-Sendfile) that of the file.
    The caller has opened the file, so its name is one of the bundle.
    """
    if setting is None:
        return None
    path = f"{record.project_id}/{record.job_id}/{name}"
    if setting.startswith(_ACCEL):
        return {"X-Accel-Redirect": f"{setting.removeprefix(_ACCEL).rstrip('/')}/{quote(path)}"}
    return {"X-Sendfile": str(data_dir.absolute() / PREVIEWS_FOLDER / path)}
