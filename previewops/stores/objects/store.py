"""The bundle store in a bucket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from previewops.bucket_addresses import BucketAddress
from previewops.errors import (
    ArtifactNotLocal,
    BundleUnreadable,
    LinksUnsupported,
    StoreRejected,
    StoreUnavailable,
)
from previewops.stores.manifest import MANIFEST_FILE
from previewops.stores.objects.client import (
    ConditionFailed,
    FailureReason,
    ObjectClient,
    ObjectMissing,
    ObjectStoreFailure,
    connect,
)
from previewops.stores.objects.identity import read_store_id
from previewops.stores.objects.layout import PREVIEWS, job_error, job_folder
from previewops.stores.objects.leftovers import Leftovers
from previewops.stores.objects.probe import probe
from previewops.stores.objects.publisher import UPLOADS, Publisher, ReplacedPrefixes
from previewops.stores.objects.reader import BundleReader, open_buffered
from previewops.stores.port import (
    Artifact,
    ArtifactFile,
    OpenArtifact,
    Publication,
    StepObserver,
    StoredBundle,
)

if TYPE_CHECKING:
    from previewops.queue.records import JobRecord

GRACE_S = 900.0
"""Time in seconds that readers have to finish with the files of a bundle that was replaced."""


class ObjectStore:
    """Bundles in the bucket at ``address``; see ``BundleStore``. Thread-safe. The first call connects.

    ``grace_s`` is at least the time that download links are valid.
    """

    def __init__(
        self,
        address: BucketAddress,
        *,
        grace_s: float = GRACE_S,
        make_client: Callable[[BucketAddress], ObjectClient] = connect,
        executor: Executor | None = None,
    ) -> None:
        self._address = address
        self._make_client = make_client
        self._lock = threading.Lock()
        self._connected: ObjectClient | None = None
        self._probed = False
        self._executor = executor
        self._replaced = ReplacedPrefixes(grace_s)
        self._reader = BundleReader(self._client, self.location)

    @property
    def location(self) -> str:
        """Address of the bucket and the prefix."""
        return str(self._address)

    def _client(self) -> ObjectClient:
        with self._lock:
            if self._connected is None:
                self._connected = self._make_client(self._address)
            return self._connected

    def _publisher(self) -> Publisher:
        client = self._client()
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(UPLOADS, thread_name_prefix="store-upload")
            return Publisher(client, self.location, self._executor, self._replaced)

    @property
    def remote(self) -> bool:
        """True."""
        return True

    def identify(self, *, create: bool) -> str | None:
        """See ``BundleStore.identify``. One request, unless the store has no id yet."""
        try:
            return read_store_id(self._client(), create=create)
        except ObjectStoreFailure as failure:
            raise StoreUnavailable(self.location, str(failure)) from failure

    def connect(self) -> None:
        """See ``BundleStore.connect``."""
        self._client()

    def probe(self) -> None:
        """See ``BundleStore.probe``."""
        probe(self._client(), self.location)
        self._probed = True

    def publish(
        self,
        staging: Path,
        project_id: str,
        job_id: str,
        *,
        token: int,
        on_step: StepObserver | None = None,
    ) -> Publication:
        """See ``BundleStore.publish``. Probes the store first if that has not succeeded yet."""
        try:
            if not self._probed:
                self._probe_for_job()
            return self._publisher().publish(
                job_folder(project_id, job_id), staging, token=token, notify=on_step or (lambda _step: None)
            )
        finally:
            rmtree(staging, ignore_errors=True)

    def _probe_for_job(self) -> None:
        try:
            self.probe()
        except (StoreUnavailable, StoreRejected) as error:
            cause = error.__cause__
            if not isinstance(cause, ObjectStoreFailure):
                cause = ObjectStoreFailure(FailureReason.UNSUPPORTED, error.message)
            raise job_error(self.location, cause) from error

    def manifest(self, record: JobRecord) -> tuple[Artifact, ...]:
        """See ``BundleStore.manifest``."""
        return tuple(
            Artifact(entry.name, entry.bytes, entry.sha256, entry.media_type, record, self)
            for entry in self._reader.resolve(record).entries.values()
        )

    def open(self, record: JobRecord, name: str) -> OpenArtifact:
        """See ``BundleStore.open``."""
        return self._reader.open(record, name)

    def file(self, record: JobRecord, name: str) -> ArtifactFile:
        """See ``BundleStore.file``."""
        path, opened = self._reader.open_file(record, name)
        return ArtifactFile(name, opened.size, (self.location, path), lambda: open_buffered(opened))

    def local_path(self, record: JobRecord) -> Path:
        """Raises ArtifactNotLocal."""
        raise ArtifactNotLocal(self.location)

    def signed_urls(self, record: JobRecord, names: Iterable[str], *, seconds: int) -> dict[str, str]:
        """See ``BundleStore.signed_urls``."""
        urls = self._reader.sign(record, names, seconds)
        if urls is None:
            raise LinksUnsupported(self.location)
        return urls

    def list_bundles(
        self, project_id: str | None = None, *, before_s: float | None = None
    ) -> Iterator[StoredBundle]:
        """See ``BundleStore.list_bundles``. Reads the pointers of those bundles only."""
        publisher = self._publisher()
        try:
            projects = publisher.client.list_level(PREVIEWS)[0] if project_id is None else [project_id]
            for project in projects:
                for listed in publisher.client.list_level(f"{PREVIEWS}/{project}")[1]:
                    job_id = listed.path.rpartition("/")[2].removesuffix(".json")
                    if before_s is not None and listed.modified_s > before_s:
                        continue
                    folder = job_folder(project, job_id)
                    pointer, version = publisher.read_pointer(folder)
                    if pointer is not None and version is not None and not pointer.removed:
                        yield StoredBundle(
                            project,
                            job_id,
                            f"{self.location}/{folder}",
                            pointer.size_bytes,
                            listed.modified_s,
                            f"{version.etag}/{version.generation}",
                        )
        except ObjectStoreFailure as failure:
            raise StoreUnavailable(self.location, str(failure)) from failure

    def remove(self, bundle: StoredBundle) -> bool:
        """See ``BundleStore.remove``: a tombstone replaces the pointer, then the files are deleted."""
        publisher = self._publisher()
        folder = job_folder(bundle.project_id, bundle.job_id)
        try:
            pointer, version = publisher.read_pointer(folder)
            if pointer is None or version is None or pointer.removed:
                return True
            if f"{version.etag}/{version.generation}" != bundle.version:
                return False
            publisher.write_pointer(folder, pointer.tombstone(), version)
            publisher.delete_below(f"{folder}/{pointer.prefix}")
        except ConditionFailed:
            return False
        except ObjectStoreFailure as failure:
            raise BundleUnreadable(bundle.job_id, str(failure)) from failure
        return True

    def read_manifest(self, project_id: str, job_id: str) -> bytes | None:
        """See ``BundleStore.read_manifest``."""
        publisher, folder = self._publisher(), job_folder(project_id, job_id)
        try:
            pointer, _ = publisher.read_pointer(folder)
            if pointer is None or pointer.removed:
                return None
            content, _ = publisher.client.get(f"{folder}/{pointer.prefix}/{MANIFEST_FILE}")
        except ObjectMissing:
            return None
        except ObjectStoreFailure as failure:
            raise BundleUnreadable(job_id, str(failure)) from failure
        return content

    def is_known(self, project_id: str, job_id: str) -> bool:
        """See ``BundleStore.is_known``."""
        try:
            pointer, _ = self._publisher().read_pointer(job_folder(project_id, job_id))
        except ObjectStoreFailure as failure:
            raise BundleUnreadable(job_id, str(failure)) from failure
        return pointer is not None

    def erase(self, project_id: str, job_id: str, *, fence: int) -> bool:
        """See ``BundleStore.erase``. Versions that the bucket itself keeps are its owner's to delete."""
        try:
            return self._publisher().erase(job_folder(project_id, job_id), fence=fence)
        except ObjectStoreFailure as failure:
            raise BundleUnreadable(job_id, str(failure)) from failure

    def sweep(self, now_s: float) -> int:
        """See ``BundleStore.sweep``."""
        publisher = self._publisher()
        due = self._replaced.take_due(now_s)
        swept = 0
        try:
            for prefix in due:
                publisher.delete_below(prefix)
                swept += 1
        except ObjectStoreFailure as failure:
            for prefix in due[swept:]:
                self._replaced.add(prefix, now_s)
            raise StoreUnavailable(self.location, str(failure)) from failure
        return swept

    def leftovers(self, *, before_s: float) -> Leftovers:
        """See ``BundleStore.leftovers``."""
        try:
            return Leftovers.find(self._publisher(), before_s=before_s)
        except ObjectStoreFailure as failure:
            raise StoreUnavailable(self.location, str(failure)) from failure
