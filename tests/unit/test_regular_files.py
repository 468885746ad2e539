"""Files named by settings and arguments: regular, limited in size, opened without blocking."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from previewops.client.payload_source import load_payload
from previewops.errors import UsageError
from previewops.recording.errors import NotARecording
from previewops.recording.reader import Recording
from previewops.regular_files import read_regular
from previewops.secret_files import read_secret
from previewops.settings import Settings
from previewops.supervisor.environment import read_environment_file


def test_a_regular_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="found 5 bytes, allowed 4"):
        read_regular(path, 4)


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["pipe", "folder", "zero"])
async def test_special_files_are_rejected_at_once_everywhere(tmp_path: Path, kind: str) -> None:
    path = {"pipe": pipe, "folder": lambda folder: folder, "zero": lambda _: Path("/dev/zero")}[kind](
        tmp_path
    )
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(path, 10)
    with pytest.raises(OSError, match="not a regular file"):
        read_secret(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_environment_file(path)
    with pytest.raises(UsageError, match="cannot read"):
        await load_payload(path, Settings())
    with pytest.raises(NotARecording):
        Recording.open(path)
