"""What the screen of dead letters has fetched, and when it is to be fetched anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError
from previewops.tui.protocols import DataSource
from previewops.tui.viewmodel.dead.paging import PAGE_ROWS, Paging
from previewops.tui.viewmodel.dead.selection import DeadListQuery

if TYPE_CHECKING:
    from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
    from previewops.queue.pages import Cursor
    from previewops.queue.records import JobRecord
    from previewops.snapshot.model import Snapshot

MAX_GROUPS = 200

MAX_EXAMINED = 100_000
"""So many dead letters are looked at for one page of a filtered list; then the operator decides to look on."""

FILTERED_EVERY_MS = 5_000
"""A filtered list makes the server look at many jobs: it is not renewed more often, however many die."""

_MOVING = ("died", "requeued", "discarded")
"""Counters without which no dead letter comes or goes."""


class DeadLetterData:
    """The causes, and the page of jobs that a view shows. ``changed`` is called with each thing that is new.

    ``groups`` and ``rows`` are None until they have come; ``follows`` is where the next page begins, None at the
    end; ``total`` how many jobs the view means, None while that is not known; ``looking`` how many were looked at
    so far by a look that takes long; ``trouble`` says why the last fetch failed, "" when it did not.
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
        self._seen: Snapshot | None = None
        self._tried: Snapshot | None = None

    def set_query(self, view: DeadListQuery) -> None:
        """Another view from its first page on; its rows are yet to come."""
        self.query = view
        self.paging = Paging()
        self.total = None
        self._forget_rows()

    def turn_page(self, step: int) -> bool:
        """To the next page (1) or the one before (-1); False where there is none."""
        if step > 0 and self.next_cursor is not None:
            self.paging = self.paging.next(self.next_cursor, len(self.rows or ()))
        elif step < 0 and not self.paging.is_first:
            self.paging = self.paging.previous()
        else:
            return False
        self._forget_rows()
        return True

    def is_stale(self, snapshot: Snapshot) -> bool:
        """Whether what was fetched may not be what there is any more, as far as this snapshot tells."""
        self._seen = snapshot
        self._state = (snapshot.dead, *(snapshot.counters.get(name, 0) for name in _MOVING))
        if self.fetch_error:
            return snapshot is not self._tried
        if self._fetched[:-1] != (self.query, self.paging):
            return True
        if self._fetched[-1] == self._state:
            return False
        costly = self.query.is_filtered and not self.query.by_cause
        return not costly or snapshot.now_ms - self._fetched_ms >= FILTERED_EVERY_MS

    async def fetch(self) -> None:
        """Fetches what the view shows. What fails leaves what there was, and ``trouble``."""
        view, paging, state = self.query, self.paging, self._state
        self._tried = self._seen
        try:
            if view.by_cause:
                self.groups = await self._source.dead_groups(MAX_GROUPS)
            else:
                await self._fetch_page(view, paging)
        except PreviewopsError as error:
            self.fetch_error = error.message
        else:
            self.fetch_error = ""
            self._fetched = (view, paging, state)
            self._fetched_ms = self._seen.now_ms if self._seen is not None else 0
        finally:
            self.examined = None
        self._changed()

    async def _fetch_page(self, view: DeadListQuery, paging: Paging) -> None:
        rows: list[JobRecord] = []
        cursor, looked = paging.cursor, 0
        chosen = view.filter
        while True:
            page = await self._source.dead_page(chosen, cursor, PAGE_ROWS - len(rows))
            if not self._still(view, paging):
                return
            rows += page.rows
            cursor, looked = page.cursor, looked + page.examined
            if cursor is None or len(rows) >= PAGE_ROWS or looked >= MAX_EXAMINED:
                break
            self.examined = looked
            self._changed()
        self.rows, self.next_cursor = tuple(rows), cursor
        if not rows and cursor is None and not paging.is_first:  # all of the last page has gone meanwhile
            self.turn_page(-1)
            return
        await self._count(view, paging, chosen)

    async def _count(self, view: DeadListQuery, paging: Paging, chosen: DeadLetterFilter) -> None:
        """How many there are beyond the page; of all without a filter the snapshot knows."""
        if view.flat and not view.is_filtered:
            return
        if self.next_cursor is None and self.rows is not None:
            self.total = paging.start + len(self.rows)
            return
        self._changed()
        total = await self._source.dead_count(chosen)
        if self._still(view, paging):
            self.total = total

    def _still(self, view: DeadListQuery, paging: Paging) -> bool:
        return (self.query, self.paging) == (view, paging)

    def _forget_rows(self) -> None:
        self.rows = None
        self.next_cursor = None
        self.fetch_error = ""
