"""Where log lines go: standard error or the journal, and what happens if neither takes them."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from previewops.logs import destination
from previewops.logs.destination import LogDestination
from previewops.logs.journal import PRIORITIES, JournalSocket, format_entry, is_journal

LINE = {"event": "job.failed", "level": "warning", "jobId": "a", "projectId": "p", "worker": "w", "slots": 2}


def journal_stream(path: Path) -> dict[str, str]:
    status = path.stat()
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket in the place of the journal's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "journal"))
        receiver.settimeout(60)
        monkeypatch.setattr(destination, "JournalSocket", lambda: JournalSocket(str(tmp_path / "journal")))
        yield receiver


def test_an_entry_has_a_priority_and_fields_to_filter_by() -> None:
    assert format_entry("text", LINE).decode().splitlines() == [
        "MESSAGE=text", "PRIORITY=4", "SYSLOG_IDENTIFIER=previewops",
        "EVENT=job.failed", "WORKER_ID=w", "JOB_ID=a", "PROJECT_ID=p",
    ]  # fmt: skip


def test_a_text_of_several_lines_is_one_field() -> None:
    entry = format_entry("two\nlines\nPRIORITY=0", {"level": "info"})
    assert entry.startswith(
        b"MESSAGE\n" + (20).to_bytes(8, "little") + b"two\nlines\nPRIORITY=0\nPRIORITY=6\n"
    )


@pytest.mark.parametrize(("level", "priority"), PRIORITIES.items())
def test_each_level_has_a_priority(level: str, priority: int) -> None:
    assert f"PRIORITY={priority}\n".encode() in format_entry("", {"level": level})


def test_the_journal_is_used_only_if_it_is_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        assert is_journal(journal_stream(path), stream.fileno())
        assert not is_journal(journal_stream(tmp_path), stream.fileno())
        assert not is_journal({}, stream.fileno())


def test_lines_go_to_the_journal(tmp_path: Path, journal: socket.socket) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream, closing(LogDestination(stream, journal_stream(path))) as log:
        log.write("text", LINE)
    assert journal.recv(4096) == format_entry("text", LINE)
    assert path.read_text() == ""


def test_without_the_journals_socket_the_lines_have_their_priority(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(destination, "JournalSocket", lambda: JournalSocket(str(tmp_path / "missing")))
        with closing(LogDestination(stream, journal_stream(path))) as log:
            log.write("two\nlines", LINE)
    assert path.read_text() == "<4>two\n<4>lines\n"


def test_a_line_that_cannot_be_written_is_lost_without_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        LogDestination(full, {}).write("lost", {})
    closed = (tmp_path / "log").open("w")
    closed.close()
    LogDestination(closed, {}).write("lost", {})
    LogDestination(None, {}).write("lost", {})
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        os.close(reader)
        LogDestination(pipe, {}).write("lost", {})


def test_a_stream_in_memory_is_written() -> None:
    stream = io.StringIO()
    LogDestination(stream, {}).write("text", {})
    assert stream.getvalue() == "text\n"
