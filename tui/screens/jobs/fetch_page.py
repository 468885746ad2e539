"""Fills a page of a list, in as many calls as that takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from previewops.queue.pages import ListPage
from previewops.tui.viewmodel.jobs.list_state import MAX_EXAMINED, PAGE_ROWS, JobListState

if TYPE_CHECKING:
    from previewops.queue.records import JobRecord
    from previewops.tui.protocols import DataSource


async def fetch_page(source: DataSource, listing: JobListState, told: Callable[[int], None]) -> ListPage:
    """The page that ``listing`` shows: full, or all there are, or all among ``LOOK_AT`` jobs.

    One call looks at a bounded number of jobs, of which a filter may let few through. ``told`` is called between
    two calls with how many were looked at.

    Raises:
        PreviewopsError: the source has failed.
    """
    rows: list[JobRecord] = []
    cursor, looked = listing.starts[-1].cursor, 0
    while True:
        page = await source.jobs(listing.query(cursor=cursor, limit=PAGE_ROWS - len(rows)))
        rows += page.rows
        cursor, looked = page.cursor, looked + page.examined
        if cursor is None or len(rows) >= PAGE_ROWS or looked >= MAX_EXAMINED or not page.examined:
            return ListPage(tuple(rows), cursor, looked)
        told(looked)
