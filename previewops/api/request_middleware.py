"""Outermost middleware: request id, access log, response headers, errors as problems."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from previewops.api.client_address import ClientAddresses
from previewops.api.cors import CROSS_ORIGIN, CorsPolicy
from previewops.api.problems import MEDIA_TYPE, Problem, build_problem, encode_headers
from previewops.clock import Clock
from previewops.message_formatting import escape_unprintable, shorten

log = structlog.get_logger()

FROM_PROXY = "previewops.from-proxy"
"""Key of a request's scope: whether a trusted proxy has sent it."""

CLIENT_GONE = 499
"""Logged status of a request whose client disconnected before a response was sent."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")
_SERVER_ERRORS = 500
_PATH_CHARACTERS = 300

_SECURITY_HEADERS = encode_headers(
    [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ]
)
_DEFAULTS = encode_headers(
    [
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
        ("Cache-Control", "no-store"),
    ]
)
"""Headers of responses that do not have their own."""


class RequestMiddleware:
    """Outermost middleware. ``new_id`` returns an id for requests without a valid X-Request-Id.

    Behind a trusted proxy it replaces the client of the scope by the proxy's client.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        clients: ClientAddresses,
        clock: Clock,
        new_id: Callable[[], str],
        cors: CorsPolicy = CorsPolicy(),  # noqa: B008 - immutable
    ) -> None:
        self._app = app
        self._cors = cors
        self._clients = clients
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _client_request_id(scope) or self._new_id()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(httpId=request_id)
        began = self._clock.monotonic()
        self._find_client(scope)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *_headers(message.get("headers", ()), request_id, cross_origin=scope.get(CROSS_ORIGIN)),
                    *self._cors.response_headers(scope["headers"]),
                ]
            await send(message)

        try:
            try:
                await self._app(scope, receive, send_with_headers)
            except ClientDisconnect:
                status = status or CLIENT_GONE
            except Exception as error:
                if status:
                    log.error("api.response-aborted", error=str(error) or type(error).__name__)
                    raise
                problem = build_problem(error)
                _log_error(error, problem)
                await send_problem(problem, send_with_headers)
        finally:
            log.info(
                "api.answered",
                method=scope["method"],
                path=escape_unprintable(shorten(scope["path"], _PATH_CHARACTERS)),
                status=status or CLIENT_GONE,
                client=(scope.get("client") or ("",))[0],
                ms=round((self._clock.monotonic() - began) * 1000, 1),
            )

    def _find_client(self, scope: Scope) -> None:
        peer = scope.get("client")
        if peer:
            forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
            scope[FROM_PROXY] = self._clients.is_proxy(peer[0])
            scope["client"] = (self._clients.resolve(peer[0], forwarded.decode("latin-1")), peer[1])


async def send_problem(problem: Problem, send: Send) -> None:
    """Sends ``problem`` as the complete response."""
    body = problem.body()
    headers = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), *problem.headers]
    await send({"type": "http.response.start", "status": problem.status, "headers": encode_headers(headers)})
    await send({"type": "http.response.body", "body": body})


def _log_error(error: Exception, problem: Problem) -> None:
    if problem.code == "internal":
        log.error("api.unhandled-error", exc_info=error)
    elif problem.status >= _SERVER_ERRORS:
        log.warning("api.unavailable", code=problem.code, error=str(error))


def _client_request_id(scope: Scope) -> str | None:
    values = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return values[0].decode() if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]) else None


def _headers(own: Any, request_id: str, *, cross_origin: Any) -> list[tuple[bytes, bytes]]:
    policy = b"cross-origin" if cross_origin else b"same-origin"
    headers = [
        *own,
        *_SECURITY_HEADERS,
        (b"cross-origin-resource-policy", policy),
        (b"x-request-id", request_id.encode()),
    ]
    names = {name for name, _ in headers}
    return headers + [(name, value) for name, value in _DEFAULTS if name not in names]
