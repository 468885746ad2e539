"""The files of a bundle: written once, counted and hashed as they are written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from previewops.worker.assets import storage_errors
from previewops.worker.render.encode import MEDIA_TYPES

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file. ``path`` is relative to the bundle, with forward slashes."""

    path: str
    bytes: int
    sha256: str
    media_type: str

    def as_json(self) -> dict[str, str | int]:
        return {"path": self.path, "bytes": self.bytes, "sha256": self.sha256, "mediaType": self.media_type}


class ArtifactWriter:
    """Writes files under a folder. Trouble with the disk comes out as ``TransientJobError``."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.written: list[Artifact] = []
        with storage_errors():
            out.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, kind: str, content: bytes) -> Artifact:
        """Writes ``content`` to ``path``; ``kind`` names its media type."""
        with storage_errors():
            target = self._out / path
            for folder in reversed(PurePosixPath(path).parents[:-1]):
                (self._out / folder).mkdir(exist_ok=True)
            target.write_bytes(content)
        return self._record(path, kind, len(content), hashlib.sha256(content).hexdigest())

    @contextmanager
    def stream(self, path: str, kind: str) -> Iterator[BinaryIO]:
        """A file to be written piece by piece; hashed when it is complete."""
        with storage_errors(), (self._out / path).open("w+b") as file:
            yield file
            file.flush()
            file.seek(0)
            digest, size = hashlib.sha256(), 0
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        self._record(path, kind, size, digest.hexdigest())

    def _record(self, path: str, kind: str, size: int, sha256: str) -> Artifact:
        artifact = Artifact(path, size, sha256, MEDIA_TYPES[kind])
        self.written.append(artifact)
        return artifact
