"""Values of paged listings: cursor and page. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from previewops.queue.records import JobRecord
from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS, UnreadableKeys


@dataclass(frozen=True, slots=True)
class Cursor:
    """End of a page, opaque to callers. It stays valid for the same listing at any later time."""

    part: str
    score: bytes
    member: bytes


@dataclass(frozen=True, slots=True)
class ListPage:
    """Rows of a listing without payloads, and the cursor of the next page (None at the end).

    A page may have fewer rows than requested, even none, and still have a cursor: one call examines a bounded
    number of ids, here ``examined``. ``unreadable`` counts rows that were skipped or shown in part.
    """

    rows: tuple[JobRecord, ...]
    cursor: Cursor | None
    examined: int
    unreadable: UnreadableKeys = NO_UNREADABLE_KEYS
