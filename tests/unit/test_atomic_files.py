"""Atomic files: complete or absent."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from previewops.atomic_files import FileWriteFailed, open_jsonl_atomically


def test_records_are_ascii_lines_and_file_is_private(tmp_path: Path) -> None:
    target = tmp_path / "dead.jsonl"
    with open_jsonl_atomically(target) as write:
        write({"jobId": "один", "n": 1})
        write({"jobId": "two\nlines", "n": 2})
        assert not target.exists()  # not before all records are written
    lines = target.read_bytes().decode("ascii").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"jobId": "один", "n": 1},
        {"jobId": "two\nlines", "n": 2},
    ]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["dead.jsonl"]


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "dead.jsonl"
    target.write_text("before\n")

    def interrupted() -> None:
        with open_jsonl_atomically(target) as write:
            write({"n": 1})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "before\n"
    assert [path.name for path in tmp_path.iterdir()] == ["dead.jsonl"]


@pytest.mark.parametrize("kind", ["pipe", "link", "device"])
def test_a_special_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "dead.jsonl"
    os.mkfifo(tmp_path / "pipe")
    if kind == "pipe":
        target = tmp_path / "pipe"
    elif kind == "link":
        target.symlink_to(tmp_path / "pipe")
    else:
        os.mknod(target, stat.S_IFCHR | 0o600, os.makedev(1, 3)) if os.geteuid() == 0 else pytest.skip()
    before = target.lstat()
    with pytest.raises(FileWriteFailed, match="found a special file, allowed a regular file or a new one"):
        open_jsonl_atomically(target).__enter__()
    assert os.path.samestat(target.lstat(), before)


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "dead.jsonl"
    with pytest.raises(FileWriteFailed, match=r"dead\.jsonl cannot be written: No such file or directory"):
        open_jsonl_atomically(target).__enter__()


def test_failed_rename_leaves_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "dead.jsonl"
    target.mkdir()

    def exported() -> None:
        with open_jsonl_atomically(target) as write:
            write({"n": 1})

    with pytest.raises(FileWriteFailed, match=r"dead\.jsonl cannot be written: Is a directory"):
        exported()
    assert [path.name for path in tmp_path.iterdir()] == ["dead.jsonl"]
