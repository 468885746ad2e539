"""Page position in a paginated list. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from previewops.queue.pages import Cursor

PAGE_ROWS = 200
"""Rows per page."""


@dataclass(frozen=True, slots=True)
class Paging:
    """Path to the current page: the start cursor and the first row's number (from 0) of each page up to it.

    Cursors only lead forward, so the path is kept for going back.
    """

    pages: tuple[tuple[Cursor | None, int], ...] = ((None, 0),)

    @property
    def cursor(self) -> Cursor | None:
        """Start cursor of the current page."""
        return self.pages[-1][0]

    @property
    def start(self) -> int:
        return self.pages[-1][1]

    @property
    def is_first(self) -> bool:
        return len(self.pages) == 1

    def next(self, cursor: Cursor, rows: int) -> Paging:
        """The page after the current one, which had ``rows`` rows and ended at ``cursor``."""
        return Paging((*self.pages, (cursor, self.start + rows)))

    def previous(self) -> Paging:
        """The page before it, or itself for the first page."""
        return self if self.is_first else Paging(self.pages[:-1])


def row_range(start: int, rows: int, total: int | None) -> str:
    """The range of rows: "201-400 of 82,114", "1-12" or "none". ``total`` is None while unknown."""
    if not rows:
        return "none" if not total else f"none of {total:,}"
    shown = f"{start + 1:,}-{start + rows:,}" if start or rows > 1 else "1"
    # Rows may have come or gone since the count: never show "1-200 of 199".
    return shown if total is None else f"{shown} of {max(total, start + rows):,}"
