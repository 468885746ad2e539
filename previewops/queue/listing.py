"""Paged job listing, sorted by time and filtered on the server."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from previewops.errors import RecordUnreadable
from previewops.queue.filter_query import FilterQuery
from previewops.queue.keys import Keys
from previewops.queue.pages import Cursor, ListPage
from previewops.queue.records import RECORD_FIELDS, JobRecord, record_from_redis
from previewops.queue.scripts import ScriptName, Scripts
from previewops.queue.tolerant_values import UnreadableCollector, UnreadableKeys
from previewops.settings import Settings
from previewops.states import JobState

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_ROWS = 2000
MAX_BUDGET = 10_000


class JobList:
    """The jobs of one queue, in pages."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._scripts = Scripts(redis, self.keys)

    async def page(
        self,
        *,
        state: JobState | None,
        query: FilterQuery,
        projects: Collection[str] | None = None,
        newest_first: bool = True,
        cursor: Cursor | None = None,
        limit: int = 200,
        budget: int = 2000,
    ) -> ListPage:
        """Returns the next page in one round trip that examines at most ``budget`` ids.

        Running jobs come first, by claim time. The others follow by the time of their admission, the end of
        their delay, or their end. Jobs that a stock arq client enqueued and no worker has admitted are listed
        as waiting or delayed.

        Args:
            state: only jobs in this state; None for all.
            query: only matching jobs, by id, project, priority, state, worker and error (class, code and
                message).
            projects: only jobs of these projects, which the caller may see; None for all.
            newest_first: newest or oldest first.
            cursor: end of an earlier page of the same listing. Changes since then do not shift the page.
            limit: maximum rows (up to 2000).
            budget: ids to examine (up to 10,000). A job without a record costs 20.
        """
        examined, position, rows, unreadable = await self._scripts.run(
            ScriptName.LIST_JOBS,
            "" if state is None else state.value,
            int(newest_first),
            min(limit, MAX_ROWS),
            min(budget, MAX_BUDGET),
            *encode_cursor(cursor),
            encode_projects(projects),
            *query.script_arguments(),
        )
        collector = UnreadableCollector()
        records = decode_rows(self.keys, rows, collector)
        reported = UnreadableKeys.from_reply(unreadable)
        return ListPage(records, decode_cursor(position), int(examined), collector.result(reported))


def encode_projects(projects: Collection[str] | None) -> str:
    """Encodes the projects whose jobs a caller may see as a script argument; None for all."""
    return "" if projects is None else json.dumps(sorted(projects))


def encode_cursor(cursor: Cursor | None) -> tuple[str | bytes, ...]:
    """Encodes a cursor as script arguments."""
    return ("", "", "") if cursor is None else (cursor.part, cursor.score, cursor.member)


def decode_cursor(position: Sequence[bytes]) -> Cursor | None:
    """Decodes the cursor of a script's reply; None at the end of the list."""
    return Cursor(position[0].decode(), position[1], position[2]) if position else None


def decode_rows(
    keys: Keys, rows: Sequence[Sequence[Any]], unreadable: UnreadableCollector
) -> tuple[JobRecord, ...]:
    """Decodes records from (id, values in the order of ``RECORD_FIELDS``). Damaged ones go to ``unreadable``."""
    records = []
    for raw_id, values in rows:
        raw = {name: value for name, value in zip(RECORD_FIELDS, values, strict=False) if value is not None}
        # An undecodable id stays in the schedule until a worker rejects it.
        job_id = raw_id.decode("utf-8", "replace")
        key = keys.job_prefix + job_id
        try:
            records.append(record_from_redis(job_id, raw, key=key, unreadable=unreadable))
        except RecordUnreadable:
            unreadable.add(key)
    return tuple(records)
