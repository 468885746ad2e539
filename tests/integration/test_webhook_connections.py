"""Connections of webhooks: kept per receiver, at checked addresses, replaced when they are closed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from previewops.host_patterns import HostPattern
from previewops.worker.webhooks import receivers
from previewops.worker.webhooks.delivery import Delivery, DeliveryFailed, DeliveryRejected
from previewops.worker.webhooks.http_connection import MAX_RESPONSE_BYTES
from tests.certificates import certificate, needs_openssl
from tests.webhook_receiver import SECRET

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Reply = Callable[[int], bytes | None]
"""The response to the n-th request, from 1; None closes the connection without one."""


class Server:
    """A receiver that keeps connections open. ``hosts`` are the Host headers of each connection's requests."""

    def __init__(self, reply: Reply) -> None:
        self.hosts: list[list[str]] = []
        self.requests = 0
        self.port = 0
        self.handlers: set[asyncio.Task[None]] = set()
        self._reply = reply

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.add(asyncio.ensure_future(self.handle(reader, writer)))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hosts: list[str] = []
        self.hosts.append(hosts)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                await reader.readexactly(int(headers["content-length"]))
                hosts.append(headers["host"].partition(":")[0])
                self.requests += 1
                reply = self._reply(self.requests)
                if reply is None:
                    break
                writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(
    reply: Reply = lambda _number: OK, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    receiver = Server(reply)
    server = await asyncio.start_server(receiver.accept, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver
        async with asyncio.timeout(60):
            await asyncio.gather(*receiver.handlers)


def any_address(_ip: str) -> str | None:
    return None


async def test_messages_to_one_receiver_share_a_connection() -> None:
    async with serving() as server:
        with closing(Delivery(SECRET, f"http://127.0.0.1:{server.port}/hook")) as delivery:
            for _ in range(3):
                await delivery.post("msg", "", "{}")
            await asyncio.gather(*(delivery.post("msg", "", "{}") for _ in range(4)))
    assert server.requests == 7
    assert len(server.hosts) <= 4


async def test_two_names_at_one_address_share_no_connection() -> None:
    async with serving() as server:
        hosts = (HostPattern("a.example", port=server.port), HostPattern("b.example", port=server.port))
        delivery = Delivery(
            SECRET, None, hosts, resolve=lambda _host, _port: ["127.0.0.1"], address_policy=any_address
        )
        with closing(delivery):
            for name in ("a", "b", "a"):
                await delivery.post("msg", f"http://{name}.example:{server.port}/", "{}")
    assert server.hosts == [["a.example", "a.example"], ["b.example"]]


async def test_a_name_is_resolved_once_for_some_seconds_and_its_addresses_are_checked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolved: list[str] = []
    addresses = ["127.0.0.1"]

    def resolve(host: str, _port: int) -> list[str]:
        resolved.append(host)
        return list(addresses)

    def policy(ip: str) -> str | None:
        return None if ip.startswith("127.") else "private"

    async with serving() as server:
        url = f"http://a.example:{server.port}/"
        hosts = (HostPattern("a.example", port=server.port),)
        with closing(Delivery(SECRET, None, hosts, resolve=resolve, address_policy=policy)) as delivery:
            await asyncio.gather(*(delivery.post("msg", url, "{}") for _ in range(3)))
            await delivery.post("msg", url, "{}")
            assert resolved == ["a.example"]
            before = len(server.hosts)
            monkeypatch.setattr(receivers, "RESOLVED_S", 0.0)
            await delivery.post("msg", url, "{}")
            assert len(server.hosts) == before, "the connection is at an address of the name"
            addresses[:] = ["127.0.0.1", "10.0.0.1"]
            with pytest.raises(DeliveryRejected, match=r"resolves to 10\.0\.0\.1"):
                await delivery.post("msg", url, "{}")
            addresses[:] = ["127.0.0.2"]
            with pytest.raises(DeliveryFailed, match="cannot be reached"):
                await delivery.post("msg", url, "{}")
    assert server.requests == 5


async def test_a_connection_that_the_receiver_closed_is_replaced() -> None:
    async with serving(lambda number: None if number == 2 else OK) as server:
        with closing(Delivery(SECRET, f"http://127.0.0.1:{server.port}/")) as delivery:
            await delivery.post("msg", "", "{}")
            await delivery.post("msg", "", "{}")
    assert [len(hosts) for hosts in server.hosts] == [2, 1]


async def test_connections_are_closed_when_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "IDLE_S", 0.01)
    async with serving() as server:
        delivery = Delivery(SECRET, f"http://127.0.0.1:{server.port}/")
        await delivery.post("msg", "", "{}")
        async with asyncio.timeout(60):
            await asyncio.gather(*server.handlers)


async def test_a_name_that_stops_resolving_before_a_second_try_is_a_failed_delivery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receivers, "RESOLVED_S", 0.0)
    second, ended = asyncio.Event(), asyncio.Event()
    resolvable = True

    def resolve(_host: str, _port: int) -> list[str]:
        if not resolvable:
            raise OSError("no such name")
        return ["127.0.0.1"]

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            for wait in (False, True):
                await reader.readuntil(b"{}")
                if wait:
                    second.set()
                    await ended.wait()
                else:
                    writer.write(OK)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with closing(Delivery(SECRET, f"http://a.example:{port}/", resolve=resolve)) as delivery:
            await delivery.post("msg", "", "{}")
            waiting = asyncio.create_task(delivery.post("msg", "", "{}"))
            await second.wait()
            resolvable = False
            with pytest.raises(DeliveryFailed, match="cannot be resolved"):
                await delivery.post("msg", "", "{}")
            ended.set()
            with pytest.raises(DeliveryFailed, match="cannot be resolved"):
                await waiting


async def test_kept_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "MAX_KEPT", 2)
    async with serving(lambda _number: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") as server:
        with closing(Delivery(SECRET, f"http://127.0.0.1:{server.port}/")) as delivery:
            for _ in range(5):
                await delivery.post("msg", "", "{}")
            async with asyncio.timeout(60):
                done: set[asyncio.Task[None]] = set()
                while len(done) < 3:
                    pending = server.handlers - done
                    done |= (await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED))[0]
            assert len(done) == 3


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_RESPONSE_BYTES, "exceeds|is not HTTP"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "status 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n", "status 302"),
    ],
    ids=["ssh", "large-head", "error", "redirect"],
)
async def test_responses_that_do_not_accept(reply: bytes, error: str) -> None:
    async with serving(lambda _number: reply) as server:
        delivery = Delivery(SECRET, f"http://127.0.0.1:{server.port}/")
        with closing(delivery), pytest.raises(DeliveryFailed, match=error):
            await delivery.post("msg", "", "{}")


@pytest.mark.parametrize(
    "reply",
    [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000,
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["plain", "informational", "until-end", "chunked", "closing", "large-body", "two-at-once"],
)
async def test_responses_that_accept(reply: bytes) -> None:
    async with serving(lambda _number: reply) as server:
        with closing(Delivery(SECRET, f"http://127.0.0.1:{server.port}/")) as delivery:
            await delivery.post("msg", "", "{}")
            await delivery.post("msg", "", "{}")
    assert server.requests == 2


@pytest.mark.parametrize("path", ["/a b", "/é", "/\x7f"], ids=["blank", "letter", "control"])
async def test_an_address_that_cannot_be_sent_is_rejected(path: str) -> None:
    with closing(Delivery(SECRET, f"http://127.0.0.1:1{path}")) as delivery, pytest.raises(DeliveryRejected):
        await delivery.post("msg", "", "{}")


@needs_openssl
@pytest.mark.parametrize("trusted", [True, False])
async def test_the_certificate_must_have_the_receivers_name(tmp_path: Path, trusted: bool) -> None:
    made, ours = certificate(tmp_path, "a.example" if trusted else "other.example")
    async with serving(tls=ours) as server:
        hosts = (HostPattern("a.example", port=server.port),)
        delivery = Delivery(
            SECRET,
            None,
            hosts,
            resolve=lambda _host, _port: ["127.0.0.1"],
            address_policy=any_address,
            make_ssl_context=lambda: ssl.create_default_context(cafile=made),
        )
        url = f"https://a.example:{server.port}/"
        with closing(delivery):
            if trusted:
                await delivery.post("msg", url, "{}")
                await delivery.post("msg", url, "{}")
            else:
                with pytest.raises(DeliveryFailed, match="certificate"):
                    await delivery.post("msg", url, "{}")
    assert server.hosts == ([["a.example", "a.example"]] if trusted else [])
