"""Publication to an object store: upload below a prefix of the attempt, then replace the pointer on a condition."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

from previewops.clock import Rng, system_rng
from previewops.job_errors import StaleToken, TransientJobError
from previewops.stores.manifest import MANIFEST_FILE, VOLATILE_FILES, ManifestEntry, parse_manifest
from previewops.stores.objects.client import (
    ConditionFailed,
    FailureReason,
    ObjectClient,
    ObjectMissing,
    ObjectStoreFailure,
    ObjectVersion,
)
from previewops.stores.objects.layout import POINTER_HEADERS, file_headers, job_error, pointer_path
from previewops.stores.objects.pointer import NO_BUNDLE, Decision, Pointer, decide, parse_pointer, token_of
from previewops.stores.port import Publication, PublishResult, StepObserver

MAX_ROUNDS = 12
"""Attempts to replace the pointer, each after another attempt has replaced it, or after a lost reply."""
MAX_FAILURES = 2
"""Failures of the pointer's replacement after which the publication fails."""
_MAX_PAUSE_S = 0.2

UPLOADS = 16
"""Files that are uploaded at once."""


@dataclass(frozen=True, slots=True)
class StagedBundle:
    """The files of a staging folder: sizes in bytes by name, and the manifest."""

    folder: Path
    sizes: dict[str, int]
    entries: dict[str, ManifestEntry]
    digest: str

    @classmethod
    def scan(cls, folder: Path) -> StagedBundle:
        """Reads the names and the manifest of a staging folder.

        Raises:
            TransientJobError: the folder is missing or has something else than files, or its manifest is invalid.
        """
        try:
            sizes = {}
            for parent, _, names in os.walk(folder, onerror=_raise):
                for name in names:
                    path = Path(parent, name)
                    status = path.lstat()
                    if not stat.S_ISREG(status.st_mode):
                        raise ValueError(f"{path.name} is not a file")
                    sizes[path.relative_to(folder).as_posix()] = status.st_size
            content = (folder / MANIFEST_FILE).read_bytes()
            return cls(folder, sizes, parse_manifest(content), hashlib.sha256(content).hexdigest())
        except (OSError, ValueError) as error:
            raise TransientJobError(
                "data-dir-unusable",
                f"cannot read the rendered files in {folder}: {error}",
                hint="DATA_DIR must exist and be writable for the worker",
                found=str(error),
                allowed="a folder of files with a manifest",
            ) from error


@dataclass(slots=True)
class ReplacedPrefixes:
    """Prefixes that publications of this process have replaced, and when they may be deleted."""

    grace_s: float
    _due: deque[tuple[float, str]] = field(default_factory=deque)

    def add(self, prefix: str, now_s: float) -> None:
        """Adds a prefix, which readers may still use for the grace."""
        self._due.append((now_s + self.grace_s, prefix))

    def take_due(self, now_s: float) -> list[str]:
        """Returns the prefixes whose grace is over, and forgets them."""
        due = []
        while self._due and self._due[0][0] <= now_s:
            due.append(self._due.popleft()[1])
        return due


@dataclass(slots=True)
class Publisher:
    """Publishes bundles through ``client``; uploads on ``executor``, at most ``UPLOADS`` at once."""

    client: ObjectClient
    location: str
    executor: Executor
    replaced: ReplacedPrefixes
    rng: Rng = field(default_factory=system_rng)
    sleep: Callable[[float], None] = time.sleep
    now_s: Callable[[], float] = time.time
    make_nonce: Callable[[], str] = lambda: token_hex(4)

    def publish(self, folder: str, staging: Path, *, token: int, notify: StepObserver) -> Publication:
        """Makes the files below ``staging`` the bundle of the job at ``folder``.

        The prefix has a nonce besides the token, so that two attempts never write the same object, even if Redis
        lost a token and issued it again.

        Raises:
            StaleToken: a later attempt has published, or a sweep has removed the files of this one.
            TransientJobError: the store cannot be used, or too many attempts are publishing.
        """
        bundle = StagedBundle.scan(staging)
        attempt = _Attempt(self, bundle, folder, token, f"{token}-{self.make_nonce()}", notify)
        try:
            return attempt.run()
        except ObjectStoreFailure as failure:
            raise job_error(self.location, failure) from failure
        except StaleToken:
            attempt.discard()
            raise

    def read_pointer(self, folder: str) -> tuple[Pointer | None, ObjectVersion | None]:
        """The job's pointer and its version; None if there is none. A damaged one counts as one to replace."""
        try:
            content, version = self.client.get(pointer_path(folder))
        except ObjectMissing:
            return None, None
        try:
            return parse_pointer(content), version
        except ValueError:
            return None, version

    def write_pointer(self, folder: str, pointer: Pointer, version: ObjectVersion | None) -> None:
        """Replaces the pointer if it still has ``version``. Raises ConditionFailed."""
        self.client.put(pointer_path(folder), pointer.encode(), POINTER_HEADERS, expected=version)

    def erase(self, folder: str, *, fence: int) -> bool:
        """Closes the job at ``folder`` for attempts with a token up to ``fence``, and deletes what they uploaded.

        A late attempt deletes what it uploads afterwards, because its publication is stale. Returns whether there was
        a bundle.

        Raises:
            ObjectStoreFailure: the store failed, or other attempts kept publishing.
        """
        for _ in range(MAX_ROUNDS):
            current, version = self.read_pointer(folder)
            removed = (current or NO_BUNDLE).tombstone().fenced(fence)
            try:
                self.write_pointer(folder, removed, version)
                break
            except ConditionFailed:
                self.sleep(self.rng.uniform(0.0, _MAX_PAUSE_S))
        else:
            raise ObjectStoreFailure(
                FailureReason.UNAVAILABLE, f"the pointer changed {MAX_ROUNDS} times meanwhile"
            )
        paths = [listed.path for listed in self.client.list_all(folder)]
        self.client.delete(path for path in paths if token_of(path[len(folder) + 1 :]) <= fence)
        return current is not None and not current.removed

    def delete_below(self, prefix: str) -> int:
        """Deletes all objects below a prefix; returns their number."""
        paths = [listed.path for listed in self.client.list_all(prefix)]
        self.client.delete(paths)
        return len(paths)


@dataclass(slots=True)
class _Attempt:
    publisher: Publisher
    bundle: StagedBundle
    folder: str
    token: int
    prefix: str
    notify: StepObserver
    uploaded: bool = False
    pointer_sent: bool = False
    failures: int = 0

    def run(self) -> Publication:
        for _ in range(MAX_ROUNDS):
            current, version = self.publisher.read_pointer(self.folder)
            self.notify("read")
            publication = self._publish_over(current, version)
            if publication is not None:
                return publication
            self.publisher.sleep(self.publisher.rng.uniform(0.0, _MAX_PAUSE_S))
        raise TransientJobError(
            "publication-contended",
            f"the pointer of this bundle changed {MAX_ROUNDS} times during the publication",
            hint="other attempts at the job are publishing: workers are frozen or cut off from Redis",
            found=MAX_ROUNDS,
            allowed=f"fewer than {MAX_ROUNDS} changes",
        )

    def discard(self) -> None:
        """Deletes what was uploaded; after the grace if a reader may know it, because a reply was lost."""
        prefix = f"{self.folder}/{self.prefix}"
        if self.uploaded and self.pointer_sent:
            self.publisher.replaced.add(prefix, self.publisher.now_s())
        elif self.uploaded:
            with suppress(ObjectStoreFailure):
                self.publisher.delete_below(prefix)

    def _publish_over(self, current: Pointer | None, version: ObjectVersion | None) -> Publication | None:
        """Takes the next step; returns None if the pointer has to be read again."""
        decision = decide(current, token=self.token, prefix=self.prefix, manifest=self.bundle.digest)
        if decision is Decision.KEEP and not self._is_complete(current):
            decision = Decision.REPLACE
        if decision is Decision.STALE:
            assert current is not None
            raise StaleToken(self.token, max(current.token, current.fence))
        if decision is Decision.PUBLISHED:
            return self._published(self.prefix, PublishResult.ALREADY_PUBLISHED)
        if decision is Decision.KEEP:
            assert current is not None
            pointer = replace(current, token=self.token, fence=self.token)
        else:
            self._upload()
            pointer = self._make_pointer()
        try:
            self.pointer_sent = self.pointer_sent or decision is Decision.REPLACE
            self.publisher.write_pointer(self.folder, pointer, version)
        except ConditionFailed:
            return None
        except ObjectStoreFailure:
            self.failures += 1
            if self.failures >= MAX_FAILURES:
                raise
            return None  # it may have been written: the next reading shows
        self.notify("pointed")
        if decision is Decision.KEEP:
            self.discard()
            return self._published(pointer.prefix, PublishResult.UNCHANGED)
        if current is None or current.removed:
            return self._published(self.prefix, PublishResult.FIRST)
        self.publisher.replaced.add(f"{self.folder}/{current.prefix}", self.publisher.now_s())
        return self._published(self.prefix, PublishResult.REPLACED)

    def _published(self, prefix: str, result: PublishResult) -> Publication:
        return Publication(f"{self.publisher.location}/{self.folder}/{prefix}", self.token, result)

    def _make_pointer(self) -> Pointer:
        sizes = self.bundle.sizes
        return Pointer(
            self.token, self.token, self.prefix, self.bundle.digest, len(sizes), sum(sizes.values())
        )

    def _is_complete(self, current: Pointer | None) -> bool:
        """Whether the store still has every file of ``current`` with its length: a rerun repairs a damaged bundle."""
        assert current is not None
        root = f"{self.folder}/{current.prefix}/"
        stored = {
            listed.path.removeprefix(root): listed.size
            for listed in self.publisher.client.list_all(root.rstrip("/"))
        }
        return _comparable(stored) == _comparable(self.bundle.sizes)

    def _upload(self) -> None:
        if self.uploaded:
            return
        self.uploaded = True
        try:
            self._upload_all(sorted(self.bundle.sizes))
        except BaseException:
            self.discard()
            raise
        self.notify("uploaded")

    def _upload_all(self, names: Iterable[str]) -> None:
        """Uploads files; after the first failure those that have not begun are skipped."""
        uploads: list[Future[None]] = [
            self.publisher.executor.submit(
                self.publisher.client.upload,
                f"{self.folder}/{self.prefix}/{name}",
                self.bundle.folder / name,
                file_headers(name, self.bundle.entries.get(name)),
            )
            for name in names
        ]
        try:
            for upload in uploads:
                upload.result()
        except OSError as error:
            raise TransientJobError(
                "data-dir-unusable",
                f"cannot read a rendered file: {error.strerror} ({error.filename})",
                hint="DATA_DIR must stay readable for the worker",
                found=error.strerror,
                allowed="a readable file",
            ) from error
        finally:
            for upload in uploads:
                upload.cancel()
            wait(uploads)


def _comparable(sizes: dict[str, int]) -> dict[str, int]:
    return {name: 0 if name in VOLATILE_FILES else size for name, size in sizes.items()}


def _raise(error: OSError) -> None:
    raise error
