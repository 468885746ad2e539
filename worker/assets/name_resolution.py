"""Addresses of a host name, from the system's resolver."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")

Resolver = Callable[[str, int], Sequence[str]]
AddressPolicy = Callable[[str], str | None]


def resolve_host(host: str, port: int) -> Sequence[str]:
    """The addresses of ``host``, from the system's resolver. Raises OSError."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


async def run_in_daemon_thread(work: Callable[[], _T]) -> _T:
    """The result of ``work``. Runs it in a daemon thread, which a cancelled caller leaves: it has no timeout."""
    done: Future[_T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as failure:
            done.set_exception(failure)

    threading.Thread(target=run, name="asset-lookup", daemon=True).start()
    return await asyncio.wrap_future(done)


def url_host(host: str) -> str:
    """``host`` as it is written in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
