"""A queue with server and workers, and real terminals that show the screen."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fault.cluster import Cluster
from tests.redis_server import RedisProcess
from tests.terminal import Terminal

COLUMNS, ROWS = 120, 40


@dataclass
class TerminalSession:
    """Setup of an end-to-end test of the screen: ``cluster`` starts without workers."""

    cluster: Cluster
    server: RedisProcess
    folder: Path
    terminals: list[Terminal] = field(default_factory=list)

    def open_screen(self, *options: str, columns: int = COLUMNS, rows: int = ROWS) -> Terminal:
        """Opens ``previewops tui`` in a new terminal."""
        environ = {
            "REDIS_URL": self.server.url,
            "DATA_DIR": str(self.cluster.settings.data_dir),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "PREVIEW_ENV": "staging",
            "PREVIEW_QUEUE_MAX": str(self.cluster.settings.queue_max),
            "PREVIEW_HEALTH_CONFINEMENT": "limits",  # the cluster's render processes read the test's files
        }
        folder = self.folder / f"terminal-{len(self.terminals)}"
        folder.mkdir()
        command = [sys.executable, "-m", "previewops", "tui", "--refresh", "0.25", *options]
        self.terminals.append(Terminal(folder, command, environ, columns=columns, rows=rows))
        return self.terminals[-1]


@asynccontextmanager
async def open_session(
    redis_process: Callable[..., RedisProcess], folder: Path, *, persistent: bool = True
) -> AsyncIterator[TerminalSession]:
    """A setup that is closed at the end in any case. ``persistent``: the server writes its data to a file."""
    server = redis_process(persistent=persistent)
    async with Cluster(server.url, folder, worker_concurrency=2) as cluster:
        session = TerminalSession(cluster, server, folder)
        try:
            yield session
        finally:
            for terminal in session.terminals:
                terminal.drop()
