"""Every failure as ``application/problem+json`` (RFC 9457), with a type that stays the same for good."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException

from previewops import errors
from previewops.api.errors import ApiError, MethodNotAllowed, PathNotFound
from previewops.errors import PreviewopsError, Violation

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:previewops:problem:"

QUEUE_FULL_RETRY_S = 5
REDIS_RETRY_S = 2
STORAGE_RETRY_S = 5

STATUS_BY_ERROR: dict[type[PreviewopsError], int] = {
    errors.InvalidPayload: 422,
    errors.JobIdMismatch: 422,
    errors.UsageError: 400,
    errors.JobNotFound: 404,
    errors.BundleNotFound: 404,
    errors.ArtifactNotFound: 404,
    errors.BundleUnreadable: 503,
    errors.JobConflict: 409,
    errors.WrongState: 409,
    errors.PayloadChanged: 409,
    errors.QueueFull: 429,
    errors.RedisUnavailable: 503,
    errors.EmbeddedUnavailable: 503,
    errors.CommandRejected: 409,
    errors.SupervisorRunning: 409,
    errors.StartupFailed: 500,
    PreviewopsError: 500,
}
"""The status of each error of the package; that of a class counts for those derived from it."""

_RETRIES: dict[type[Any], int] = {
    errors.QueueFull: QUEUE_FULL_RETRY_S,
    errors.BundleUnreadable: STORAGE_RETRY_S,
}
"""After how many seconds trying again may help, where it does."""

_TITLES = {
    "invalid-payload": "The payload breaks the contract",
    "conflict": "The jobId is taken by another payload",
    "not-found": "There is no such job",
    "wrong-state": "The job is in another state",
    "queue-full": "The queue is full",
    "redis-unavailable": "The queue cannot be reached",
    "bad-parameter": "A parameter of the query is off",
    "bad-form": "The body of the request is off",
    "no-such-path": "There is nothing at this address",
    "no-such-artifact": "There is no such file",
    "storage-fails": "The files cannot be read now",
    "method-not-allowed": "The address has no such method",
    "too-large": "The body is too large",
    "unsupported-media-type": "The body is of another media type",
    "no-such-range": "The file has no such range",
    "unauthorized": "A valid token is needed",
    "forbidden": "This is not allowed",
    "misdirected": "This name is not served here",
    "too-many-requests": "Too many requests",
    "overloaded": "Too much is going on",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that says what went wrong, as a person and a program read it."""

    status: int
    code: str
    detail: str
    hint: str | None = None
    violations: tuple[Violation, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The problem's members. ``errors`` has every violation; ``hint`` says what to do."""
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
        """The problem as it is sent."""
        return json.dumps(self.as_json(), ensure_ascii=False).encode("utf-8", "replace")


def build_problem(error: Exception) -> Problem:
    """What a client is told of ``error``. Of one that nobody foresaw, only that there was one."""
    if isinstance(error, ApiError):
        return Problem(
            error.status,
            error.code,
            error.message,
            error.hint,
            error.violations,
            (*error.headers, *_retry(error.retry_after_s)),
        )
    if isinstance(error, errors.RedisUnavailable):
        # Where Redis is is nobody's business outside; the log has it.
        return Problem(
            503,
            error.code,
            "Redis, which keeps the queue, does not answer or refuses to store",
            "try again; a job that is submitted twice is one job",
            headers=_retry(REDIS_RETRY_S),
        )
    if isinstance(error, PreviewopsError):
        return _of_the_package(error)
    if isinstance(error, HTTPException):
        return _of_the_router(error)
    return Problem(500, "internal", "an unforeseen error; the log has it under this request's id")


def _of_the_package(error: PreviewopsError) -> Problem:
    status = next(STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_BY_ERROR)
    if isinstance(error, errors.InvalidPayload):
        return Problem(status, error.code, error.message, error.hint, error.violations)
    after_s = next((_RETRIES[kind] for kind in type(error).__mro__ if kind in _RETRIES), None)
    return Problem(status, error.code, error.message, error.hint, headers=_retry(after_s))


def _of_the_router(error: HTTPException) -> Problem:
    headers = tuple((error.headers or {}).items())
    if error.status_code == MethodNotAllowed.status:
        allowed = ", ".join(sorted(dict(headers).get("Allow", "").split(", ")))
        detail = f"allowed is {allowed}"
        return Problem(405, MethodNotAllowed.code, detail, headers=(("Allow", allowed),))
    if error.status_code == PathNotFound.status:
        return Problem(404, PathNotFound.code, "no path of the API; GET /openapi.json lists them")
    return Problem(error.status_code, ApiError.code, error.detail, headers=headers)


def _retry(after_s: int | None) -> tuple[tuple[str, str], ...]:
    return () if after_s is None else (("Retry-After", str(after_s)),)


def encode_headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Header names and values as ASGI wants them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
