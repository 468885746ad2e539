"""Writes the files of a bundle; counts and hashes their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import storage_errors
from previewops.worker.publish.output import Output
from previewops.worker.render.encode.stills import MEDIA_TYPES

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WrittenArtifact:
    """One written file. ``path`` is relative to the bundle, with forward slashes."""

    path: str
    bytes: int
    sha256: str
    media_type: str

    def as_json(self) -> dict[str, str | int]:
        return {"path": self.path, "bytes": self.bytes, "sha256": self.sha256, "mediaType": self.media_type}


class ArtifactWriter:
    """Writes files to ``output``, at most ``max_bytes`` in total.

    Raises disk errors as ``TransientJobError``.
    """

    def __init__(self, output: Output, max_bytes: int) -> None:
        self._output = output
        self._max_bytes = max_bytes
        self._total = 0
        self.written: list[WrittenArtifact] = []

    def expect(self, paths: Iterable[str]) -> None:
        """Announces the files that a successful job writes."""
        self._output.expect(paths)

    def write(self, path: str, kind: str, content: bytes) -> WrittenArtifact:
        """Writes ``content`` to ``path``; ``kind`` names its media type.

        Raises:
            PermanentJobError: output-too-large.
            TransientJobError: io-error, disk-full.
        """
        self._reserve(len(content))
        with storage_errors(), self._output.create(path) as file:
            file.write(content)
            file.flush()
        return self._record(path, kind, len(content), hashlib.sha256(content).hexdigest())

    @contextmanager
    def stream(self, path: str, kind: str) -> Iterator[BinaryIO]:
        """Opens a file for streaming; hashes it when it is complete. Raises as ``write``.

        The first error of the file is raised, even if the encoder has replaced or dropped it.
        """
        with storage_errors(), self._output.create(path) as file:
            limited = _SizeLimitedFile(file, self._reserve)
            try:
                yield cast("BinaryIO", limited)
            finally:
                if limited.first_error is not None:
                    raise limited.first_error
            file.flush()
            file.seek(0)
            digest, size = hashlib.sha256(), 0
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        self._record(path, kind, size, digest.hexdigest())

    def _reserve(self, more: int) -> None:
        """Counts ``more`` bytes, which are about to be written: several files may grow at the same time."""
        if self._total + more > self._max_bytes:
            raise PermanentJobError(
                "output-too-large",
                f"bundle size: found more than {self._total + more} bytes, allowed {self._max_bytes}",
                hint="use fewer steps, a smaller resolution or quality, or raise PREVIEW_OUTPUT_MAX_MB",
                found=f"more than {self._total + more} bytes",
                allowed=f"at most {self._max_bytes} bytes",
            )
        self._total += more

    def _record(self, path: str, kind: str, size: int, sha256: str) -> WrittenArtifact:
        artifact = WrittenArtifact(path, size, sha256, MEDIA_TYPES[kind])
        self.written.append(artifact)
        return artifact


class _SizeLimitedFile:
    """A file that checks the limit before it grows and records its first error."""

    def __init__(self, file: BinaryIO, reserve: Callable[[int], None]) -> None:
        self._file = file
        self._reserve = reserve
        self._size = 0
        self.first_error: OSError | PermanentJobError | None = None

    def write(self, content: bytes) -> int:
        with self._recording_error():
            end = self._file.tell() + len(content)
            if end > self._size:
                self._reserve(end - self._size)
                self._size = end
            return self._file.write(content)

    def read(self, size: int = -1) -> bytes:
        with self._recording_error():
            return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        with self._recording_error():  # seeking may flush buffered data
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    @contextmanager
    def _recording_error(self) -> Iterator[None]:
        try:
            yield
        except (OSError, PermanentJobError) as failure:
            self.first_error = self.first_error or failure
            raise
