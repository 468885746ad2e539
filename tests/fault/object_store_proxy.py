"""An HTTP proxy in front of an S3 server that fails, cuts and holds chosen requests. Signatures stay valid."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import urlsplit


class Fault(Enum):
    """What happens to a request."""

    ERROR_500 = auto()
    SLOW_DOWN = auto()
    EXPIRED = auto()
    NO_BUCKET = auto()
    CUT_BODY = auto()  # half of the content reaches the server
    LOSE_REPLY = auto()  # the server executes it, and the client hears nothing
    NEVER = auto()  # no answer


_RESPONSES = {
    Fault.ERROR_500: (500, "Internal Server Error", "InternalError"),
    Fault.SLOW_DOWN: (503, "Slow Down", "SlowDown"),
    Fault.EXPIRED: (400, "Bad Request", "ExpiredToken"),
    Fault.NO_BUCKET: (404, "Not Found", "NoSuchBucket"),
}


@dataclass
class Rule:
    """A fault for the next ``times`` requests whose "METHOD /path" matches ``pattern``."""

    pattern: str
    fault: Fault | None
    times: int = 1_000_000
    gate: Gate | None = None
    hits: int = 0


@dataclass
class Gate:
    """Holds a request before the server gets it."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class StoreProxy:
    """The running proxy."""

    endpoint: str
    rules: list[Rule] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    ignores_conditions: bool = False

    def fail(self, pattern: str, fault: Fault, *, times: int = 1_000_000) -> Rule:
        """Adds a fault."""
        self.rules.append(Rule(pattern, fault, times))
        return self.rules[-1]

    def hold(self, pattern: str) -> Gate:
        """Holds the next request that matches, until the gate is opened."""
        gate = Gate()
        self.rules.append(Rule(pattern, None, 1, gate))
        return gate

    def heal(self) -> None:
        """Removes all faults."""
        self.rules.clear()

    def count(self) -> Counter[str]:
        """Requests by method."""
        return Counter(request.split(" ")[0] for request in self.requests)

    def match(self, request: str) -> Rule | None:
        self.requests.append(request)
        for rule in self.rules:
            if rule.hits < rule.times and re.search(rule.pattern, request):
                rule.hits += 1
                return rule
        return None


@asynccontextmanager
async def store_proxy(upstream: str) -> AsyncIterator[StoreProxy]:
    """Runs a proxy in front of the server at ``upstream``."""
    target = urlsplit(upstream)
    assert target.hostname is not None
    assert target.port is not None
    tasks: set[asyncio.Task[None]] = set()
    proxy = StoreProxy("")

    async def open_upstream() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(target.hostname, target.port)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            # The stream server logs a cancellation, and only the end of the proxy cancels.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await _relay(proxy, reader, writer, open_upstream):
                    pass
        finally:
            await _close(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def _relay(
    proxy: StoreProxy,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    open_upstream: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]],
) -> bool:
    """Relays one request over a connection of its own. Returns whether the client's connection can be used again."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *headers = head.decode("latin-1").split("\r\n")
    length = _content_length(headers)
    body = await reader.readexactly(length)
    method, path, _ = line.split(" ")
    rule = proxy.match(f"{method} {path}")
    fault = rule.fault if rule is not None else None
    if rule is not None and rule.gate is not None:
        rule.gate.arrived.set()
        await rule.gate.opened.wait()
    if fault is Fault.NEVER:
        await asyncio.get_running_loop().create_future()
    if fault in _RESPONSES:
        status, reason, code = _RESPONSES[fault]
        content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
        content = "" if method == "HEAD" else content
        writer.write(
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\n"
            f"Content-Length: {len(content)}\r\n\r\n{content}".encode()
        )
        await writer.drain()
        return True
    up_reader, up_writer = await open_upstream()
    try:
        dropped = ("connection:", *(("if-match:", "if-none-match:") if proxy.ignores_conditions else ()))
        kept = [header for header in headers if header and not header.lower().startswith(dropped)]
        up_writer.write("\r\n".join([line, *kept, "Connection: close", "", ""]).encode("latin-1"))
        up_writer.write(body[: length // 2] if fault is Fault.CUT_BODY else body)
        await up_writer.drain()
        if fault is Fault.CUT_BODY:
            return False
        if fault is Fault.LOSE_REPLY:
            await up_reader.read()
            return False
        while chunk := await up_reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        return False
    finally:
        await _close(up_writer)


def _content_length(headers: list[str]) -> int:
    for header in headers:
        name, _, value = header.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0
