"""Output of a bundle's files: a folder, or anything that returns open files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import storage_errors

MAX_FILES = 5_000
"""Files of one bundle: more than the contract allows."""
MAX_CREATE_BATCH = 32
"""Files that a render process may request at once."""
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_PATH = re.compile(rf"(?:{_PART}/)?{_PART}")
_MODE, _FOLDER_MODE = 0o644, 0o755  # bundles are readable for other users, whatever the umask


class Output(Protocol):
    """Creates the files of one bundle, each once."""

    def create(self, path: str) -> BinaryIO:
        """Creates an empty file for writing and reading; ``path`` is relative, with at most one folder.

        Raises:
            TransientJobError: io-error, disk-full.
        """

    def expect(self, paths: Iterable[str]) -> None:
        """Announces files that will be created unless the job fails; an output may create them in advance."""


class FolderOutput:
    """Files below ``folder``, which it creates. Replaces existing files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._created = 0
        self._folders: set[Path] = set()

    def create(self, path: str) -> BinaryIO:
        """See ``Output.create``.

        Raises:
            PermanentJobError: unsafe-output, a path that could leave the folder, or too many files.
            TransientJobError: io-error, disk-full.
        """
        return os.fdopen(self.create_descriptor(path), "w+b")

    def create_descriptor(self, path: str) -> int:
        """As ``create``, but returns a descriptor: a Python file costs five system calls, which a worker saves."""
        self._created += 1
        if _PATH.fullmatch(path) is None or self._created > MAX_FILES:
            raise PermanentJobError(
                "unsafe-output",
                f"output file: found {path[:100]!r}, the {self._created}th",
                hint="report this: a payload cannot cause it",
                found=path[:100],
                allowed=f"a plain name in at most one folder; {MAX_FILES} files",
            )
        with storage_errors():
            target = self.folder / path
            for folder in (self.folder, target.parent):
                if folder not in self._folders:
                    self._make(folder)
                    self._folders.add(folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(target, flags, _MODE)
            os.fchmod(handle, _MODE)
            return handle

    def expect(self, paths: Iterable[str]) -> None:
        """See ``Output.expect``. Does nothing: creating files in advance saves no time here."""

    @staticmethod
    def _make(folder: Path) -> None:
        # Without parents: a missing DATA_DIR, on an unmounted disk say, must not be created on the disk beneath.
        try:
            folder.mkdir(_FOLDER_MODE)
        except FileExistsError:
            return
        folder.chmod(_FOLDER_MODE)
