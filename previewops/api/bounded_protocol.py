"""HTTP/1.1 of uvicorn and httptools, with patience that ends: slow clients, endless heads, too many connections."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from previewops.api.errors import ApiError, Overloaded

MAX_HEAD_BYTES = 65_536
"""Bytes of a request beside its body: address, headers and trailers."""

_FIELD_BYTES = 4
"""What stands around the name and the value of a header."""

UNREAD = "-"
"""Method and path, as the log has them, of a request whose head did not come or makes no sense."""

EXTRA_CONNECTIONS = 1_000
"""So many more than may be served are told so; those beyond are closed without a word."""


class _BadRequest(ApiError):
    """What came is no HTTP."""


class _TooLateForRequest(ApiError):
    """The request did not arrive in time."""

    status = 408
    code = "request-timeout"


class _HeadTooLarge(ApiError):
    """The head of the request, or what follows its body, is larger than is taken."""

    status = 431
    code = "head-too-large"


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        most_connections: more than so many at a time are told to come again.
        patience_s: how long a request may take to arrive whole, and the client to take what was sent, in seconds.
        refusing: makes the application that answers with a refusal, as the whole answers with all others.
    """

    def __init__(
        self,
        *args: Any,
        max_connections: int,
        client_timeout_s: float,
        build_error_app: Callable[[ApiError], ASGIApp],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._served = cast("ASGIApp", self.app)
        self.app = cast("Any", self._serve)
        self._refusing = build_error_app
        self._refusal: ApiError | None = None
        self._refused: Scope | None = None
        """The request that is refused, where it is under way already."""
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._most_connections = max_connections
        self._patience_s = client_timeout_s
        self._arrival: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._unfinished_bytes = 0
        self._overlong: _HeadTooLarge | None = None

    @classmethod
    def factory(
        cls, *, max_connections: int, client_timeout_s: float, build_error_app: Callable[[ApiError], ASGIApp]
    ) -> Any:
        """A protocol class as uvicorn wants it."""
        return partial(
            cls, most_connections=max_connections, patience_s=client_timeout_s, refusing=build_error_app
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most_connections + EXTRA_CONNECTIONS:
            transport.abort()
        elif len(self.connections) > self._most_connections:
            self._served = self._refusing(_full())
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        # uvicorn tells the newest request alone; a stream with another behind it would go on for nobody.
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return  # whatever follows what is refused
        if self._arrival is None and not self._answering():
            self._await_request()
        # A field is told when it has come whole; until then the parser keeps it, however long it gets.
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            self._refuse(_head_too_large())

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes, self._unfinished_bytes = True, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + _FIELD_BYTES)
        # After the head these are trailers. Nobody here waits for any, and as headers they would come unchecked.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        while self._unanswered and self._unanswered[0].response_complete:
            self._unanswered.popleft()
        self._unanswered.append(self.cycle)
        self._in_head, self._in_body, self._unfinished_bytes = False, True, 0

    def on_body(self, body: bytes) -> None:
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body, self._unfinished_bytes = False, 0
        self._stop_waiting()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(self._patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._overlong or _BadRequest(msg))

    def _count(self, length: int) -> None:
        self._unfinished_bytes = 0
        self._head_bytes += length
        if self._head_bytes > MAX_HEAD_BYTES:
            # The parser stops at an error, and uvicorn answers it by send_400_response.
            self._overlong = _head_too_large()
            raise self._overlong

    def _answering(self) -> bool:
        """Whether a request's head is there, and not yet the whole of its answer."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _await_request(self) -> None:
        self._arrival = self.loop.call_later(self._patience_s, self._too_late)

    def _stop_waiting(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _too_late(self) -> None:
        self._arrival = None
        self._refuse(_TooLateForRequest(f"the request did not arrive within {self._patience_s:g} s"))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application, which learns by ``receive`` that the rest of its request will not come."""

        async def arriving() -> Message:
            message = await receive()
            if self._refusal is not None and scope is self._refused:
                raise self._refusal
            return message

        await self._served(scope, arriving, send)

    def _refuse(self, refusal: ApiError) -> None:
        """Refuses the request that is arriving, in its turn, and closes. What comes after it is not read."""
        if self._refusal is not None or self.transport.is_closing():
            return
        self._refusal = refusal
        self._stop_waiting()
        if self._in_body:
            self._refuse_the_rest()
        else:
            self._answer_in_turn(refusal)

    def _refuse_the_rest(self) -> None:
        """The application has the head already. Unless it has said something, it says what became of the body."""
        if self.cycle.response_complete:
            self.transport.close()
        elif self.cycle.response_started:
            self.transport.abort()
        else:
            self._refused = cast("Scope", self.cycle.scope)
            self.cycle.keep_alive = False
            self.cycle.message_event.set()

    def _answer_in_turn(self, refusal: ApiError) -> None:
        """Answers what has no head, after the answers to the requests before it."""
        cycle = RequestResponseCycle(
            scope=cast("Any", self._unread_scope()),
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
        app = cast("Any", self._refusing(refusal))
        if self._answering():
            # self.cycle stays: it is the one that is told when the connection is lost.
            self.pipeline.appendleft((cycle, app))
            return
        self.cycle = cycle
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _unread_scope(self) -> Scope:
        """A request of which nothing is known."""
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


def _head_too_large() -> _HeadTooLarge:
    return _HeadTooLarge(f"allowed are {MAX_HEAD_BYTES} bytes beside the body")


def _full() -> Overloaded:
    return Overloaded(
        "as many connections are open as may be", retry_after_s=2, headers=(("Connection", "close"),)
    )
