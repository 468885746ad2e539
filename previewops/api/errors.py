"""Errors that the API raises itself, with their HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from previewops.errors import EXIT_USAGE, PreviewopsError, Violation


class ApiError(PreviewopsError):
    """A rejected request. ``status`` is the HTTP status; ``headers`` are added to the response.

    ``retry_after_s`` is the time in seconds after which a retry may succeed, None if it will not.
    """

    status: ClassVar[int] = 400
    code = "bad-request"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        violations: Sequence[Violation] = (),
        retry_after_s: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        self.headers = tuple(headers)


class BadRequest(ApiError):
    """The request is not valid HTTP."""


class BadParameter(ApiError):
    """Invalid query parameter. The pointers of the violations contain its name: ``/limit``."""

    code = "bad-parameter"


class InvalidRequestBody(ApiError):
    """Invalid request body of a command."""

    status = 422
    code = "bad-form"


class BatchStopped(ApiError):
    """Most lines of a batch are invalid: this line and those after it were not read."""

    status = 422
    code = "batch-stopped"

    def __init__(self, invalid: int, lines: int) -> None:
        super().__init__(
            f"this line and those after it were not read: found {invalid} of {lines} lines invalid, allowed half",
            hint="correct the lines and submit them again; submitting a line twice is safe",
        )


class Unauthorized(ApiError):
    """Missing or invalid token."""

    status = 401
    code = "unauthorized"


class Forbidden(ApiError):
    """Read-only token, or cross-site request."""

    status = 403
    code = "forbidden"


class ProjectNotAllowed(Forbidden):
    """The token does not permit jobs of this project. ``allowed`` are its projects."""

    code = "project-not-allowed"

    def __init__(self, holder: str, project_id: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"projectId of {holder}: found {project_id}, allowed {', '.join(allowed)}",
            hint="use a token of this project, or add it in PREVIEW_API_TOKENS_FILE",
        )
        self.project_id = project_id
        self.allowed = tuple(allowed)


class JobIdTaken(ApiError):
    """A job of a project that the token does not permit has this jobId."""

    status = 409
    code = "conflict"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"jobId: found {job_id}, which is taken, allowed another one",
            hint="jobIds are shared by all projects of a queue: begin yours with the name of your project",
        )
        self.job_id = job_id


class PathNotFound(ApiError):
    """Unknown path."""

    status = 404
    code = "no-such-path"


class ArtifactNotServed(ApiError):
    """The job has no bundle, or its bundle does not have the file."""

    status = 404
    code = "no-such-artifact"


class NotCompleted(ApiError):
    """The job has not ended yet."""

    status = 409
    code = "not-completed"


class AssetNotStored(ApiError):
    """No asset with this digest is stored."""

    status = 404
    code = "no-such-asset"


class UploadsDisabled(ApiError):
    """The settings allow no uploads."""

    status = 501
    code = "uploads-disabled"


class LinksDisabled(ApiError):
    """No key is set that could sign links."""

    status = 501
    code = "links-disabled"

    def __init__(self) -> None:
        super().__init__("PREVIEW_LINK_KEY: found no key, allowed one that signs links")


class AssetsFull(ApiError):
    """The stored assets take what they may."""

    status = 507
    code = "assets-full"

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="remove unused assets with `previewops prune --assets AGE --apply`, "
            "or raise PREVIEW_UPLOADS_MAX_MB or PREVIEW_UPLOADS_MAX_FILES",
        )


class MethodNotAllowed(ApiError):
    """The path does not support the method. ``others`` are paths below it that do."""

    status = 405
    code = "method-not-allowed"

    def __init__(self, method: str, allowed: Sequence[str], others: Sequence[str]) -> None:
        methods = ", ".join(sorted(allowed))
        super().__init__(
            f"method: found {method}, allowed {methods}",
            hint=f"{method} is supported by {', '.join(others)}" if others else None,
            headers=(("Allow", methods),),
        )


class BodyTooLarge(ApiError):
    """The body exceeds its limit."""

    status = 413
    code = "too-large"


class UnsupportedMediaType(ApiError):
    """The Content-Type is not supported."""

    status = 415
    code = "unsupported-media-type"


class RangeNotSatisfiable(ApiError):
    """The requested range is outside the file."""

    status = 416
    code = "no-such-range"


class ExpectationFailed(ApiError):
    """The request expects something that this server does not do."""

    status = 417
    code = "expectation-failed"


class HostNotAllowed(ApiError):
    """The Host header is not accepted: DNS rebinding, for example."""

    status = 421
    code = "misdirected"


class TooManyRequests(ApiError):
    """The client exceeds its rate limit."""

    status = 429
    code = "too-many-requests"


class CodingNotImplemented(ApiError):
    """The body has a transfer coding other than chunked."""

    status = 501
    code = "coding-not-implemented"


class VersionNotSupported(ApiError):
    """The request has another major version of HTTP."""

    status = 505
    code = "version-not-supported"


class Overloaded(ApiError):
    """A limit of this process is reached: connections, streams, bytes of bodies, or waiting time for Redis."""

    status = 503
    code = "overloaded"


class ListenError(PreviewopsError):
    """The address cannot be bound."""

    exit_code = EXIT_USAGE
    code = "cannot-listen"

    def __init__(self, host: str, port: int, reason: str, *, hint: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {reason}", hint=hint)
        self.host = host
        self.port = port


class TokenRequired(PreviewopsError):
    """Other machines can reach the address, and no token is set."""

    exit_code = EXIT_USAGE
    code = "unprotected"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"--host: found {host}, allowed without PREVIEW_API_TOKEN is a loopback address",
            hint="set PREVIEW_API_TOKEN to a secret of 16 characters or more, or omit --host",
        )
        self.host = host
