"""Where log lines go: standard error, or systemd's journal if that is standard error. Writing a line never fails."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

from previewops.logs.journal import JournalSocket, format_entry, is_journal, priority_of


class LogDestination:
    """Writes rendered lines. A line that cannot be written, because the disk is full or the reader is gone, is lost.

    Lines are written to the descriptor itself: a stream would keep what it could not write, and fail at exit.
    """

    def __init__(self, stream: TextIO | None, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        in_journal = self._descriptor is not None and is_journal(environ, self._descriptor)
        self._journal = JournalSocket() if in_journal else None

    def write(self, line: str, fields: Mapping[str, object]) -> None:
        """Writes one line. ``fields`` are those of the line, for the journal."""
        if self._journal is not None:
            if self._journal.send(format_entry(line, fields)):
                return
            # The journal reads the priority of a plain line from its beginning, see sd-daemon(3).
            line = "".join(f"<{priority_of(fields)}>{part}\n" for part in line.split("\n")).rstrip("\n")
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._write_plain(f"{line}\n")

    def close(self) -> None:
        """Closes the connection to the journal."""
        if self._journal is not None:
            self._journal.close()

    def _write_plain(self, text: str) -> None:
        if self._descriptor is not None:
            data = text.encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(self._descriptor, data) :]
        elif self._stream is not None:
            self._stream.write(text)
            self._stream.flush()


def _descriptor_of(stream: TextIO | None) -> int | None:
    """Returns the descriptor behind a stream, None for one in memory."""
    with suppress(OSError, ValueError, AttributeError):
        if stream is not None and not isinstance(stream, io.StringIO):
            stream.flush()
            return stream.fileno()
    return None


class LogWriter:
    """Logger of structlog that writes to a destination."""

    def __init__(self, destination: LogDestination) -> None:
        self._destination = destination

    def msg(self, line: str, fields: Mapping[str, object]) -> None:
        """Writes one line."""
        self._destination.write(line, fields)

    log = debug = info = warning = warn = error = critical = fatal = exception = msg


def with_fields(render: structlog.typing.Processor) -> structlog.typing.Processor:
    """Returns a last processor that passes the rendered line and its fields to a :class:`LogWriter`."""

    def process(
        logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        fields = dict(event)
        return (render(logger, method, event), fields), {}

    return process
