"""Which stored assets the jobs of a queue name: those that wait, run, or may be requeued."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from previewops.errors import RecordUnreadable
from previewops.queue.filter_query import FilterQuery
from previewops.queue.keys import ARQ_JOB_PREFIX, Keys
from previewops.queue.listing import JobList
from previewops.queue.records import extract_payload
from previewops.settings import Settings
from previewops.states import JobState

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PENDING = (JobState.WAITING, JobState.DELAYED, JobState.ACTIVE)
_STATES = (*_PENDING, JobState.DEAD, *_PENDING)
"""In the order in which jobs move, and again for those that go back: a retry, a release, a requeue."""

_PAGE = 100  # payloads in memory at once, of up to 1 MiB each
_DIGEST = re.compile(r"[0-9a-f]{64}")


async def digests_in_use(redis: Redis, settings: Settings) -> set[str]:
    """Returns every SHA-256 that is part of a uri in a payload of a job that may still be rendered.

    Reads all of those payloads, in pages.

    Raises:
        RecordUnreadable: a record or payload is damaged, so that what it names is unknown.
    """
    jobs, keys = JobList(redis, settings), Keys(settings.queue_name)
    digests: set[str] = set()
    for state in _STATES:
        cursor = None
        while True:
            page = await jobs.page(
                state=state, query=FilterQuery(), newest_first=False, cursor=cursor, limit=_PAGE
            )
            for key in page.unreadable.keys:
                raise RecordUnreadable(key.removeprefix(keys.job_prefix), key, "a damaged record")
            digests.update(await _of_jobs(redis, [record.job_id for record in page.rows]))
            cursor = page.cursor
            if cursor is None:
                break
    return digests


async def _of_jobs(redis: Redis, job_ids: list[str]) -> Iterable[str]:
    if not job_ids:
        return ()
    names = [ARQ_JOB_PREFIX + job_id for job_id in job_ids]
    digests: set[str] = set()
    for job_id, name, body in zip(job_ids, names, await redis.mget(names), strict=True):
        if body is None:
            continue  # it has ended since
        payload = extract_payload(body)
        if payload is None:
            raise RecordUnreadable(job_id, name, "no payload")
        digests.update(_DIGEST.findall(json.dumps(payload)))
    return digests
