"""A server that speaks Redis' protocol and rejects every script with an error that no program expects."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while header := self.rfile.readline():
            parts = []
            for _ in range(int(header[1:])):
                length = int(self.rfile.readline()[1:])
                parts.append(self.rfile.read(length + 2)[:-2])
            replies = {b"EVALSHA": b"-ERR strange\r\n", b"PING": b"+PONG\r\n"}
            self.wfile.write(replies.get(parts[0], b"+OK\r\n"))


@contextmanager
def strange_redis() -> Iterator[str]:
    """Runs the server. Yields its address."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
