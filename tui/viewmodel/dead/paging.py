"""Where one is in a list that comes in pages. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from previewops.queue.pages import Cursor

PAGE_ROWS = 200
"""Rows of a page."""


@dataclass(frozen=True, slots=True)
class Paging:
    """The way to the present page: of each page up to it, the cursor that it begins at and its first row's number.

    Rows count from 0. Cursors lead forward only, so the way back is kept.
    """

    pages: tuple[tuple[Cursor | None, int], ...] = ((None, 0),)

    @property
    def cursor(self) -> Cursor | None:
        """Where the present page begins."""
        return self.pages[-1][0]

    @property
    def start(self) -> int:
        """How many rows there are before it."""
        return self.pages[-1][1]

    @property
    def is_first(self) -> bool:
        """Whether there is no page before it."""
        return len(self.pages) == 1

    def next(self, cursor: Cursor, rows: int) -> Paging:
        """The page after the present one, which had so many ``rows`` and ended at ``cursor``."""
        return Paging((*self.pages, (cursor, self.start + rows)))

    def previous(self) -> Paging:
        """The page before it; the first has none and stays."""
        return self if self.is_first else Paging(self.pages[:-1])


def row_range(start: int, rows: int, total: int | None) -> str:
    """Which rows are shown: "201-400 of 82,114", "1-12", or "none". ``total`` is None while it is not known."""
    if not rows:
        return "none" if not total else f"none of {total:,}"
    shown = f"{start + 1:,}-{start + rows:,}" if start or rows > 1 else "1"
    # What came in or left since the count was made is no reason to write "1-200 of 199".
    return shown if total is None else f"{shown} of {max(total, start + rows):,}"
