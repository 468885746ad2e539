"""Optional readers: installed by an extra of this package, imported when a job needs one."""

from __future__ import annotations

import importlib
from typing import Any

from previewops.file_kinds import FileKind
from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.decode.errors import picture_error


def require_extra(ref: AssetRef, kind: FileKind) -> Any:
    """Imports the module that reads ``kind``.

    Raises:
        PermanentJobError: asset-unsupported, if it is not installed.
    """
    try:
        return importlib.import_module(kind.module)
    except ImportError as error:
        raise _missing_extra(ref, kind) from error


def _missing_extra(ref: AssetRef, kind: FileKind) -> PermanentJobError:
    return picture_error(
        ref,
        "asset-unsupported",
        found=f"{kind.name}, and the extra {kind.extra} is not installed",
        allowed=f"{kind.name} where previewops[{kind.extra}] is installed",
        hint=f"run pip install 'previewops[{kind.extra}]' for the workers, or convert the picture",
    )
