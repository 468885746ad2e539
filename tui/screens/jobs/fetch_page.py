"""Fetches a page of the job list, in several calls if needed."""

from __future__ import annotations

from collections.abc import Callable

from previewops.queue.pages import ListPage
from previewops.queue.records import JobRecord
from previewops.tui.protocols import DataSource
from previewops.tui.viewmodel.jobs.list_state import PAGE_ROWS, JobListState


async def fetch_page(
    source: DataSource, listing: JobListState, on_examined: Callable[[int], bool]
) -> ListPage:
    """Fetches the page: it ends when it is full, at the end of the list, or after ``listing.max_examined`` jobs.

    One call examines a limited number of jobs, of which few may match. ``on_examined`` is called between two calls
    with the number examined so far, and returns whether to continue.

    Raises:
        PreviewopsError: the source failed.
    """
    rows: list[JobRecord] = []
    cursor, examined = listing.starts[-1].cursor, 0
    while True:
        page = await source.jobs(listing.query(cursor=cursor, limit=PAGE_ROWS - len(rows)))
        rows += page.rows
        cursor, examined = page.cursor, examined + page.examined
        ended = cursor is None or len(rows) >= PAGE_ROWS or examined >= listing.max_examined
        if ended or not page.examined or not on_examined(examined):
            return ListPage(tuple(rows), cursor, examined)
