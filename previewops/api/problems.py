"""Errors as ``application/problem+json`` (RFC 9457), with stable types."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException

from previewops import errors
from previewops.api.errors import ApiError, PathNotFound
from previewops.errors import PreviewopsError, Violation
from previewops.queue import batch_errors
from previewops.queue.due_time import InvalidDueTime
from previewops.stores.asset_drafts import AssetDigestMismatch, AssetKindUnsupported, AssetTooLarge

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:previewops:problem:"

QUEUE_FULL_RETRY_S = 5
REDIS_RETRY_S = 2
STORAGE_RETRY_S = 5

STATUS_BY_ERROR: dict[type[PreviewopsError], int] = {
    errors.InvalidPayload: 422,
    errors.JobIdMismatch: 422,
    errors.UsageError: 400,
    InvalidDueTime: 422,
    batch_errors.InvalidBatchId: 422,
    batch_errors.BatchNotFound: 404,
    batch_errors.BatchClosed: 409,
    batch_errors.BatchConflict: 409,
    errors.JobNotFound: 404,
    errors.BundleNotFound: 404,
    errors.ArtifactNotFound: 404,
    errors.BundleUnreadable: 503,
    errors.BundleReplaced: 503,
    errors.StoreUnavailable: 503,
    errors.StoreRejected: 503,
    errors.ArtifactNotLocal: 500,
    errors.LinksUnsupported: 500,
    AssetTooLarge: 413,
    AssetKindUnsupported: 415,
    AssetDigestMismatch: 422,
    errors.JobConflict: 409,
    errors.WrongState: 409,
    errors.PayloadExpired: 409,
    errors.PayloadChanged: 409,
    errors.QueueFull: 429,
    errors.QuotaExceeded: 429,
    errors.RedisUnavailable: 503,
    errors.EmbeddedUnavailable: 503,
    errors.DataDirUnavailable: 503,
    errors.RecordUnreadable: 503,
    errors.ForeignKey: 503,
    errors.LayoutUnsupported: 503,
    errors.CommandRejected: 409,
    errors.SupervisorRunning: 409,
    errors.StartupFailed: 500,
    PreviewopsError: 500,
}
"""HTTP status by error class; subclasses inherit it."""

_RETRIES: dict[type[Any], int] = {
    errors.QueueFull: QUEUE_FULL_RETRY_S,
    errors.QuotaExceeded: QUEUE_FULL_RETRY_S,
    errors.BundleUnreadable: STORAGE_RETRY_S,
    errors.BundleReplaced: STORAGE_RETRY_S,
    errors.StoreUnavailable: STORAGE_RETRY_S,
}
"""Retry-After in seconds by error class."""

_TITLES = {
    "invalid-payload": "The payload violates the contract",
    "conflict": "A job with this jobId and another payload exists",
    "not-found": "The job does not exist",
    "wrong-state": "The job is in another state",
    "payload-expired": "The job's payload is not stored any more",
    "queue-full": "The queue is full",
    "quota-exceeded": "The queue quota of the token is used up",
    "project-not-allowed": "The token does not permit this project",
    "redis-unavailable": "The queue is unavailable",
    "record-unreadable": "The job's record is damaged",
    "foreign-key": "The queue's data is damaged",
    "newer-layout": "A newer version wrote the queue's data",
    "bad-parameter": "Invalid query parameter",
    "invalid-due-time": "The earliest start is invalid",
    "invalid-batch-id": "The id of the batch is invalid",
    "no-such-batch": "The batch does not exist",
    "batch-closed": "The batch is closed",
    "batch-conflict": "The batch belongs to another project",
    "bad-form": "Invalid request body",
    "batch-stopped": "Most lines of the batch are invalid",
    "no-such-path": "Unknown path",
    "no-such-artifact": "The file is not available",
    "not-completed": "The job is not completed yet",
    "no-such-asset": "The asset is not stored",
    "links-disabled": "Signed links are disabled",
    "link-rejected": "The link is not valid",
    "uploads-disabled": "Uploads are disabled",
    "assets-full": "The assets take what they may",
    "asset-too-large": "The file is too large",
    "asset-kind-unsupported": "The file is not a supported picture or sound",
    "asset-digest-mismatch": "The content has another digest",
    "storage-fails": "The files cannot be read now",
    "method-not-allowed": "Method not allowed",
    "too-large": "The body is too large",
    "unsupported-media-type": "Unsupported media type",
    "no-such-range": "Range outside the file",
    "unauthorized": "A valid token is required",
    "forbidden": "Not allowed",
    "bad-request": "Malformed request",
    "misdirected": "Host name not accepted",
    "too-many-requests": "Too many requests",
    "overloaded": "Overloaded",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error response."""

    status: int
    code: str
    detail: str
    hint: str | None = None
    violations: tuple[Violation, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns the members of the problem. ``errors`` lists every violation."""
        body: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": _TITLES.get(self.code) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint is not None:
            body["hint"] = self.hint
        if self.violations:
            body["errors"] = [violation.as_json() for violation in self.violations]
        return body

    def body(self) -> bytes:
        """Returns the encoded response body."""
        return json.dumps(self.as_json(), ensure_ascii=False).encode("utf-8", "replace")


def build_problem(error: Exception) -> Problem:
    """Maps ``error`` to a problem. The details of unexpected errors are only logged."""
    if isinstance(error, ApiError):
        return Problem(
            error.status,
            error.code,
            error.message,
            error.hint,
            error.violations,
            (*error.headers, *_retry_headers(error.retry_after_s)),
        )
    if isinstance(error, errors.RedisUnavailable):
        # The address of Redis is logged and not disclosed to clients.
        return Problem(
            503,
            error.code,
            "Redis does not respond or rejects writes",
            "try again; submitting a job twice is safe",
            headers=_retry_headers(REDIS_RETRY_S),
        )
    if isinstance(error, PreviewopsError):
        return _from_package_error(error)
    if isinstance(error, HTTPException):
        return _from_http_exception(error)
    return Problem(500, "internal", "unexpected error; see the log for this request id")


def _from_package_error(error: PreviewopsError) -> Problem:
    status = next(STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_BY_ERROR)
    violations = error.violations if isinstance(error, errors.InvalidPayload) else ()
    headers = _retry_headers(_RETRIES.get(type(error)))
    return Problem(status, error.code, error.message, error.hint, violations, headers)


def _from_http_exception(error: HTTPException) -> Problem:
    headers = tuple((error.headers or {}).items())
    if error.status_code == PathNotFound.status:
        return Problem(404, PathNotFound.code, "unknown path; GET /openapi.json lists all paths")
    return Problem(error.status_code, ApiError.code, error.detail, headers=headers)


def _retry_headers(after_s: int | None) -> tuple[tuple[str, str], ...]:
    return () if after_s is None else (("Retry-After", str(after_s)),)


def encode_headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Encodes header names and values for ASGI."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
