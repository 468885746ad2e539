"""Output formats by which ended jobs are counted. Pure."""

from __future__ import annotations

from typing import Any

RENDERED_FORMATS = ("webp", "gif", "apng", "png", "jpeg", "webm", "mp4")
"""Formats of the payload's schema, its default first."""

DRY_RUN = "dry-run"
"""Format of a completed dry run, which renders nothing."""

OTHER_FORMAT = "other"
"""Format of jobs that are not previews, and of payloads that cannot be read."""

OUTPUT_FORMATS = (*RENDERED_FORMATS, DRY_RUN, OTHER_FORMAT)


def project_of(payload: Any) -> str:
    """Returns the project of a payload, whether it is valid or not; "" without one."""
    project = payload.get("projectId") if isinstance(payload, dict) else None
    return project if isinstance(project, str) else ""


def output_format(payload: Any) -> str:
    """Returns the format that a payload asks for, whether it is valid or not (lua/include/breakdown.lua)."""
    request = payload.get("previewRequest") if isinstance(payload, dict) else None
    if not isinstance(request, dict):
        return OTHER_FORMAT
    options = request.get("options")
    wanted = options.get("format", RENDERED_FORMATS[0]) if isinstance(options, dict) else RENDERED_FORMATS[0]
    return wanted if wanted in RENDERED_FORMATS else OTHER_FORMAT
