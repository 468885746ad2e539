"""Search in the dead-letter queue: the list calls and counts behind ``previewops.queue.dead_letters``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.keys import Keys
from previewops.queue.listing import decode_cursor, encode_cursor, encode_projects
from previewops.queue.pages import Cursor
from previewops.queue.scripts import ScriptName, Scripts
from previewops.queue.tolerant_values import UnreadableKeys
from previewops.redis_server.connection import is_wrong_type

_LIST_BUDGET = 500
"""Dead letters examined per script call."""


class MatchPage(NamedTuple):
    """Reply of one list call. ``items`` are ids, rows or nothing, by mode."""

    cut_off_ms: int
    examined: int
    cursor: Cursor | None
    matching: int
    items: Sequence[Any]
    unreadable: UnreadableKeys


class DeadLetterSearch:
    """Finds the dead letters that match a filter. Calls raise redis-py's errors."""

    def __init__(self, redis: Redis, keys: Keys, scripts: Scripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts

    async def now_ms(self) -> int:
        """Returns the server's time in ms, to use as the cut-off of a count and of the following operation."""
        seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def count_indexed(self, selection: DeadLetterFilter, cut_off_ms: int | None) -> int:
        """Returns the size of the index (all, or one group) up to the cut-off minus the minimum age."""
        index = self._keys.dead if selection.group is None else self._keys.dead_group_prefix + selection.group
        if cut_off_ms is None and selection.older_than_ms is not None:
            cut_off_ms = await self.now_ms()
        cut_off_ms = selection.cut_off(cut_off_ms)
        latest = "+inf" if cut_off_ms is None else cut_off_ms - (selection.older_than_ms or 0)
        earliest = "-inf" if selection.died_from_ms is None else selection.died_from_ms
        try:
            return int(await self._redis.zcount(index, earliest, latest))
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            return 0  # as the list calls do

    async def iter_matching(
        self, selection: DeadLetterFilter, mode: str, cut_off_ms: int | None = None
    ) -> AsyncIterator[MatchPage]:
        """Yields the reply of each list call, up to the cut-off (default: the time of the first call)."""
        cursor: Cursor | None = None
        while True:
            page = await self.fetch_page(selection, mode, cursor, cut_off_ms)
            yield page
            cursor, cut_off_ms = page.cursor, page.cut_off_ms
            if cursor is None:
                return

    async def fetch_page(
        self,
        selection: DeadLetterFilter,
        mode: str,
        cursor: Cursor | None,
        cut_off_ms: int | None,
        limit: int = _LIST_BUDGET,
    ) -> MatchPage:
        """Runs one list call. The cursor of named ids is the number of ids already seen."""
        limit = min(limit, _LIST_BUDGET)
        names = tuple(dict.fromkeys(selection.job_ids))
        first = int(cursor.score) if names and cursor is not None else 0
        end = first + max(1, limit)
        error = selection.error or ""
        cut_off_ms = selection.cut_off(cut_off_ms)
        cut_off, examined, position, matching, items, unreadable = await self._scripts.run(
            ScriptName.LIST_DEAD_LETTERS,
            mode,
            selection.group or "",
            "" if cut_off_ms is None else cut_off_ms,
            selection.older_than_ms or 0,
            limit,
            _LIST_BUDGET,
            *encode_cursor(None if names else cursor),
            "" if selection.project is None else f"={selection.project}",
            error,
            error.lower(),
            "" if selection.group and not names else selection.fingerprint or "",
            encode_projects(selection.projects),
            len(names[first:end]),
            *names[first:end],
            *selection.query.script_arguments(),
            "" if selection.died_from_ms is None else selection.died_from_ms,
        )
        following = Cursor("named", str(end).encode(), b"") if end < len(names) else decode_cursor(position)
        return MatchPage(
            int(cut_off),
            int(examined),
            following,
            int(matching),
            items,
            UnreadableKeys.from_reply(unreadable),
        )
