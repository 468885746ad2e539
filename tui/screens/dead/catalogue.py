"""What the screen of dead letters has fetched, and when it is to be fetched anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError
from previewops.tui.ports import Source
from previewops.tui.shape.choice import View
from previewops.tui.shape.paging import PAGE, Paging

if TYPE_CHECKING:
    from previewops.listviews import Cursor, DeadFilter, DeadGroup
    from previewops.records import JobRecord
    from previewops.views import Snapshot

MOST_GROUPS = 200

LOOK_AT = 100_000
"""So many dead letters are looked at for one page of a filtered list; then the operator decides to look on."""

FILTERED_EVERY_MS = 5_000
"""A filtered list makes the server look at many jobs: it is not renewed more often, however many die."""

_MOVING = ("died", "requeued", "discarded")
"""Counters without which no dead letter comes or goes."""


class Catalogue:
    """The causes, and the page of jobs that a view shows. ``changed`` is called with each thing that is new.

    ``groups`` and ``rows`` are None until they have come; ``follows`` is where the next page begins, None at the
    end; ``total`` how many jobs the view means, None while that is not known; ``looking`` how many were looked at
    so far by a look that takes long; ``trouble`` says why the last fetch failed, "" when it did not.
    """

    def __init__(self, source: Source, changed: Callable[[], None]) -> None:
        self.view = View()
        self.paging = Paging()
        self.groups: tuple[DeadGroup, ...] | None = None
        self.rows: tuple[JobRecord, ...] | None = None
        self.follows: Cursor | None = None
        self.total: int | None = None
        self.looking: int | None = None
        self.trouble = ""
        self._source = source
        self._changed = changed
        self._state: tuple[int, ...] = ()
        self._fetched: tuple[object, ...] = ()
        self._fetched_ms = 0
        self._seen: Snapshot | None = None
        self._tried: Snapshot | None = None

    def show(self, view: View) -> None:
        """Another view from its first page on; its rows are yet to come."""
        self.view = view
        self.paging = Paging()
        self.total = None
        self._forget_rows()

    def turn(self, step: int) -> bool:
        """To the next page (1) or the one before (-1); False where there is none."""
        if step > 0 and self.follows is not None:
            self.paging = self.paging.next(self.follows, len(self.rows or ()))
        elif step < 0 and not self.paging.is_first:
            self.paging = self.paging.previous()
        else:
            return False
        self._forget_rows()
        return True

    def due(self, snapshot: Snapshot) -> bool:
        """Whether what was fetched may not be what there is any more, as far as this snapshot tells."""
        self._seen = snapshot
        self._state = (snapshot.dead, *(snapshot.counters.get(name, 0) for name in _MOVING))
        if self.trouble:
            return snapshot is not self._tried
        if self._fetched[:-1] != (self.view, self.paging):
            return True
        if self._fetched[-1] == self._state:
            return False
        costly = self.view.narrowed and not self.view.causes
        return not costly or snapshot.now_ms - self._fetched_ms >= FILTERED_EVERY_MS

    async def renew(self) -> None:
        """Fetches what the view shows. What fails leaves what there was, and ``trouble``."""
        view, paging, state = self.view, self.paging, self._state
        self._tried = self._seen
        try:
            if view.causes:
                self.groups = await self._source.dead_groups(MOST_GROUPS)
            else:
                await self._fetch_page(view, paging)
        except PreviewopsError as error:
            self.trouble = error.message
        else:
            self.trouble = ""
            self._fetched = (view, paging, state)
            self._fetched_ms = self._seen.now_ms if self._seen is not None else 0
        finally:
            self.looking = None
        self._changed()

    async def _fetch_page(self, view: View, paging: Paging) -> None:
        rows: list[JobRecord] = []
        cursor, looked = paging.cursor, 0
        chosen = view.filter
        while True:
            page = await self._source.dead_page(chosen, cursor, PAGE - len(rows))
            if not self._still(view, paging):
                return
            rows += page.rows
            cursor, looked = page.cursor, looked + page.examined
            if cursor is None or len(rows) >= PAGE or looked >= LOOK_AT:
                break
            self.looking = looked
            self._changed()
        self.rows, self.follows = tuple(rows), cursor
        if not rows and cursor is None and not paging.is_first:  # all of the last page has gone meanwhile
            self.turn(-1)
            return
        await self._count(view, paging, chosen)

    async def _count(self, view: View, paging: Paging, chosen: DeadFilter) -> None:
        """How many there are beyond the page; of all without a filter the snapshot knows."""
        if view.flat and not view.narrowed:
            return
        if self.follows is None and self.rows is not None:
            self.total = paging.start + len(self.rows)
            return
        self._changed()
        total = await self._source.dead_count(chosen)
        if self._still(view, paging):
            self.total = total

    def _still(self, view: View, paging: Paging) -> bool:
        return (self.view, self.paging) == (view, paging)

    def _forget_rows(self) -> None:
        self.rows = None
        self.follows = None
        self.trouble = ""
