"""A receiver of webhooks that verifies every signature."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "http://127.0.0.1:{port}/hook?key=hidden"


class Inbox:
    """A receiver. ``reply`` returns the status for the n-th request, from 1."""

    def __init__(self, reply: Callable[[int], int] = lambda _number: 204) -> None:
        self.requests: list[tuple[dict[str, str], str]] = []
        self.accepted: list[dict[str, Any]] = []
        """The verified bodies that were answered with 2xx."""
        self._verified: list[dict[str, Any]] = []
        self._reply = reply
        self.port = 0

    @property
    def url(self) -> str:
        return URL.format(port=self.port)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            body = (await reader.readexactly(int(headers["content-length"]))).decode()
        except (asyncio.IncompleteReadError, ConnectionError):  # the sender was cancelled or killed
            writer.close()
            return
        self.requests.append((headers, body))
        data = verify(headers, body)  # at once: a signature is valid for five minutes
        self._verified.append(data)
        status = self._reply(len(self.requests))
        if 200 <= status < 300:
            self.accepted.append(data)
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n".encode())
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    def verified(self) -> list[dict[str, Any]]:
        """The bodies of all requests, each of which was verified."""
        assert len(self._verified) == len(self.requests), "a signature is invalid"
        return self._verified


def verify(headers: dict[str, str], body: str) -> dict[str, Any]:
    """Verifies with the library of the specification, and by the text of the specification alone.

    The sender uses the same library, so that alone would not show that other receivers accept the signature.
    """
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert f"v1,{expected}" in headers["webhook-signature"].split(" ")
    data: dict[str, Any] = Webhook(SECRET).verify(body, headers)
    return data


@asynccontextmanager
async def receiving(inbox: Inbox) -> AsyncIterator[Inbox]:
    server = await asyncio.start_server(inbox.handle, "127.0.0.1", 0)
    inbox.port = server.sockets[0].getsockname()[1]
    async with server:
        yield inbox
