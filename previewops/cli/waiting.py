"""Wait for jobs by polling the queue, which survives lost connections and messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import islice
from typing import TypeVar

from previewops.cli.output import print_err
from previewops.errors import START_WORKERS_HINT, JobNotFound
from previewops.queue.queue import Queue
from previewops.queue.records import JobRecord
from previewops.redis_server.failures import unavailable_reason
from previewops.snapshot.model import Snapshot

T = TypeVar("T")

POLL_INTERVAL_S = 0.2
MAX_REDIS_OUTAGE_S = 60.0
"""Time in seconds that a wait continues while Redis is unavailable."""
_ACCEPTED = "the jobs were accepted"
MAX_JOBS_PER_POLL = 500
MAX_PROGRESS_BARS = 24
"""More bars do not fit in a terminal; a larger number of jobs is printed as lines."""


async def wait_for_jobs(
    queue: Queue,
    job_ids: Iterable[str],
    *,
    timeout_s: float | None,
    show: Callable[[Iterable[JobRecord]], None],
    on_finished: Callable[[str, JobRecord | None], None],
    note: Callable[[str], None],
) -> list[str]:
    """Polls until every job has ended or ``timeout_s`` has passed; returns the ids of pending jobs.

    ``on_finished`` is called once per ended job, with None if its record is gone (discarded).
    ``note`` receives a line when Redis becomes unavailable.
    """
    pending = dict.fromkeys(job_ids)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while pending:
        ids = list(islice(pending, MAX_JOBS_PER_POLL))
        polled = await retry_during_outage(partial(queue.records, ids), note, _ACCEPTED)
        records = {record.job_id: record for record in polled}
        show(records.values())
        for job_id in ids:
            del pending[job_id]
            record = records.get(job_id)
            if record is not None and record.state.pending:
                pending[job_id] = None  # at the back, so that a long list is polled round-robin
            else:
                on_finished(job_id, await _full_record(queue, job_id, note))
        if deadline is not None and time.monotonic() >= deadline:
            break
        if pending:
            await asyncio.sleep(POLL_INTERVAL_S)
    return list(pending)


async def _full_record(queue: Queue, job_id: str, note: Callable[[str], None]) -> JobRecord | None:
    try:
        return await retry_during_outage(partial(queue.status, job_id), note, _ACCEPTED)
    except JobNotFound:
        return None


async def retry_during_outage(
    read: Callable[[], Awaitable[T]], note: Callable[[str], None], situation: str
) -> T:
    """Retries while Redis is unavailable, for up to ``MAX_REDIS_OUTAGE_S``: long enough for a restart.

    ``note`` receives a line with the ``situation`` when Redis becomes unavailable.

    Raises:
        redis.exceptions.RedisError, OSError: Redis stayed unavailable, or the error has another cause.
    """
    from redis.exceptions import RedisError

    give_up = time.monotonic() + MAX_REDIS_OUTAGE_S
    noted = False
    while True:
        try:
            return await read()
        except (RedisError, OSError) as error:
            reason = unavailable_reason(error)
            if reason is None or time.monotonic() >= give_up:
                raise
            if not noted:
                noted = True
                note(f"note: Redis is unavailable ({reason}); {situation}, waiting for Redis")
        await asyncio.sleep(POLL_INTERVAL_S)


def print_wait_warnings(snapshot: Snapshot) -> None:
    """Warns about conditions that make the wait long."""
    if snapshot.paused:
        by = f" by {snapshot.paused_by}" if snapshot.paused_by else ""
        reason = f" ({snapshot.pause_reason})" if snapshot.pause_reason else ""
        print_err(f"note: the queue is paused{by}{reason}; resume it with `previewops resume`")
    if not snapshot.workers:
        print_err(f"note: no worker is running; {START_WORKERS_HINT}")
