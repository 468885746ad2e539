"""Deletes a job for good: its record, its dead letter, its result and its bundle."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from previewops.errors import BundleUnreadable, JobNotFound, StoreUnavailable, WrongState
from previewops.job_errors import PermanentJobError
from previewops.queue.erasures import ErasureLog
from previewops.queue.queue import Deletion, Queue
from previewops.states import JobState
from previewops.stores.manifest import parse_manifest
from previewops.stores.port import BundleStore

THUMBNAILS = "thumbs/"
"""Folder of a bundle with the thumbnails of its assets."""

MAX_ROUNDS = 3
"""Attempts at a deletion, each after the job was requeued meanwhile."""


@dataclass(frozen=True, slots=True)
class DeletedJob:
    """What was deleted: the job, the state that it was in ("" without a record), whether there was a bundle."""

    job_id: str
    was: str
    bundle: bool

    def as_json(self) -> dict[str, Any]:
        """The deletion as JSON, the same on the command line and in the API."""
        return {
            "jobId": self.job_id,
            "status": "deleted",
            "was": self.was or None,
            "bundle": self.bundle,
        }


async def delete_job(
    queue: Queue,
    store: BundleStore,
    job_id: str,
    *,
    who: str,
    reason: str = "",
    project_id: str | None = None,
    projects: Collection[str] | None = None,
) -> DeletedJob:
    """Deletes a job in any state, with its bundle. An attempt that ends afterwards publishes nothing.

    Workers remove copies from the caches of their hosts with their next sweep.

    Until the bundle is deleted the record stays, so a deletion that raised can be repeated. If another payload is
    submitted in the job's place meanwhile, only the old one is deleted.

    Args:
        project_id: its project, which is needed for a bundle whose record has expired.
        projects: those whose jobs the caller may delete; None for all.

    Raises:
        JobNotFound: there is neither a record nor a bundle, or it is in another project.
        BundleUnreadable: the store cannot be used now, or is not the one that workers publish to.
        WrongState: the job was requeued again and again meanwhile.
        redis.exceptions.RedisError: Redis failed.
    """
    if project_id is not None:
        projects = {project_id} if projects is None else {project_id} & set(projects)
    not_found = JobNotFound(job_id, queue.keys.queue)
    for _ in range(MAX_ROUNDS):
        deletion = await queue.begin_deletion(job_id, who=who, reason=reason, projects=projects)
        if not deletion.state:
            if project_id is None or not projects:
                raise not_found
            if not await asyncio.to_thread(_is_known, store, project_id, job_id):
                raise not_found
            deletion = replace(deletion, project_id=project_id)
        digests = await asyncio.to_thread(_cached_digests, store, deletion)
        await ErasureLog(queue.redis, queue.settings).record(deletion.project_id, job_id, digests)
        existed = await asyncio.to_thread(_erase, store, deletion)
        if not existed and deletion.state == JobState.COMPLETED:
            await asyncio.to_thread(_require_used, store, job_id)
        if not deletion.state and not existed:
            raise not_found
        if await queue.finish_deletion(deletion, who=who, reason=reason):
            return DeletedJob(job_id, deletion.state, existed)
    raise WrongState(job_id, "requeued", "delete", "not requeued meanwhile")


def _cached_digests(store: BundleStore, deletion: Deletion) -> list[str]:
    """Returns the digests by which caches find the bundle and its thumbnails."""
    try:
        manifest = store.read_manifest(deletion.project_id, deletion.job_id)
        if manifest is None:
            return []
        entries = parse_manifest(manifest)
    except (PermanentJobError, ValueError):
        return []
    thumbnails = [entry.sha256 for name, entry in entries.items() if name.startswith(THUMBNAILS)]
    return [sha256(manifest).hexdigest(), *thumbnails]


def _is_known(store: BundleStore, project_id: str, job_id: str) -> bool:
    try:
        return store.is_known(project_id, job_id)
    except PermanentJobError:
        return False  # as in _erase


def _erase(store: BundleStore, deletion: Deletion) -> bool:
    try:
        return store.erase(deletion.project_id, deletion.job_id, fence=deletion.token)
    except PermanentJobError:
        return False  # an id of a stock arq client that cannot be a folder's name: nothing was ever published


def _require_used(store: BundleStore, job_id: str) -> None:
    """Requires that a worker has used this store, since one has completed the job.

    The folder of a mount that is missing, or another folder than the workers', has no bundle either.
    """
    try:
        used = store.identify(create=False) is not None
    except StoreUnavailable as error:
        raise BundleUnreadable(job_id, error.reason) from error
    if not used:
        raise BundleUnreadable(
            job_id, "no worker has used this store (check DATA_DIR, PREVIEW_STORE and mounts)"
        )
