"""The queue's stored events, in pages: all of the newest ones, or only what operators did, which is kept longer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from previewops.clock import iso_from_ms
from previewops.queue.keys import Keys
from previewops.queue.scripts import decode_pairs
from previewops.redis_server.connection import is_wrong_type
from previewops.settings import Settings
from previewops.snapshot.model import EventPage, QueueEvent

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_PAGE_SIZE = 1_000

EVENT_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
_TIME = re.compile(r"[0-9]{1,15}")


class EventLog:
    """Reads the streams of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._redis = redis

    async def page(
        self, *, operators: bool = False, before: str | None = None, since_ms: int = 0, limit: int = 100
    ) -> EventPage:
        """Returns up to ``limit`` (at most 1,000) events, newest first.

        Args:
            operators: only actions of operators.
            before: only events older than this event id, the ``next_id`` of an earlier page.
            since_ms: only events of this server time, in ms since the epoch, or later.
            limit: maximum number of events.
        """
        key = self.keys.actions if operators else self.keys.events
        newest, oldest = "+" if before is None else f"({before}", str(since_ms)
        if before is not None and not any(map(int, before.split("-"))):
            return EventPage((), None)  # Redis rejects a range that ends before its smallest id
        count = max(1, min(limit, MAX_PAGE_SIZE))
        try:
            rows = await self._redis.xrevrange(key, newest, oldest, count + 1)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            rows = []  # `previewops doctor` reports it
        events = tuple(_decode(row) for row in rows[:count])
        return EventPage(events, events[-1].event_id if len(rows) > count else None)


def _decode(row: Any) -> QueueEvent:
    raw_id, fields = row
    flat = [part for pair in fields.items() for part in pair]
    return parse_event(int(raw_id.partition(b"-")[0]), raw_id, flat)


def parse_event(now_ms: int, raw_id: bytes, flat: Sequence[bytes]) -> QueueEvent:
    """Decodes an entry of a stream: its id, and names and values in turn.

    An entry that somebody added by hand may lack fields, and have any id: then its time is that of its id, or
    ``now_ms``.
    """
    fields, event_id = decode_pairs(flat), raw_id.decode()
    at_ms, id_ms = fields.pop("at", ""), event_id.partition("-")[0]
    moment_ms = next((int(text) for text in (at_ms, id_ms) if _TIME.fullmatch(text)), now_ms)
    return QueueEvent(event_id, moment_ms, fields.pop("kind", ""), fields)


def event_as_json(event: QueueEvent) -> dict[str, Any]:
    """The event as commands and the API print it."""
    return {
        "id": event.event_id,
        "at": iso_from_ms(event.at_ms),
        "kind": event.kind,
        "fields": dict(event.fields),
    }
