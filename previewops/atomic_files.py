"""Files that appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from previewops.errors import PreviewopsError

WriteRecord: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Adds one record."""

_PRIVATE = 0o600  # payloads may be nobody else's business
_PUBLIC = 0o644


class FileWriteFailed(PreviewopsError):
    """The file could not be written."""

    code = "export-failed"


@contextmanager
def open_jsonl_atomically(path: Path) -> Iterator[WriteRecord]:
    """Gives a function that writes a record as a line of ASCII JSON into a file that only its owner can read.

    Raises:
        ExportFailed: the file cannot be made, written or named so; nothing of it is left, what was there stays.
    """
    with _drafted(path, _PRIVATE) as file:

        def write(record: Mapping[str, Any]) -> None:
            _write(file, path, json.dumps(record, ensure_ascii=True) + "\n")

        yield write


def write_text_atomically(path: Path, text: str, *, mode: int = _PUBLIC) -> None:
    """Writes a file with ``mode``, whatever the umask is.

    Raises:
        ExportFailed: the file cannot be made, written or named so; nothing of it is left, what was there stays.
    """
    with _drafted(path, mode) as file:
        os.fchmod(file.fileno(), mode)
        _write(file, path, text)


@contextmanager
def _drafted(path: Path, mode: int) -> Iterator[TextIO]:
    """A file beside ``path``, which takes its name, and the place of what was there, once the block has ended well.

    It is flushed to the disk before.
    """
    draft = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        raise _failed(path, error) from error
    file = os.fdopen(handle, "w", encoding="utf-8")
    try:
        yield file
        _keep(file, draft, path)
    finally:
        with suppress(OSError):  # what it could not store has been told
            file.close()
        with suppress(FileNotFoundError):
            draft.unlink()


def _write(file: TextIO, path: Path, text: str) -> None:
    try:
        file.write(text)
    except OSError as error:
        raise _failed(path, error) from error


def _keep(file: TextIO, draft: Path, path: Path) -> None:
    try:
        file.flush()
        os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> FileWriteFailed:
    return FileWriteFailed(f"{path} cannot be written: {error.strerror or error}")
