"""HTTP/1.1 protocol of uvicorn (httptools) with limits: slow clients, size of the head, number of connections.

A front proxy can limit these too. The API limits them itself because it also runs without one: uvicorn waits for a
slow request without a limit, and httptools buffers an endless header field. The class overrides internals of
uvicorn, so pyproject.toml has an upper bound for its version, and the tests run with the newest allowed version.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from previewops.api.auth import PUBLIC_PATHS
from previewops.api.connection_limits import Admission, ConnectionLimits
from previewops.api.errors import ApiError, BadRequest, Overloaded
from previewops.api.request_head import replace_host

MAX_HEAD_BYTES = 65_536
"""Bytes of a request except its body: request line, headers and trailers."""

RENEWING_BODY_BYTES = 1_048_576
"""Bytes of a body after which a client has the whole time again: an upload may take long, but not stand still."""

_FIELD_BYTES = 4
"""Bytes of the separators of one header."""

UNREAD = "-"
"""Logged method and path of a request whose head is missing or malformed."""


class _RequestTimeout(ApiError):
    """The request did not arrive in time."""

    status = 408
    code = "request-timeout"


class _HeadTooLarge(ApiError):
    """Head or trailers exceed ``MAX_HEAD_BYTES``."""

    status = 431
    code = "head-too-large"

    def __init__(self) -> None:
        super().__init__(
            f"request head: found more than {MAX_HEAD_BYTES} bytes, allowed {MAX_HEAD_BYTES} bytes"
        )


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        limits: all connections of the process.
        client_timeout_s: time in seconds to receive a complete request, or the next ``RENEWING_BODY_BYTES`` of its
            body, and for the client to read what was sent.
        build_error_app: returns the application that responds with an error, in the usual middleware.
    """

    def __init__(
        self,
        *args: Any,
        limits: ConnectionLimits[BoundedProtocol],
        client_timeout_s: float,
        build_error_app: Callable[[ApiError], ASGIApp],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._active_app = cast("ASGIApp", self.app)
        self.app = cast("Any", self._serve)
        self._build_error_app = build_error_app
        self._error: ApiError | None = None
        self._rejected_scope: Scope | None = None
        """Scope of the rejected request if the application has started."""
        self._open_cycles: deque[RequestResponseCycle] = deque()
        self._limits = limits
        self._client_timeout_s = client_timeout_s
        self._request_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._unparsed_bytes = 0
        self._body_bytes = 0
        self._head_error: _HeadTooLarge | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        admission, victim = self._limits.open(self, self.client[0] if self.client else "")
        if victim is not None:
            victim.transport.close()
        if admission is Admission.REJECTED:
            transport.abort()
        elif admission is not Admission.FULL:
            self._active_app = self._build_probes_app(admission)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.close(self)
        self._stop_timer()
        self.resume_writing()
        # uvicorn disconnects only the newest request; an event stream with another request behind it would continue.
        for cycle in self._open_cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return  # data after a rejected request
        if self._request_timer is None and not self._response_pending():
            self._start_timer()
        # The parser reports a field when it is complete, and buffers it until then without a limit.
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._reject(_HeadTooLarge())

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes, self._unparsed_bytes = True, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count_head_bytes(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head_bytes(len(name) + len(value) + _FIELD_BYTES)
        # Fields after the head are trailers. They are unused, and must not be added to the headers unchecked.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        replace_host(self.url, self.headers)
        super().on_headers_complete()
        while self._open_cycles and self._open_cycles[0].response_complete:
            self._open_cycles.popleft()
        self._open_cycles.append(self.cycle)
        self._in_head, self._in_body, self._unparsed_bytes, self._body_bytes = False, True, 0, 0
        self._limits.set_busy(self)

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        self._body_bytes += len(body)
        stalls = self.cycle.response_complete  # the rest of a rejected body is not awaited for longer
        if self._body_bytes >= RENEWING_BODY_BYTES and self._request_timer is not None and not stalls:
            self._body_bytes = 0
            self._stop_timer()
            self._start_timer()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body, self._unparsed_bytes = False, 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._response_pending():
            self._limits.set_idle(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._client_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._reject(self._head_error or BadRequest(msg))

    def _count_head_bytes(self, length: int) -> None:
        self._unparsed_bytes = 0
        self._head_bytes += length
        if self._head_bytes > MAX_HEAD_BYTES:
            # The parser stops at an exception, and uvicorn then calls send_400_response.
            self._head_error = _HeadTooLarge()
            raise self._head_error

    def _response_pending(self) -> bool:
        """Whether a request has been received whose response is incomplete."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _build_probes_app(self, admission: Admission) -> ASGIApp:
        """Returns an application that answers probes and rejects other requests."""
        hint = None
        message = "the maximum number of connections is open"
        if admission is Admission.PROBES_OF_CLIENT:
            message = f"connections of one client: found {self._limits.per_client} in use, allowed as many"
            hint = "raise PREVIEW_API_CLIENT_SHARE, or list a reverse proxy in PREVIEW_API_PROXIES"
        error = Overloaded(message, hint=hint, retry_after_s=2, headers=(("Connection", "close"),))
        complete_app, error_app = self._active_app, self._build_error_app(error)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            app = complete_app if scope["path"] in PUBLIC_PATHS else error_app
            await app(scope, receive, send)

        return serve

    def _start_timer(self) -> None:
        self._request_timer = self.loop.call_later(self._client_timeout_s, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _on_timeout(self) -> None:
        self._request_timer = None
        self._reject(_RequestTimeout(f"the request did not arrive within {self._client_timeout_s:g} s"))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Application whose ``receive`` raises the error if the rest of the request is rejected."""

        async def receive_or_raise() -> Message:
            message = await receive()
            if self._error is not None and scope is self._rejected_scope:
                raise self._error
            return message

        await self._active_app(scope, receive_or_raise, send)

    def _reject(self, error: ApiError) -> None:
        """Rejects the incoming request, in pipeline order, and closes. Later data is not read."""
        if self._error is not None or self.transport.is_closing():
            return
        self._error = error
        self._stop_timer()
        if self._in_body:
            self._reject_rest()
        else:
            self._respond_in_order(error)

    def _reject_rest(self) -> None:
        """Rejects a request that the application has begun; the application responds if it has not yet."""
        if self.cycle.response_complete:
            self.transport.close()
        elif self.cycle.response_started:
            self.transport.abort()
        else:
            self._rejected_scope = cast("Scope", self.cycle.scope)
            self.cycle.keep_alive = False
            self.cycle.message_event.set()

    def _respond_in_order(self, error: ApiError) -> None:
        """Responds to a request without a head, after the responses to earlier requests."""
        cycle = RequestResponseCycle(
            scope=cast("Any", self._build_headless_scope()),
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        app = cast("Any", self._build_error_app(error))
        if self._response_pending():
            # self.cycle stays the one that is notified of a lost connection.
            self.pipeline.appendleft((cycle, app))
            return
        self.cycle = cycle
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _build_headless_scope(self) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "method": UNREAD,
            "path": UNREAD,
            "raw_path": UNREAD.encode(),
            "query_string": b"",
            "headers": [],
            "state": {},
        }
