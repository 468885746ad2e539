"""The time that a client has for a request: renewed by each MiB of its body, not after a rejection."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from previewops.api.app import build_error_app
from previewops.api.bounded_protocol import RENEWING_BODY_BYTES, BoundedProtocol
from previewops.api.client_address import ClientAddresses
from previewops.api.connection_limits import ConnectionLimits
from previewops.clock import SystemClock

HEAD = b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
PART = RENEWING_BODY_BYTES // 8
CHUNK = f"{PART:x}\r\n".encode() + bytes(PART) + b"\r\n"


class Transport(asyncio.Transport):
    """A connection that goes nowhere."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass


async def reject(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 415, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(("app", "renewed"), [(read_all, True), (reject, False)])
async def test_a_part_of_the_body_renews_the_time(app: Any, *, renewed: bool) -> None:
    protocol = BoundedProtocol(
        config=uvicorn.Config(app, log_config=None, lifespan="off", ws="none"),
        server_state=ServerState(),
        app_state={},
        limits=ConnectionLimits(10, 10, lambda _address: False),
        client_timeout_s=60,
        build_error_app=lambda error: build_error_app(
            error, clients=ClientAddresses(()), clock=SystemClock(), new_id=lambda: "id"
        ),
    )
    protocol.connection_made(Transport())
    protocol.data_received(HEAD)
    for _ in range(5):
        await asyncio.sleep(0)  # the application runs
    timers = SimpleNamespace(first=protocol._request_timer)
    for _ in range(8):
        assert protocol._request_timer is timers.first
        protocol.data_received(CHUNK)
    assert timers.first is not None
    assert timers.first.cancelled() is renewed
    assert protocol._request_timer is not None
    protocol.connection_lost(None)
