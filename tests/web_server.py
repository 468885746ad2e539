"""Servers on the loopback interface with given responses, and fetchers that may connect to them."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from previewops.host_patterns import HostPattern
from previewops.worker.assets.fetch import WebFetcher
from previewops.worker.assets.ip_policy import rejection_reason

LOOPBACK = "127.0.0.1"

Responder = Callable[[socket.socket, str], None]


@dataclass
class WebServer:
    """A running server. ``requests`` has the received requests in order."""

    port: int
    requests: list[str] = field(default_factory=list)

    def url(self, path: str = "/a.png", host: str = "pictures.test") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serving(respond: Responder, tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """Runs a server inside the context; unfinished responses break off at its end."""
    listener = socket.create_server((LOOPBACK, 0))
    server = WebServer(listener.getsockname()[1])
    stopped = threading.Event()
    open_now: list[socket.socket] = []

    def handle_connection(plain: socket.socket) -> None:
        with plain, suppress(OSError), tls.wrap_socket(plain, True) if tls else plain as connection:
            request = b""
            while b"\r\n\r\n" not in request:
                chunk = connection.recv(4096)
                if not chunk:
                    return
                request += chunk
                if not request.startswith(b"GET "[: len(request)]):
                    return
            server.requests.append(request.decode("latin-1"))
            respond(connection, request.split(b" ")[1].decode())

    def accept() -> None:
        while not stopped.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                open_now.append(connection)
                threading.Thread(target=handle_connection, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stopped.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def complete_response(content: bytes, status: str = "200 OK", **headers: str) -> Responder:
    """Responds with ``content`` and its length."""
    lines = {"Content-Length": str(len(content)), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return lambda connection, _path: connection.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + content)


def redirect_to(to: str, status: str = "302 Found") -> Responder:
    """Responds with a redirect."""
    return complete_response(b"", status, Location=to)


def slow_response(head: bytes, drop: bytes, pause_s: float) -> Responder:
    """Responds with ``head``, and then with one ``drop`` at a time until the client closes."""

    def respond(connection: socket.socket, _path: str) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(pause_s)

    return respond


def loopback_is_open(address: str) -> str | None:
    """The strict policy, but for the address that the tests' servers have."""
    return None if address == LOOPBACK else rejection_reason(address)


def web_assets(server: WebServer, *, timeout_s: float = 10, **changes: object) -> WebFetcher:
    """A fetcher for which pictures.test is ``server``."""
    settings: dict[str, object] = {
        "hosts": (HostPattern("pictures.test", port=server.port),),
        "resolve": lambda _host, _port: [LOOPBACK],
        "address_policy": loopback_is_open,
        **changes,
    }
    return WebFetcher(timeout_s=timeout_s, **settings)  # type: ignore[arg-type]
