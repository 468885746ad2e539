"""Finds jobs by exact id, exact requestId or a part of the title."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from previewops.errors import JobNotFound
from previewops.queue.filter_query import FilterQuery, FilterTerm
from previewops.queue.listing import JobList
from previewops.queue.records import JobRecord

if TYPE_CHECKING:
    from previewops.queue.queue import Queue

_BUDGET = 1000
"""Budget of one call. A payload costs as much as a record or more, so a call reads about 500 jobs."""


def payload_query(text: str) -> FilterQuery:
    """The filter for jobs whose requestId is ``text`` or whose title contains it: not (neither of them)."""
    terms = (FilterTerm(text, "request", negated=True, exact=True), FilterTerm(text, "title", negated=True))
    return FilterQuery(terms, inverted=True)


async def search_jobs(
    queue: Queue, text: str, *, limit: int, on_examined: Callable[[int], Awaitable[None]]
) -> tuple[list[JobRecord], bool]:
    """Returns up to ``limit`` jobs without payloads, and whether there are more.

    The job with this id comes first and costs one call. The search of the others reads the payload of every job,
    running jobs first, then newest first, until the limit is reached.
    """
    records: dict[str, JobRecord] = {}
    with suppress(JobNotFound):
        records[text] = await queue.status(text)
    jobs, cursor, examined = JobList(queue.redis, queue.settings), None, 0
    query = payload_query(text)
    while True:
        missing = limit + 1 - len(records)
        page = await jobs.page(state=None, query=query, cursor=cursor, limit=missing, budget=_BUDGET)
        for record in page.rows:
            records.setdefault(record.job_id, record)
        cursor, examined = page.cursor, examined + page.examined
        await on_examined(examined)
        if cursor is None or len(records) > limit:
            break
    return list(records.values())[:limit], len(records) > limit
