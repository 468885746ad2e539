"""Lists jobs a page at a time: by time, of one state or of all, filtered by the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from previewops.queue.filter_query import FilterQuery
from previewops.queue.keys import Keys
from previewops.queue.pages import Cursor, ListPage
from previewops.queue.records import RECORD_FIELDS, JobRecord, record_from_redis
from previewops.queue.scripts import ScriptName, Scripts
from previewops.settings import Settings
from previewops.states import JobState

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_ROWS = 2000
MAX_BUDGET = 10_000


class JobList:
    """The jobs of one queue, in pages."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._scripts = Scripts(redis, Keys(settings.queue_name))

    async def page(
        self,
        *,
        state: JobState | None,
        query: FilterQuery,
        newest_first: bool = True,
        cursor: Cursor | None = None,
        limit: int = 200,
        budget: int = 2000,
    ) -> ListPage:
        """The next page, in one round trip that looks at ``budget`` ids at most.

        Jobs that run come first, by when they were claimed. The others follow by time: when they were admitted,
        when their delay ends, or when they ended. A job that a stock client enqueued and nobody has taken in
        yet is among them, as waiting or delayed.

        Args:
            state: only jobs in this state; None for all.
            terms: only jobs that these match, by id, project, priority, state, worker, and error (class, code
                and message).
            newest_first: or oldest first.
            cursor: where an earlier page of the same listing has ended. What has come, gone or changed its
                state since then shifts nothing.
            limit: at most so many rows (up to 2000).
            budget: ids to look at (up to 10,000). A stock client's job counts for several.
        """
        reply = await self._scripts.run(
            ScriptName.LIST_JOBS,
            "" if state is None else state.value,
            int(newest_first),
            min(limit, MAX_ROWS),
            min(budget, MAX_BUDGET),
            *encode_cursor(cursor),
            *query.script_arguments(),
        )
        examined, place, rows = reply
        return ListPage(decode_rows(rows), decode_cursor(place), int(examined))


def encode_cursor(cursor: Cursor | None) -> tuple[str | bytes, ...]:
    """A cursor as the scripts are given it."""
    return ("", "", "") if cursor is None else (cursor.part, cursor.score, cursor.member)


def decode_cursor(place: Sequence[bytes]) -> Cursor | None:
    """The place that a script has reached, or None at the end."""
    return Cursor(place[0].decode(), place[1], place[2]) if place else None


def decode_rows(rows: Sequence[Sequence[Any]]) -> tuple[JobRecord, ...]:
    """Records out of (id, values in the order of ``RECORD_FIELDS``)."""
    return tuple(_row(raw_id, values) for raw_id, values in rows)


def _row(raw_id: bytes, values: Sequence[bytes | None]) -> JobRecord:
    raw: Mapping[bytes, bytes] = {
        name: value for name, value in zip(RECORD_FIELDS, values, strict=True) if value is not None
    }
    # An id that is no text stays in the schedule until a worker turns it away.
    return record_from_redis(raw_id.decode("utf-8", "replace"), raw)
