"""Wait for jobs by polling the queue, which survives lost connections and messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from previewops.cli.output import print_err
from previewops.cli.progress import (
    show_progress,  # imported early: nothing is left to import once a wait has begun
)
from previewops.errors import JobNotFound

if TYPE_CHECKING:
    from previewops.queue.queue import Queue
    from previewops.queue.records import JobRecord
    from previewops.snapshot.model import Snapshot

T = TypeVar("T")

POLL_INTERVAL_S = 0.2
MAX_REDIS_OUTAGE_S = 60.0
"""Time in seconds that a wait continues while Redis is unavailable."""
MAX_JOBS_PER_POLL = 500
MAX_PROGRESS_BARS = 24
"""More bars do not fit in a terminal; a larger number of jobs is printed as lines."""

Show = Callable[[Iterable["JobRecord"]], None]


@contextmanager
def job_progress() -> Iterator[Show]:
    """Shows progress: bars in a terminal, lines elsewhere."""
    with show_progress() as shown:
        yield shown.update


@contextmanager
def no_job_progress() -> Iterator[Show]:
    """Shows nothing."""
    yield lambda records: None


async def wait_for_jobs(
    queue: Queue,
    job_ids: Iterable[str],
    *,
    timeout_s: float | None,
    show: Show,
    on_finished: Callable[[str, JobRecord | None], None],
) -> list[str]:
    """Polls until every job has ended or ``timeout_s`` has passed; returns the ids of pending jobs.

    ``on_finished`` is called once per ended job, with None if its record is gone (discarded).
    """
    pending = dict.fromkeys(job_ids)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while pending:
        ids = list(islice(pending, MAX_JOBS_PER_POLL))
        found = await _patiently(partial(queue.records, ids))
        records = {record.job_id: record for record in found}
        show(records.values())
        for job_id in ids:
            del pending[job_id]
            record = records.get(job_id)
            if record is not None and record.state.pending:
                pending[job_id] = None  # at the back, so that a long list is polled round-robin
            else:
                on_finished(job_id, await _whole(queue, job_id))
        if deadline is not None and time.monotonic() >= deadline:
            break
        if pending:
            await asyncio.sleep(POLL_INTERVAL_S)
    return list(pending)


async def _whole(queue: Queue, job_id: str) -> JobRecord | None:
    try:
        return await _patiently(partial(queue.status, job_id))
    except JobNotFound:
        return None


async def _patiently(look: Callable[[], Awaitable[T]]) -> T:
    """Retries while Redis is unavailable, for up to ``MAX_REDIS_OUTAGE_S``: long enough for a restart."""
    from redis.exceptions import RedisError

    from previewops.redis_server.connection import unavailable_reason

    give_up = time.monotonic() + MAX_REDIS_OUTAGE_S
    told = False
    while True:
        try:
            return await look()
        except (RedisError, OSError) as error:
            reason = unavailable_reason(error)
            if reason is None or time.monotonic() >= give_up:
                raise
            if not told:
                told = True
                print_err(f"note: Redis is unavailable ({reason}); the jobs were accepted, waiting for Redis")
        await asyncio.sleep(POLL_INTERVAL_S)


def print_wait_warnings(snapshot: Snapshot) -> None:
    """Warns about conditions that make the wait long."""
    if snapshot.paused:
        by = f" by {snapshot.paused_by}" if snapshot.paused_by else ""
        why = f" ({snapshot.paused_why})" if snapshot.paused_why else ""
        print_err(f"note: the queue is paused{by}{why}; resume it with `previewops resume`")
    if not snapshot.workers:
        print_err("note: no worker is running; start one with `previewops worker` or `previewops up`")
