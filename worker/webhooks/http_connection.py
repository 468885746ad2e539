"""One HTTP/1.1 connection that posts one message after another, and reads no more than the status of a response.

httpx took more processor time than all else that a delivery needs; httptools parses in C.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import cast

import httptools

MAX_RESPONSE_BYTES = 65_536
"""Bytes of a response. Its body is read and dropped so that the connection can be used again."""

_FINAL = 200  # a smaller status is informational


class ConnectionFailed(OSError):
    """The connection ended before a response, or what was received is not HTTP.

    ``before_response``: nothing was received, as when the server closed a connection that it had kept for long.
    """

    def __init__(self, reason: str, *, before_response: bool = False) -> None:
        super().__init__(reason)
        self.before_response = before_response


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that was checked. ``tls`` are a context and the name that the certificate must have."""

    ip: str
    port: int
    tls: tuple[ssl.SSLContext, str] | None = None


class HttpConnection(asyncio.Protocol):
    """A connection to ``endpoint``. It closes itself when it cannot be used again. Its owner sets ``used_at``."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.used_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._status: asyncio.Future[int] | None = None
        self._received = 0
        self._is_complete = True

    @classmethod
    async def open(cls, endpoint: Endpoint, timeout_s: float) -> HttpConnection:
        """Connects.

        Raises:
            OSError: it cannot, or not within ``timeout_s``. This includes errors of TLS.
        """
        context, name = endpoint.tls or (None, None)
        connect = asyncio.get_running_loop().create_connection(
            lambda: cls(endpoint), endpoint.ip, endpoint.port, ssl=context, server_hostname=name
        )
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await connect
        except TimeoutError:
            raise ConnectionFailed(f"no connection within {timeout_s:.1f} s") from None
        return connection

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed the connection."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """Whether the connection is open and the whole response to the last message was received."""
        return self._is_complete and self.is_open

    async def post(self, request: bytes) -> int:
        """Sends a request and returns the status of the response.

        Raises:
            ConnectionFailed: the connection ended, or the response is not HTTP.
        """
        assert self._transport is not None
        self._received, self._is_complete = 0, False
        self._status = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._status
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.abort()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.Transport", transport)  # of uvloop: no subclass of it

    def data_received(self, data: bytes) -> None:
        """Parses a part of a response."""
        self._received += len(data)
        if self._is_complete:
            self._fail("the receiver sent data without a request")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"the response is not HTTP: {error}")
        if self._received > MAX_RESPONSE_BYTES and not self._is_complete:
            self._fail(f"the response exceeds {MAX_RESPONSE_BYTES:,} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a message that has no response."""
        reason = str(exc) if exc else "the receiver closed the connection"
        self._fail(reason, before_response=self._received == 0)

    # Called by httptools.

    def on_headers_complete(self) -> None:
        """Ends the message: its status is known."""
        status = self._parser.get_status_code()
        if status >= _FINAL and self._status is not None and not self._status.done():
            self._status.set_result(status)

    def on_message_complete(self) -> None:
        """Keeps the connection for the next message, if the receiver does."""
        if self._parser.get_status_code() >= _FINAL:
            self._is_complete = True
            if not self._parser.should_keep_alive():
                self.close()

    def _fail(self, reason: str, *, before_response: bool = False) -> None:
        if self._status is not None and not self._status.done():
            self._status.set_exception(ConnectionFailed(reason, before_response=before_response))
        self.close()
