"""Actions of operators as far as they are fetched: the newest, and older ones page by page."""

from __future__ import annotations

from dataclasses import dataclass, replace

from previewops.snapshot.model import EventPage, QueueEvent


@dataclass(frozen=True, slots=True)
class ActionHistory:
    """``events`` are newest first. ``next_id`` continues with older ones; None if there are none, or none fetched."""

    events: tuple[QueueEvent, ...] = ()
    next_id: str | None = None

    def with_newest(self, page: EventPage) -> ActionHistory:
        """Adds the newest page. Forgets the others if there are actions between them."""
        known = {event.event_id for event in self.events}
        fresh = tuple(event for event in page.events if event.event_id not in known)
        if self.events and (len(fresh) < len(page.events) or page.next_id is None):
            return replace(self, events=(*fresh, *self.events))
        return ActionHistory(page.events, page.next_id)

    def with_older(self, page: EventPage) -> ActionHistory:
        """Adds the page that continues with ``next_id``."""
        return ActionHistory((*self.events, *page.events), page.next_id)

    @property
    def oldest_first(self) -> tuple[QueueEvent, ...]:
        """The actions in the order in which a snapshot has its events."""
        return self.events[::-1]
