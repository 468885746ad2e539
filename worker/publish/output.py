"""Where the files of a bundle go: a folder, or whatever hands out open files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from previewops.errors import PermanentJobError
from previewops.worker.assets.opener import storage_errors

MAX_FILES = 5_000
"""Files of one bundle: beyond any that the contract allows."""
MAX_CREATE_BATCH = 16
"""Files that a render process may ask for by one question."""
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_PATH = re.compile(rf"(?:{_PART}/)?{_PART}")
_MODE, _FOLDER_MODE = 0o644, 0o755  # bundles are for others to read, whatever the umask


class Output(Protocol):
    """Takes the files of one bundle, each once."""

    def create(self, path: str) -> BinaryIO:
        """A new empty file for writing and reading; ``path`` is relative, with at most one folder.

        Raises:
            TransientJobError: io-error, disk-full.
        """

    def expect(self, paths: Iterable[str]) -> None:
        """Says which files will be created, if all goes well; some outputs make them ahead of their turn."""


class FolderOutput:
    """Files below ``folder``, which is made if need be; what is there already is replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def create(self, path: str) -> BinaryIO:
        """See ``Output.create``.

        Raises:
            PermanentJobError: unsafe-output, for a path that could lead out of the folder, or one too many.
            TransientJobError: io-error, disk-full.
        """
        self._made += 1
        if _PATH.fullmatch(path) is None or self._made > MAX_FILES:
            raise PermanentJobError(
                "unsafe-output",
                f"the renderer asked for a file {path[:100]!r}, its {self._made}th",
                hint="report this: no payload should lead to it",
                found=path[:100],
                allowed=f"a plain name, perhaps in one folder; {MAX_FILES} files",
            )
        with storage_errors():
            target = self.folder / path
            for folder in (self.folder, target.parent):
                self._make(folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(target, flags, _MODE)
            os.fchmod(handle, _MODE)
            return os.fdopen(handle, "w+b")

    def expect(self, paths: Iterable[str]) -> None:
        """See ``Output.expect``: nothing is to be gained by it here."""

    @staticmethod
    def _make(folder: Path) -> None:
        # Not its parents: a DATA_DIR that has gone, an unmounted disk say, is not made anew on what is beneath.
        try:
            folder.mkdir(_FOLDER_MODE)
        except FileExistsError:
            return
        folder.chmod(_FOLDER_MODE)
