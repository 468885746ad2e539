"""Paths and headers of objects."""

from __future__ import annotations

from previewops.job_errors import PermanentJobError, TransientJobError
from previewops.stores.manifest import OCTETS, SAFE_MEDIA_TYPES, UNLISTED_FILES, ManifestEntry
from previewops.stores.objects.client import FailureReason, Headers, ObjectStoreFailure

PREVIEWS = "previews"
POINTER_SUFFIX = ".json"

POINTER_HEADERS = Headers("application/json", "no-cache")
_IMMUTABLE = "private, max-age=31536000, immutable"


def job_folder(project_id: str, job_id: str) -> str:
    """Folder of all attempts at a job.

    Raises:
        PermanentJobError: code "unsafe-path", an id is not a plain name.
    """
    for name in (project_id, job_id):
        if name in ("", ".", "..") or "/" in name or "\0" in name or not name.isprintable():
            raise PermanentJobError(
                "unsafe-path",
                f"{name!r} is not a plain name",
                hint="use jobId and projectId of letters, digits, '.', '_' and '-'",
                found=name,
                allowed="a plain name",
            )
    return f"{PREVIEWS}/{project_id}/{job_id}"


def pointer_path(folder: str) -> str:
    """Path of the pointer of a job."""
    return folder + POINTER_SUFFIX


def file_headers(name: str, entry: ManifestEntry | None) -> Headers:
    """Headers of a file of a bundle; ``entry`` is its entry in the manifest."""
    if entry is None:
        media_type = "application/json" if name in UNLISTED_FILES else OCTETS
    else:
        media_type = entry.media_type if entry.media_type in SAFE_MEDIA_TYPES else OCTETS
    return Headers(media_type, _IMMUTABLE)


def job_error(location: str, failure: ObjectStoreFailure) -> TransientJobError:
    """The error of a job for a failure of the store."""
    match failure.reason:
        case FailureReason.DENIED:
            hint = "renew the credentials of the workers, or extend what they permit"
            return _store_error("store-denied", location, failure, hint)
        case FailureReason.MISSING:
            return _store_error(
                "store-missing", location, failure, "create the bucket, or correct PREVIEW_STORE"
            )
        case _:
            hint = "check the service and the network"
            return _store_error("store-unavailable", location, failure, hint)


def _store_error(code: str, location: str, failure: ObjectStoreFailure, hint: str) -> TransientJobError:
    return TransientJobError(
        code,
        f"the store {location} cannot be used: {failure}",
        hint=hint,
        found=str(failure),
        allowed="a store that accepts the bundle",
    )
