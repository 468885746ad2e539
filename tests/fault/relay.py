"""A way from the test's network to a server in a namespace: ``python -m tests.fault.relay FD HOST PORT``.

The listening socket FD belongs to the network in which the test opened it, the relay's own connections to the
namespace in which it runs.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from previewops.process.parent_death import die_with_parent_argv


@contextmanager
def relay(prefix: Sequence[str], endpoint: str) -> Iterator[str]:
    """Returns an address that leads to ``endpoint`` as processes under the command ``prefix`` see it."""
    target = urlsplit(endpoint)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = (str(listener.fileno()), str(target.hostname), str(target.port))
        process = subprocess.Popen(
            die_with_parent_argv(
                [*prefix, sys.executable, "-m", "tests.fault.relay", *arguments], signal.SIGKILL
            ),
            cwd=Path(__file__).parents[2],
            pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.kill()
            process.wait()


async def main(listener: socket.socket, host: str, port: int) -> None:
    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while content := await reader.read(262_144):
                writer.write(content)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))

    async with await asyncio.start_server(accept, sock=listener) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], int(sys.argv[3])))
