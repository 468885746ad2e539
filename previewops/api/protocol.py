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
"""Bytes of a request before its body begins."""

BEYOND_CONNECTIONS = 1_000
"""So many more than may be served are told so; those beyond are closed without a word."""


class _BadRequest(Refusal):
    """What came is no HTTP."""


class _TooLateForRequest(Refusal):
    """The request did not arrive in time."""

    status = 408
    code = "request-timeout"


class _HeadTooLarge(Refusal):
    """The head of the request does not end."""

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
        self._head_bytes = 0
        self._in_head = False

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
        was_in_head = self._in_head
        super().data_received(data)
        # What a head begins in is not counted: the end of an earlier body may be in it, and reads are bounded.
        if was_in_head and self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(_HeadTooLarge(f"allowed are {MOST_HEAD_BYTES} bytes before the body"))

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
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
        self._refuse(_BadRequest(msg))

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


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers on a connection that is one too many."""
    refusal = Overloaded(
        "as many connections are open as may be", retry_after_s=2, headers=(("Connection", "close"),)
    )
    await send_problem(problem_of(refusal), send)
