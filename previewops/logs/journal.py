"""systemd's journal as the destination of log lines, by its native protocol.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL: one datagram per line, with a priority and fields that ``journalctl``
filters by.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

JOURNAL_SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "previewops"
PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Priority of syslog(3) by level."""
DEFAULT_PRIORITY = 6
JOURNAL_FIELDS = {
    "event": "EVENT",
    "action": "ACTION",
    "worker": "WORKER_ID",
    "jobId": "JOB_ID",
    "projectId": "PROJECT_ID",
    "requestId": "REQUEST_ID",
    "httpId": "HTTP_ID",
}
"""Names in the journal of the fields that are worth a filter. The message has all fields."""


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether ``descriptor`` is a stream of the journal: JOURNAL_STREAM names its device and inode."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def priority_of(fields: Mapping[str, object]) -> int:
    """Returns the priority of a line by its level."""
    return PRIORITIES.get(str(fields.get("level")), DEFAULT_PRIORITY)


def format_entry(message: str, fields: Mapping[str, object]) -> bytes:
    """Returns the datagram of one line."""
    entry = {"MESSAGE": message, "PRIORITY": str(priority_of(fields)), "SYSLOG_IDENTIFIER": IDENTIFIER}
    entry |= {
        name: str(fields[field]) for field, name in JOURNAL_FIELDS.items() if fields.get(field) is not None
    }
    return b"".join(_format_field(name, value) for name, value in entry.items())


def _format_field(name: str, value: str) -> bytes:
    content = value.encode("utf-8", "replace")
    if b"\n" not in content:
        return b"%s=%s\n" % (name.encode(), content)
    return b"%s\n%s%s\n" % (name.encode(), len(content).to_bytes(8, "little"), content)


class JournalSocket:
    """Connection to the journal. Never blocks."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def send(self, entry: bytes) -> bool:
        """Sends one entry. Returns whether the journal took it: it may be restarting, or flooded."""
        with suppress(OSError):
            self._socket.sendto(entry, self._path)
            return True
        return False

    def close(self) -> None:
        self._socket.close()
