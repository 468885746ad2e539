"""Connections are accepted at once while the loop is busy."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvloop

from previewops.api import accept_loop
from previewops.api.accept_loop import AcceptLoop

CLIENTS = 40


class Full(socket.socket):
    """Socket whose accept() fails ``rejections`` times with EMFILE."""

    rejections = 1

    def accept(self) -> tuple[socket.socket, object]:
        if self.rejections:
            self.rejections -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_all_pending_connections_are_accepted_in_one_wakeup(clients: ExitStack) -> None:
    rounds: list[int] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        bound = clients.enter_context(socket.create_server(("127.0.0.1", 0), backlog=CLIENTS))
        for _ in range(CLIENTS):
            clients.enter_context(socket.create_connection(bound.getsockname()))
        number = 0
        all_there = asyncio.Event()

        def tick() -> None:
            nonlocal number
            number += 1
            if not all_there.is_set():
                loop.call_soon(tick)

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                rounds.append(number)
                transport.close()
                if len(rounds) == CLIENTS:
                    all_there.set()

        acceptor = AcceptLoop(loop, [bound], Protocol)
        tick()
        acceptor.start()
        await all_there.wait()
        acceptor.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    assert max(rounds) - min(rounds) < CLIENTS // 4


async def test_accepting_pauses_when_descriptors_run_out(
    clients: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept_loop, "PAUSE_S", 0.001)
    bound = clients.enter_context(Full(socket.AF_INET))
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    clients.enter_context(socket.create_connection(bound.getsockname()))
    taken = asyncio.Event()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()
            taken.set()

    acceptor = AcceptLoop(asyncio.get_running_loop(), [bound], Protocol)
    acceptor.start()
    await taken.wait()
    acceptor.stop()
    assert bound.rejections == 0
