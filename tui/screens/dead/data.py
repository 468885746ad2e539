"""The dead letters fetched by the screen, and when to fetch them again."""

from __future__ import annotations

from collections.abc import Callable

from previewops.errors import PreviewopsError
from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
from previewops.queue.pages import Cursor
from previewops.queue.records import JobRecord
from previewops.snapshot.model import Snapshot
from previewops.tui.protocols import DataSource
from previewops.tui.viewmodel.dead.paging import PAGE_ROWS, Paging
from previewops.tui.viewmodel.dead.selection import DeadListQuery

MAX_GROUPS = 200

MAX_EXAMINED = 100_000
"""Maximum of dead letters examined for one page of a filtered list. The operator decides whether to continue."""

FILTERED_EVERY_MS = 5_000
"""Minimum interval of refreshing a filtered list: the server examines many jobs for it."""

_COUNTERS = ("died", "requeued", "discarded")
"""Counters that change whenever a dead letter comes or goes."""


class DeadLetterData:
    """The groups, and a page of jobs. ``changed`` is called after each change.

    ``groups`` and ``rows`` are None until they are fetched. ``next_cursor`` is the start of the next page, None at
    the end. ``total`` is the number of jobs in the list, None while unknown. ``examined`` is the progress of a slow
    fetch. ``fetch_error`` is the error of the last fetch, "" if it succeeded.
    """

    def __init__(self, source: DataSource, changed: Callable[[], None]) -> None:
        self.query = DeadListQuery()
        self.paging = Paging()
        self.groups: tuple[DeadLetterGroup, ...] | None = None
        self.rows: tuple[JobRecord, ...] | None = None
        self.next_cursor: Cursor | None = None
        self.total: int | None = None
        self.examined: int | None = None
        self.fetch_error = ""
        self._source = source
        self._changed = changed
        self._state: tuple[int, ...] = ()
        self._fetched: tuple[object, ...] = ()
        self._fetched_ms = 0
        self._latest: Snapshot | None = None
        self._failed_with: Snapshot | None = None

    def set_query(self, query: DeadListQuery) -> None:
        """Changes to another list, at its first page; its rows are fetched later."""
        self.query = query
        self.paging = Paging()
        self.total = None
        self._forget_rows()

    def turn_page(self, step: int) -> bool:
        """Changes to the next page (1) or the previous page (-1); returns False if there is none."""
        if step > 0 and self.next_cursor is not None:
            self.paging = self.paging.next(self.next_cursor, len(self.rows or ()))
        elif step < 0 and not self.paging.is_first:
            self.paging = self.paging.previous()
        else:
            return False
        self._forget_rows()
        return True

    def is_stale(self, snapshot: Snapshot) -> bool:
        """Whether the data may be outdated according to this snapshot."""
        self._latest = snapshot
        self._state = (snapshot.dead, *(snapshot.counters.get(name, 0) for name in _COUNTERS))
        if self.fetch_error:
            return snapshot is not self._failed_with
        if self._fetched[:-1] != (self.query, self.paging):
            return True
        if self._fetched[-1] == self._state:
            return False
        costly = self.query.is_filtered and not self.query.by_group
        return not costly or snapshot.now_ms - self._fetched_ms >= FILTERED_EVERY_MS

    async def fetch(self) -> None:
        """Fetches the list. After an error the old data stays, and ``fetch_error`` is set."""
        query, paging, state = self.query, self.paging, self._state
        self._failed_with = self._latest
        try:
            if query.by_group:
                self.groups = await self._source.dead_groups(MAX_GROUPS)
            else:
                await self._fetch_page(query, paging)
        except PreviewopsError as error:
            self.fetch_error = error.message
        else:
            self.fetch_error = ""
            self._fetched = (query, paging, state)
            self._fetched_ms = self._latest.now_ms if self._latest is not None else 0
        finally:
            self.examined = None
        self._changed()

    async def _fetch_page(self, query: DeadListQuery, paging: Paging) -> None:
        rows: list[JobRecord] = []
        cursor, examined = paging.cursor, 0
        selected = query.filter
        while True:
            page = await self._source.dead_page(selected, cursor, PAGE_ROWS - len(rows))
            if not self._is_current(query, paging):
                return
            rows += page.rows
            cursor, examined = page.cursor, examined + page.examined
            if cursor is None or len(rows) >= PAGE_ROWS or examined >= MAX_EXAMINED:
                break
            self.examined = examined
            self._changed()
        self.rows, self.next_cursor = tuple(rows), cursor
        if not rows and cursor is None and not paging.is_first:  # all jobs of the last page have gone since
            self.turn_page(-1)
            return
        await self._count(query, paging, selected)

    async def _count(self, query: DeadListQuery, paging: Paging, selected: DeadLetterFilter) -> None:
        """Counts the jobs beyond the page. The snapshot contains the count of the whole unfiltered list."""
        if query.flat and not query.is_filtered:
            return
        if self.next_cursor is None and self.rows is not None:
            self.total = paging.start + len(self.rows)
            return
        self._changed()
        total = await self._source.dead_count(selected)
        if self._is_current(query, paging):
            self.total = total

    def _is_current(self, query: DeadListQuery, paging: Paging) -> bool:
        return (self.query, self.paging) == (query, paging)

    def _forget_rows(self) -> None:
        self.rows = None
        self.next_cursor = None
        self.fetch_error = ""
