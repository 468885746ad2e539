"""What a render process prints: read from a pipe, and logged as events of the worker, within a limit.

A library may print to stderr, and a process that was taken over may print anything: a line that looks like one of the
worker's, or escape sequences for a terminal.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from contextlib import suppress

import structlog

log = structlog.get_logger()

MAX_OUTPUT_BYTES = 64 * 1024
"""Bytes of one process that are logged. Then the pipe is closed."""
_CHUNK_BYTES = 4_096
_EVENT_BYTES = 512  # that an event counts at least: a byte at a time would fill the log with events


class ChildOutput:
    """The reading end of one process's stdout and stderr. ``writer`` is the other end, for the process.

    ``context`` has the log fields of the job that the process is running; at first it is the one of the caller.
    """

    def __init__(self, context: contextvars.Context) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        self._remaining = MAX_OUTPUT_BYTES
        self._open = True
        self.pid = 0
        self.context = context
        self._loop.add_reader(self._reader, self.read)

    def close_writer(self) -> None:
        """Closes the end of the process, which has received its own."""
        os.close(self.writer)

    def read(self) -> None:
        """Logs what has been printed since the last call. Does not wait."""
        while self._open:
            try:
                printed = os.read(self._reader, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not printed:
                self._close()
                return
            self.context.run(self._log, printed)

    def _log(self, printed: bytes) -> None:
        log.warning("render.printed", pid=self.pid, text=printed.decode("utf-8", "replace"))
        self._remaining -= max(len(printed), _EVENT_BYTES)
        if self._remaining <= 0:
            log.warning("render.output-closed", pid=self.pid, allowed=MAX_OUTPUT_BYTES)
            self._close()

    def close(self) -> None:
        """Logs what is left, and closes the pipe."""
        self.read()
        self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._reader)
            with suppress(OSError):
                os.close(self._reader)
