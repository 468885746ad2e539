"""Writes files atomically: a file appears complete or not at all."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from previewops.errors import PreviewopsError

WriteRecord: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Writes one record."""

_PRIVATE = 0o600  # payloads may be confidential
_PUBLIC = 0o644
_DEVICES = Path("/dev")


class FileWriteFailed(PreviewopsError):
    """The file could not be written."""

    code = "export-failed"


@contextmanager
def open_jsonl_atomically(path: Path) -> Iterator[WriteRecord]:
    """Yields a function that writes a record as a line of ASCII JSON. Only the owner can read the file.

    Raises:
        FileWriteFailed: the file cannot be created, written or renamed; an existing file is unchanged.
    """
    with _open_draft(path, _PRIVATE) as file:

        def write(record: Mapping[str, Any]) -> None:
            with _write_errors(path):
                file.write(json.dumps(record, ensure_ascii=True) + "\n")

        yield write


def write_text_atomically(path: Path, text: str, *, mode: int = _PUBLIC) -> None:
    """Writes a file with ``mode``, whatever the umask is.

    Raises:
        FileWriteFailed: the file cannot be created, written or renamed; an existing file is unchanged.
    """
    with _open_draft(path, mode) as file, _write_errors(path):
        os.fchmod(file.fileno(), mode)
        file.write(text)


@contextmanager
def _open_draft(path: Path, mode: int) -> Iterator[TextIO]:
    """Yields a draft beside ``path``; when the block succeeds, syncs it to disk and renames it to ``path``."""
    _check_replaceable(path)
    draft = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
    with _write_errors(path):
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    file = os.fdopen(descriptor, "w", encoding="utf-8")
    try:
        yield file
        with _write_errors(path):
            file.flush()
            os.fsync(descriptor)
            draft.rename(path)
    finally:
        with suppress(OSError):  # a write error has been reported already
            file.close()
        draft.unlink(missing_ok=True)


def _check_replaceable(path: Path) -> None:
    """Rejects devices, pipes and sockets: root would replace /dev/stdout or /dev/null for the whole host."""
    with suppress(OSError):  # a path that does not exist, or that the draft's errors explain
        mode = path.stat().st_mode
        if path.parent == _DEVICES or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise FileWriteFailed(
                f"{path} cannot be written: found a special file, allowed a regular file or a new one"
            )


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Translates an OSError inside the block to FileWriteFailed. Other errors of the caller's block pass."""
    try:
        yield
    except OSError as error:
        raise FileWriteFailed(f"{path} cannot be written: {error.strerror or error}") from error
