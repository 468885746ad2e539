"""What the REST door refuses by itself, before the queue is asked. Each knows its status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from previewops.errors import EXIT_USAGE, PreviewopsError, Violation


class ApiError(PreviewopsError):
    """A request that is turned away. ``status`` is the HTTP status, ``headers`` go with the answer.

    ``retry_after_s`` says when trying again may help, in seconds; None where it will not.
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


class BadParameter(ApiError):
    """A parameter of the query is off. The pointers of the violations name it: ``/limit``."""

    code = "bad-parameter"


class InvalidRequestBody(ApiError):
    """The body of an act is off."""

    status = 422
    code = "bad-form"


class Unauthorized(ApiError):
    """No token, or a wrong one."""

    status = 401
    code = "unauthorized"


class Forbidden(ApiError):
    """The token may look and not act, or another site's page asks."""

    status = 403
    code = "forbidden"


class PathNotFound(ApiError):
    """There is nothing at this address."""

    status = 404
    code = "no-such-path"


class ArtifactNotServed(ApiError):
    """The job has no bundle, or its bundle has no such file."""

    status = 404
    code = "no-such-artifact"


class MethodNotAllowed(ApiError):
    """The address has no such method."""

    status = 405
    code = "method-not-allowed"


class BodyTooLarge(ApiError):
    """The body is larger than is taken."""

    status = 413
    code = "too-large"


class UnsupportedMediaType(ApiError):
    """The body is said to be something else than what is read here."""

    status = 415
    code = "unsupported-media-type"


class RangeNotSatisfiable(ApiError):
    """The file ends before the range that is asked for."""

    status = 416
    code = "no-such-range"


class HostNotAllowed(ApiError):
    """The Host header names somebody else: a page whose name was made to resolve to this address, say."""

    status = 421
    code = "misdirected"


class TooManyRequests(ApiError):
    """This client asks faster than it may."""

    status = 429
    code = "too-many-requests"


class Overloaded(ApiError):
    """A bound of this process is reached: connections, streams, bytes of bodies, or patience with Redis."""

    status = 503
    code = "overloaded"


class ListenError(PreviewopsError):
    """The address cannot be listened on."""

    exit_code = EXIT_USAGE
    code = "cannot-listen"

    def __init__(self, host: str, port: int, reason: str, *, hint: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {reason}", hint=hint)
        self.host = host
        self.port = port


class TokenRequired(PreviewopsError):
    """Others could reach this address, and nothing keeps them from acting."""

    exit_code = EXIT_USAGE
    code = "unprotected"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"--host {host} can be reached from other machines and PREVIEW_API_TOKEN is not set; "
            "allowed without a token is a loopback address",
            hint="set PREVIEW_API_TOKEN to a secret of 16 characters or more, or leave --host out",
        )
        self.host = host
