"""The bundle store in a folder of DATA_DIR."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from previewops.errors import BundleUnreadable, LinksUnsupported, StoreUnavailable
from previewops.job_errors import TransientJobError
from previewops.regular_files import read_regular
from previewops.stores.folder import reader
from previewops.stores.folder.identity import identify_folder
from previewops.stores.folder.paths import PREVIEWS_FOLDER, bundle_path, fence_path
from previewops.stores.folder.retention import list_bundles, remove_bundle
from previewops.stores.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES
from previewops.stores.port import (
    Artifact,
    ArtifactFile,
    OpenArtifact,
    Publication,
    StepObserver,
    StoredBundle,
    StoredLeftovers,
)
from previewops.stores.staging import STAGING_FOLDER, remove_attempts

if TYPE_CHECKING:
    from previewops.queue.records import JobRecord


@dataclass(frozen=True, slots=True)
class FolderStore:
    """Bundles in ``data_dir``; see ``BundleStore``. Staging folders are on the same file system."""

    data_dir: Path

    @property
    def location(self) -> str:
        """Path of the folder of all bundles."""
        return str(self.data_dir / PREVIEWS_FOLDER)

    @property
    def remote(self) -> bool:
        """False: a publication takes milliseconds."""
        return False

    def connect(self) -> None:
        """See ``BundleStore.connect``."""

    def identify(self, *, create: bool) -> str | None:
        """See ``BundleStore.identify``."""
        return identify_folder(self.data_dir, create=create)

    def probe(self) -> None:
        """See ``BundleStore.probe``. Writes a file where attempts render, and removes it."""
        path = self.data_dir / STAGING_FOLDER / f"probe.{token_hex(8)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("xb") as file:
                    file.write(b"1")
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(self.location, error.strerror or type(error).__name__) from error

    def publish(
        self,
        staging: Path,
        project_id: str,
        job_id: str,
        *,
        token: int,
        on_step: StepObserver | None = None,
    ) -> Publication:
        """See ``BundleStore.publish``."""
        from previewops.stores.folder.publish import publish  # noqa: PLC0415 - readers publish nothing

        return publish(
            staging,
            bundle_path(self.data_dir, project_id, job_id),
            fence=fence_path(self.data_dir, project_id, job_id),
            token=token,
            on_step=on_step,
        )

    def manifest(self, record: JobRecord) -> tuple[Artifact, ...]:
        """See ``BundleStore.manifest``."""
        return tuple(
            Artifact(entry.name, entry.bytes, entry.sha256, entry.media_type, record, self)
            for entry in reader.list_artifacts(self.data_dir, record)
        )

    def open(self, record: JobRecord, name: str) -> OpenArtifact:
        """See ``BundleStore.open``."""
        return reader.open_artifact(self.data_dir, record, name)

    def file(self, record: JobRecord, name: str) -> ArtifactFile:
        """See ``BundleStore.file``."""
        path = reader.find_artifact(self.data_dir, record, name)
        try:
            return ArtifactFile.at(path, name)
        except OSError as error:
            raise BundleUnreadable(record.job_id, error.strerror or type(error).__name__) from error

    def local_path(self, record: JobRecord) -> Path:
        """See ``BundleStore.local_path``."""
        return reader.local_bundle_path(self.data_dir, record)

    def signed_urls(self, record: JobRecord, names: Iterable[str], *, seconds: int) -> dict[str, str]:
        """Raises LinksUnsupported: files have no addresses."""
        raise LinksUnsupported(self.location)

    def list_bundles(
        self, project_id: str | None = None, *, before_s: float | None = None
    ) -> Iterator[StoredBundle]:
        """See ``BundleStore.list_bundles``."""
        for bundle in list_bundles(self.data_dir, project_id):
            if before_s is None or bundle.last_used_s < before_s:
                yield bundle

    def remove(self, bundle: StoredBundle) -> bool:
        """See ``BundleStore.remove``."""
        try:
            return remove_bundle(self.data_dir, bundle)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise BundleUnreadable(bundle.job_id, error.strerror or os.strerror(error.errno or 0)) from error

    def read_manifest(self, project_id: str, job_id: str) -> bytes | None:
        """See ``BundleStore.read_manifest``."""
        path = bundle_path(self.data_dir, project_id, job_id) / MANIFEST_FILE
        try:
            return read_regular(path, max_bytes=MAX_MANIFEST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BundleUnreadable(job_id, error.strerror or type(error).__name__) from error

    def is_known(self, project_id: str, job_id: str) -> bool:
        """See ``BundleStore.is_known``."""
        if not self.data_dir.is_dir():
            raise BundleUnreadable(job_id, f"{self.data_dir} does not exist")
        paths = (bundle_path, fence_path)
        return any(os.path.lexists(path(self.data_dir, project_id, job_id)) for path in paths)

    def erase(self, project_id: str, job_id: str, *, fence: int) -> bool:
        """See ``BundleStore.erase``. Removes staging folders of earlier attempts on this machine too."""
        from previewops.stores.folder.publish import erase  # noqa: PLC0415 - readers erase nothing

        if not self.data_dir.is_dir():
            raise BundleUnreadable(job_id, f"{self.data_dir} does not exist")
        staging = self.data_dir / STAGING_FOLDER
        staging.mkdir(exist_ok=True)
        try:
            existed = erase(
                bundle_path(self.data_dir, project_id, job_id),
                fence=fence_path(self.data_dir, project_id, job_id),
                token=fence,
                trash_dir=staging,
            )
        except TransientJobError as error:
            raise BundleUnreadable(job_id, error.message) from error
        remove_attempts(self.data_dir, job_id, until=fence)
        return existed

    def leftovers(self, *, before_s: float) -> StoredLeftovers:
        """Finds none: a worker sweeps its staging folder."""
        return _NoLeftovers()

    def sweep(self, now_s: float) -> int:
        """Returns 0: a replaced bundle is removed at once."""
        return 0


class _NoLeftovers:
    """No files."""

    @property
    def sizes(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def remove(self) -> int:
        """Removes nothing."""
        return 0
