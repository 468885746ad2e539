"""Servers on the loopback that answer as a test wants them to, and fetchers that may go there."""

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

Answer = Callable[[socket.socket, str], None]


@dataclass
class WebServer:
    """``answer`` is given each connection and the path that it asks for. ``asked`` are the requests as they came."""

    port: int
    asked: list[str] = field(default_factory=list)

    def url(self, path: str = "/a.png", host: str = "pictures.test") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """Runs a server until the block ends; what it has begun to answer then breaks off."""
    listener = socket.create_server((LOOPBACK, 0))
    server = WebServer(listener.getsockname()[1])
    ended = threading.Event()
    open_now: list[socket.socket] = []

    def talk(plain: socket.socket) -> None:
        with plain, suppress(OSError), tls.wrap_socket(plain, True) if tls else plain as connection:
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(4096)
                if not piece:
                    return
                request += piece
                if not request.startswith(b"GET "[: len(request)]):
                    return
            server.asked.append(request.decode("latin-1"))
            answer(connection, request.split(b" ")[1].decode())

    def accept() -> None:
        while not ended.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                open_now.append(connection)
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def whole(content: bytes, status: str = "200 OK", **headers: str) -> Answer:
    """Answers with ``content``, its length announced."""
    lines = {"Content-Length": str(len(content)), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return lambda connection, _path: connection.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + content)


def moved(to: str, status: str = "302 Found") -> Answer:
    """Answers with a redirect."""
    return whole(b"", status, Location=to)


def dripping(head: bytes, drop: bytes, pause_s: float) -> Answer:
    """Answers with ``head``, and then a drop at a time for as long as anybody listens."""

    def answer(connection: socket.socket, _path: str) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(pause_s)

    return answer


def loopback_is_open(address: str) -> str | None:
    """The strict policy, but for the address that the tests' servers have."""
    return None if address == LOOPBACK else rejection_reason(address)


def web_assets(server: WebServer, *, timeout_s: float = 10, **changes: object) -> WebFetcher:
    """A fetcher for which pictures.test is ``server``."""
    given: dict[str, object] = {
        "hosts": (HostPattern("pictures.test", port=server.port),),
        "resolve": lambda _host, _port: [LOOPBACK],
        "address_policy": loopback_is_open,
        **changes,
    }
    return WebFetcher(timeout_s=timeout_s, **given)  # type: ignore[arg-type]
