"""The port of bundle stores: what worker, REST API, client, screen and command line need of one.

Every call blocks, on a disk or a network: do not call it in an event loop.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from previewops.queue.records import JobRecord

StepObserver = Callable[[str], None]
"""Is called after each step of a publication with its name."""

_STORE_ID = re.compile(rb"([0-9a-f]{32})\n?")


def parse_store_id(content: bytes) -> str | None:
    """Returns the id of a store from the file or object that holds it; None if it is damaged."""
    match = _STORE_ID.fullmatch(content)
    return match[1].decode() if match else None


class PublishResult(StrEnum):
    """The result of a publication."""

    FIRST = "first"  # there was no bundle before
    REPLACED = "replaced"  # the previous bundle was removed
    UNCHANGED = "kept"  # the existing bundle has the same bytes and stays, with new times
    ALREADY_PUBLISHED = "already"  # this token has published before: the reply was lost


@dataclass(frozen=True, slots=True)
class Publication:
    """A published bundle: its path or address, the token, and how it was published."""

    location: str
    token: int
    result: PublishResult


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A file of a bundle that can be opened. ``size`` in bytes; ``identity`` differs if the content differs.

    ``path`` is None if the file is not on a file system of this machine.
    """

    name: str
    size: int
    identity: Hashable
    open: Callable[[], BinaryIO]
    path: Path | None = None

    @classmethod
    def at(cls, path: Path, name: str | None = None) -> ArtifactFile:
        """The file at ``path``. Raises OSError."""
        status = path.stat()
        identity = (str(path), status.st_mtime_ns, status.st_ino)
        return cls(name or path.name, status.st_size, identity, lambda: path.open("rb"), path)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a bundle: its name within it ("frames/001.webp") and its metadata.

    ``bytes`` and ``sha256`` (hexadecimal) describe its content when it was rendered. Its methods block.
    """

    name: str
    bytes: int
    sha256: str
    media_type: str
    record: JobRecord = field(repr=False, compare=False)
    store: BundleStore = field(repr=False, compare=False)

    @property
    def file(self) -> Path:
        """Absolute path of the file.

        Raises:
            ArtifactNotLocal: the bundle is in an object store; use ``open``, ``read`` or ``url``.
        """
        return self.store.local_path(self.record) / self.name

    def open(self) -> BinaryIO:
        """Opens the file for reading; it can seek. The caller closes it.

        Raises:
            ArtifactNotFound, BundleNotFound: the file or its bundle has been removed.
            BundleUnreadable: the store cannot be read now.
        """
        return self.store.file(self.record, self.name).open()

    def read(self) -> builtins.bytes:
        """Returns the content. Raises as ``open``."""
        with self.open() as file:
            return file.read()

    def url(self, *, seconds: int = 3600) -> str:
        """Returns an address from which anybody can download the file for ``seconds``, 1 to 604800.

        Raises:
            LinksUnsupported: the store cannot make such addresses; a folder cannot.
            ArtifactNotFound, BundleNotFound, BundleUnreadable: as ``open``.
        """
        return self.store.signed_urls(self.record, [self.name], seconds=seconds)[self.name]


class OpenArtifact(Protocol):
    """An open file of a bundle. The caller closes it.

    ``size`` in bytes and ``sha256`` (hexadecimal) come from the manifest; the size is checked against the open file.
    For the manifest itself and ``preview.json``, which it does not list, they are computed from the content.
    """

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def sha256(self) -> str:
        """Digest of the content, hexadecimal."""

    @property
    def media_type(self) -> str:
        """Media type, as the manifest says."""

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Requests the bytes from ``start`` to before ``end``, and returns them in parts.

        Raises:
            BundleUnreadable: the store cannot be read now. The iterator may raise it too.
        """

    def close(self) -> None:
        """Closes the file."""


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A bundle in a listing: ids, path or address, size in bytes, time of publication (s since the epoch).

    ``version`` identifies this publication to ``BundleStore.remove``.
    """

    project_id: str
    job_id: str
    location: str
    size_bytes: int
    last_used_s: float
    version: str


@dataclass(frozen=True, slots=True)
class StoreVerdict:
    """Address of the store, and why it cannot be used; "" if it can."""

    location: str
    problem: str = ""


class StoredLeftovers(Protocol):
    """Files that belong to no bundle, by the path of their attempt, with sizes in bytes."""

    @property
    def sizes(self) -> dict[str, int]:
        """Size in bytes by path."""

    def remove(self) -> int:
        """Removes them and returns the number of attempts. Those can no longer publish.

        Raises:
            StoreUnavailable: the store cannot be used now.
        """


class BundleStore(Protocol):
    """Where bundles lie."""

    @property
    def location(self) -> str:
        """Path or address of all bundles, for operators. Contains no secret."""

    @property
    def remote(self) -> bool:
        """Whether a publication waits for a network, so that a worker renders the next job meanwhile."""

    def identify(self, *, create: bool) -> str | None:
        """Returns the id of the store, the same by whatever address it is reached; None if it has none.

        With ``create``, a store that has none is given one.

        Raises:
            StoreRejected: as ``connect``.
            StoreUnavailable: it cannot be reached now.
        """

    def connect(self) -> None:
        """Checks that this program can use the store; sends no request.

        Raises:
            StoreRejected: a module is missing, or the settings are wrong.
        """

    def probe(self) -> None:
        """Checks that the store keeps the promises that publications need.

        Raises:
            StoreRejected: it does not, or its settings are wrong.
            StoreUnavailable: it cannot be reached now.
        """

    def publish(
        self,
        staging: Path,
        project_id: str,
        job_id: str,
        *,
        token: int,
        on_step: StepObserver | None = None,
    ) -> Publication:
        """Makes the files below ``staging`` the bundle of the job; removes ``staging``, also when it raises.

        After its return the bundle is durable. A repetition with the same token is harmless.

        Raises:
            StaleToken: a later attempt has published.
            TransientJobError: the store cannot be used now; readers see the previous bundle, or none.
        """

    def manifest(self, record: JobRecord) -> tuple[Artifact, ...]:
        """Returns the files of a job's bundle as its ``container.json`` lists them.

        Raises:
            BundleNotFound: the store has no such bundle, or it differs from what was published.
            BundleUnreadable: it cannot be read now.
        """

    def open(self, record: JobRecord, name: str) -> OpenArtifact:
        """Opens a file of a job's bundle: one that the manifest lists, the manifest, or preview.json.

        Raises:
            ArtifactNotFound: the manifest lists no such file.
            BundleNotFound, BundleUnreadable: as ``manifest``.
        """

    def file(self, record: JobRecord, name: str) -> ArtifactFile:
        """Finds a file of a job's bundle.

        Raises:
            ArtifactNotFound: the bundle has no such file.
            BundleNotFound, BundleUnreadable: as ``manifest``.
        """

    def local_path(self, record: JobRecord) -> Path:
        """Returns the absolute path of a job's bundle.

        Raises:
            ArtifactNotLocal: the store is not on a file system.
        """

    def signed_urls(self, record: JobRecord, names: Iterable[str], *, seconds: int) -> dict[str, str]:
        """Returns addresses from which anybody can download the named files for ``seconds``.

        Raises:
            LinksUnsupported: the store cannot make such addresses.
            ArtifactNotFound, BundleNotFound, BundleUnreadable: as ``open``.
        """

    def list_bundles(
        self, project_id: str | None = None, *, before_s: float | None = None
    ) -> Iterator[StoredBundle]:
        """Yields the published bundles of a project, or of all; only those from before ``before_s`` if given.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """

    def remove(self, bundle: StoredBundle) -> bool:
        """Removes a bundle, unless it was or is being published again. Returns whether it was removed.

        No late attempt can publish it again.

        Raises:
            BundleUnreadable: it cannot be removed now.
        """

    def read_manifest(self, project_id: str, job_id: str) -> bytes | None:
        """Returns the ``container.json`` of a published bundle; None if there is none.

        Raises:
            BundleUnreadable: it cannot be read now.
        """

    def is_known(self, project_id: str, job_id: str) -> bool:
        """Returns whether an attempt of the job has published, or has begun to.

        Raises:
            BundleUnreadable: the store cannot be read now.
        """

    def erase(self, project_id: str, job_id: str, *, fence: int) -> bool:
        """Deletes every version of a job's bundle, and files of its attempts. Returns whether there was a bundle.

        Attempts with a token up to ``fence`` can no longer publish.

        Raises:
            BundleUnreadable: it cannot be deleted now. A repetition is harmless.
        """

    def sweep(self, now_s: float) -> int:
        """Removes what publications of this process have replaced, after a grace. Returns the number of bundles.

        Raises:
            StoreUnavailable: the store cannot be used now.
        """

    def leftovers(self, *, before_s: float) -> StoredLeftovers:
        """Finds files of attempts that belong to no bundle, last written before ``before_s``. Lists the whole store.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
