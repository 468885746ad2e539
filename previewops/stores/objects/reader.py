"""Reads bundles in an object store. Nothing in it is trusted: any writer of the bucket may have changed it."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from previewops.errors import ArtifactNotFound, BundleNotFound, BundleReplaced, BundleUnreadable
from previewops.job_errors import JobError
from previewops.stores.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    UNLISTED_FILES,
    ManifestEntry,
    parse_manifest,
)
from previewops.stores.objects.client import ObjectClient, ObjectMissing, ObjectStoreFailure
from previewops.stores.objects.layout import job_folder, pointer_path
from previewops.stores.objects.pointer import Pointer, parse_pointer
from previewops.stores.port import OpenArtifact

if TYPE_CHECKING:
    from previewops.queue.records import JobRecord

T = TypeVar("T")

MAX_READS = 4
"""Readings of the pointer, each after the bundle was replaced meanwhile."""
MAX_CACHED_MANIFESTS = 64
BUFFER_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class OpenObject:
    """A file of a bundle, as an object; see ``OpenArtifact``."""

    size: int
    sha256: str
    media_type: str
    request: Callable[[int, int], Iterator[bytes]]

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """See ``OpenArtifact.stream``. The request is sent at once.

        Raises:
            BundleReplaced: the object is gone: another bundle has replaced this one.
            BundleNotFound: the object is gone, and no other bundle has replaced this one.
        """
        return self.request(start, end)

    def close(self) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class ResolvedBundle:
    """A bundle that a pointer names: its folder and its listed files by name."""

    folder: str
    entries: dict[str, ManifestEntry]
    manifest: bytes


class BundleReader:
    """Resolves pointers and reads files of bundles. Thread-safe."""

    def __init__(self, client: Callable[[], ObjectClient], location: str) -> None:
        self._client = client
        self._location = location
        # Files below a prefix never change.
        self._manifests: OrderedDict[tuple[str, str], ResolvedBundle] = OrderedDict()
        self._lock = threading.Lock()

    def resolve(self, record: JobRecord) -> ResolvedBundle:
        """Returns the bundle of a job.

        Raises:
            BundleNotFound: there is none, or it differs from what was published.
            BundleUnreadable: the store cannot be read now.
        """
        return self._with_bundle(record, lambda bundle: bundle)

    def open(self, record: JobRecord, name: str) -> OpenArtifact:
        """See ``BundleStore.open``."""
        return self._with_bundle(record, lambda bundle: self._open_in(record, bundle, name))

    def open_file(self, record: JobRecord, name: str) -> tuple[str, OpenArtifact]:
        """Returns the path of the object and the open file; as ``open``."""
        return self._with_bundle(
            record, lambda bundle: (f"{bundle.folder}/{name}", self._open_in(record, bundle, name))
        )

    def sign(self, record: JobRecord, names: Iterable[str], seconds: int) -> dict[str, str] | None:
        """Returns addresses of files, None if the store has none. Raises as ``open``."""
        bundle, urls = self.resolve(record), {}
        for name in names:
            if name not in bundle.entries and name not in UNLISTED_FILES:
                raise ArtifactNotFound(record.job_id, name)
            with self._errors(record):
                url = self._client().sign(f"{bundle.folder}/{name}", seconds)
            if url is None:
                return None
            urls[name] = url
        return urls

    def _with_bundle(self, record: JobRecord, read: Callable[[ResolvedBundle], T]) -> T:
        """Calls ``read`` with the current bundle; again if the bundle was replaced while it was read."""
        with self._errors(record):
            for _ in range(MAX_READS):
                pointer, folder = self._read_pointer(record)
                try:
                    return read(self._read_manifest(pointer, f"{folder}/{pointer.prefix}"))
                except ObjectMissing:
                    if self._read_pointer(record)[0].prefix == pointer.prefix:
                        raise ValueError("a file is missing") from None
        raise BundleReplaced(record.job_id)

    def _read_pointer(self, record: JobRecord) -> tuple[Pointer, str]:
        try:
            folder = job_folder(record.project_id, record.job_id)
            pointer = parse_pointer(self._client().get(pointer_path(folder))[0])
        except (ObjectMissing, JobError) as error:
            origin = (record.result or {}).get("bundle", "unknown")
            raise BundleNotFound(
                f"the bundle of job {record.job_id} is not in the store {self._location}",
                hint=f"set PREVIEW_STORE to the workers' store; the bundle was published at {origin}",
            ) from error
        if pointer.removed:
            raise BundleNotFound(
                f"the bundle of job {record.job_id} was removed from the store {self._location}",
                hint="submit the payload under a new jobId to render it again",
            )
        return pointer, folder

    def _read_manifest(self, pointer: Pointer, folder: str) -> ResolvedBundle:
        key = folder, pointer.manifest
        with self._lock:
            if (known := self._manifests.get(key)) is not None:
                self._manifests.move_to_end(key)
                return known
        content = self._read_small(f"{folder}/{MANIFEST_FILE}")
        if hashlib.sha256(content).hexdigest() != pointer.manifest:
            raise ValueError(f"{MANIFEST_FILE} has another checksum than the pointer")
        bundle = ResolvedBundle(folder, parse_manifest(content), content)
        with self._lock:
            self._manifests[key] = bundle
            while len(self._manifests) > MAX_CACHED_MANIFESTS:
                self._manifests.popitem(last=False)
        return bundle

    def _open_in(self, record: JobRecord, bundle: ResolvedBundle, name: str) -> OpenArtifact:
        if name in UNLISTED_FILES:
            path = f"{bundle.folder}/{name}"
            content = bundle.manifest if name == MANIFEST_FILE else self._read_small(path)
            digest = hashlib.sha256(content).hexdigest()
            return OpenObject(
                len(content), digest, "application/json", lambda start, end: iter([content[start:end]])
            )
        entry = bundle.entries.get(name)
        if entry is None:
            raise ArtifactNotFound(record.job_id, name)

        def request(start: int, end: int) -> Iterator[bytes]:
            try:
                with self._errors(record):
                    parts = self._client().stream(f"{bundle.folder}/{name}", start, end)
            except ObjectMissing:
                self._check_current(record, bundle)
                raise BundleReplaced(record.job_id) from None
            return self._checked(record, parts, end - start)

        return OpenObject(entry.bytes, entry.sha256, entry.media_type, request)

    def _check_current(self, record: JobRecord, bundle: ResolvedBundle) -> None:
        """Raises BundleNotFound if ``bundle``, of which a file is missing, is the current one or was removed."""
        with self._errors(record):
            pointer, folder = self._read_pointer(record)
            if f"{folder}/{pointer.prefix}" == bundle.folder:
                raise ValueError("a file is missing")

    def _checked(self, record: JobRecord, parts: Iterator[bytes], expected: int) -> Iterator[bytes]:
        with self._errors(record):
            for part in parts:
                expected -= len(part)
                yield part
            if expected:
                raise ValueError("a file has another length than was published")

    def _read_small(self, path: str) -> bytes:
        content = b"".join(self._client().stream(path, 0, MAX_MANIFEST_BYTES + 1))
        if len(content) > MAX_MANIFEST_BYTES:
            raise ValueError(f"it has more than {MAX_MANIFEST_BYTES} bytes")
        return content

    @contextmanager
    def _errors(self, record: JobRecord) -> Iterator[None]:
        try:
            yield
        except ObjectStoreFailure as failure:
            raise BundleUnreadable(record.job_id, str(failure)) from failure
        except ValueError as error:
            raise BundleNotFound(
                f"the bundle of job {record.job_id} differs from what was published: {error}",
                hint="it is damaged; submit the payload under a new jobId to render it again",
            ) from error


def open_buffered(file: OpenArtifact) -> BinaryIO:
    """Returns a file object over ``file``: it can seek, and requests the parts that are read."""
    return cast(BinaryIO, io.BufferedReader(_RangeReader(file), BUFFER_BYTES))


class _RangeReader(io.RawIOBase):
    """Raw file object that requests each range that is read."""

    def __init__(self, file: OpenArtifact) -> None:
        super().__init__()
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the start of the file")
        self._position = base + offset
        return self._position

    def readall(self) -> bytes:
        content = b"".join(self._file.stream(self._position, max(self._position, self._file.size)))
        self._position += len(content)
        return content

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._file.size)
        content = b"".join(self._file.stream(self._position, max(self._position, end)))
        view[: len(content)] = content
        self._position += len(content)
        return len(content)
