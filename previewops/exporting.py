"""Records into a file, one JSON object a line: the whole file, or none."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from previewops.errors import PreviewopsError

Write: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Adds one record."""

_MODE = 0o600  # payloads may be nobody else's business


class ExportFailed(PreviewopsError):
    """The file could not be written."""

    code = "export-failed"


@contextmanager
def export_file(path: Path) -> Iterator[Write]:
    """Gives a function that writes a record as a line of ASCII JSON.

    The lines go into a file beside ``path``, which takes its name, and the place of what was there, once the
    block has ended well. It is flushed to the disk before, and readable by its owner only.

    Raises:
        ExportFailed: the file cannot be made, written or named so; nothing of it is left, what was there stays.
    """
    draft = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise _failed(path, error) from error
    file = os.fdopen(handle, "w", encoding="ascii")

    def write(record: Mapping[str, Any]) -> None:
        try:
            file.write(json.dumps(record, ensure_ascii=True) + "\n")
        except OSError as error:
            raise _failed(path, error) from error

    try:
        yield write
        _keep(file, draft, path)
    finally:
        with suppress(OSError):  # what it could not store has been told
            file.close()
        with suppress(FileNotFoundError):
            draft.unlink()


def _keep(file: TextIO, draft: Path, path: Path) -> None:
    try:
        file.flush()
        os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> ExportFailed:
    return ExportFailed(f"{path} cannot be written: {error.strerror or error}")
