"""HTTP/1.1 of uvicorn and httptools, with patience that ends: slow clients, endless heads, too many connections."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from previewops.api.errors import Overloaded, Refusal
from previewops.api.problems import MEDIA_TYPE, problem_of
from previewops.api.trace import send_problem

MOST_HEAD_BYTES = 65_536
"""Bytes of a request beside its body: address, headers and trailers."""

_FIELD_BYTES = 4
"""What stands around the name and the value of a header."""

BEYOND_CONNECTIONS = 1_000
"""So many more than may be served are told so; those beyond are closed without a word."""


class _BadRequest(Refusal):
    """What came is no HTTP."""


class _TooLateForRequest(Refusal):
    """The request did not arrive in time."""

    status = 408
    code = "request-timeout"


class _HeadTooLarge(Refusal):
    """The head of the request, or what follows its body, is larger than is taken."""

    status = 431
    code = "head-too-large"


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        most_connections: more than so many at a time are told to come again.
        patience_s: how long a request may take to arrive whole, and the client to take what was sent, in seconds.
    """

    def __init__(self, *args: Any, most_connections: int, patience_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most_connections = most_connections
        self._patience_s = patience_s
        self._arrival: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0
        self._unfinished_bytes = 0
        self._overlong: _HeadTooLarge | None = None

    @classmethod
    def bounded(cls, *, most_connections: int, patience_s: float) -> Any:
        """A protocol class as uvicorn wants it."""
        return partial(cls, most_connections=most_connections, patience_s=patience_s)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most_connections + BEYOND_CONNECTIONS:
            transport.abort()
        elif len(self.connections) > self._most_connections:
            self.app = _full
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._arrival is None and not self._answering():
            self._await_request()
        # A field is told when it has come whole; until then the parser keeps it, however long it gets.
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
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
        self._in_head, self._unfinished_bytes = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unfinished_bytes = 0
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
        if self._head_bytes > MOST_HEAD_BYTES:
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
        if self._answering() and self.cycle.response_started:
            self.transport.abort()
        else:
            self._refuse(_TooLateForRequest(f"the request did not arrive within {self._patience_s:g} s"))

    def _refuse(self, refusal: Refusal) -> None:
        """Answers without the application, and closes."""
        problem = problem_of(refusal)
        body = problem.body()
        head = (
            f"HTTP/1.1 {problem.status} {problem.as_json()['title']}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _head_too_large() -> _HeadTooLarge:
    return _HeadTooLarge(f"allowed are {MOST_HEAD_BYTES} bytes beside the body")


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers on a connection that is one too many."""
    refusal = Overloaded(
        "as many connections are open as may be", retry_after_s=2, headers=(("Connection", "close"),)
    )
    await send_problem(problem_of(refusal), send)
