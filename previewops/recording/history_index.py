"""Buckets and events of all chapters, from which a frame gets the history before it. Pure.

Buckets and events are kept as JSON, which takes a tenth of the memory of the values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

from previewops.formatting import pluralize
from previewops.recording.format import pack, unpack
from previewops.snapshot.history import DAY_MIN, HOUR_S, merge_buckets, prefer_complete
from previewops.snapshot.model import MINUTE_MS, TEN_SECONDS_MS, CounterBucket, QueueEvent, Snapshot

MAX_EVENTS = 1_000
"""Latest events of a frame with its history."""

MAX_BYTES = 128 << 20
"""Limit for the whole index. A queue that works day and night adds about 4 MB a day."""

_ENTRY_BYTES = 150
"""Memory of an entry besides its JSON: its number and its place in a table."""

_MAX_AGE_MS = (DAY_MIN + 1) * MINUTE_MS
"""Age of the first minute of the day before a frame."""

_PER_MINUTE = MINUTE_MS // TEN_SECONDS_MS
_PER_HOUR = HOUR_S * 1000 // TEN_SECONDS_MS


class HistoryIndex:
    """Buckets by number, and events in the order of time."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._tens: dict[int, bytes] = {}
        self._minutes: dict[int, bytes] = {}
        self._events: list[bytes] = []
        self._last_event = (-1, -1)
        self._max_bytes = max_bytes
        self._bytes = 0

    @property
    def event_count(self) -> int:
        """Number of events in the index."""
        return len(self._events)

    def add(self, snapshot: Snapshot) -> str:
        """Adds the last snapshot of a chapter. Returns why some of it was left out, "" if nothing was."""
        complete = True
        tens, minutes = (_of_last_day(snapshot, buckets) for buckets in (snapshot.buckets, snapshot.minutes))
        for bucket in tens:
            complete &= self._store(self._tens, bucket.number, pack(bucket))
        for bucket in minutes:
            known = self._minute(bucket.number)
            complete &= self._store(self._minutes, bucket.number, pack(prefer_complete(known, bucket)))
        for event in snapshot.events[-MAX_EVENTS:]:
            position = _stream_position(event)
            if position > self._last_event:
                self._last_event = position
                packed = pack(event)
                if self._reserve(_ENTRY_BYTES + len(packed)):
                    self._events.append(packed)
                else:
                    complete = False
        if not complete:
            return f"the history takes more than the allowed {self._max_bytes:,} bytes; the rest is left out"
        if excluded := len(snapshot.buckets) + len(snapshot.minutes) - len(tens) - len(minutes):
            return f"{pluralize(excluded, 'bucket')} not of the day before the frame, left out"
        return ""

    def build_minutes(self) -> None:
        """Adds up minutes from 10 s buckets. Called after the last ``add``."""
        for number, tens in groupby(sorted(self._tens), lambda number: number // _PER_MINUTE):
            for _, bucket in merge_buckets([_bucket(self._tens[ten]) for ten in tens]):
                self._minutes[number] = pack(prefer_complete(self._minute(number), bucket))

    def with_history(self, snapshot: Snapshot, events_before: int) -> Snapshot:
        """Returns a snapshot with the hour, the day and the latest events before it.

        ``events_before`` is the value of ``event_count`` before the chapter of the snapshot was added.
        """
        current, minute = snapshot.now_ms // TEN_SECONDS_MS, snapshot.now_ms // MINUTE_MS
        first = current + 1 - snapshot.history_s * 1000 // TEN_SECONDS_MS
        tens = _select(self._tens, range(current + 1 - _PER_HOUR, first))
        day = _select(self._minutes, range(minute - DAY_MIN, minute))
        minutes = {bucket.number: bucket for bucket in day}
        for bucket in snapshot.minutes:
            minutes[bucket.number] = prefer_complete(minutes.get(bucket.number), bucket)
        return replace(
            snapshot,
            buckets=(*tens, *snapshot.buckets),
            minutes=tuple(minutes[number] for number in sorted(minutes)),
            events=self._latest(snapshot.events, events_before),
            history_s=max(HOUR_S, snapshot.history_s),
            history_min=max(DAY_MIN, snapshot.history_min),
        )

    def _latest(self, own: tuple[QueueEvent, ...], before: int) -> tuple[QueueEvent, ...]:
        known = [unpack(packed, QueueEvent) for packed in self._events[max(0, before - MAX_EVENTS) : before]]
        last = _stream_position(known[-1]) if known else (-1, -1)
        return (*known, *(event for event in own if _stream_position(event) > last))[-MAX_EVENTS:]

    def _store(self, table: dict[int, bytes], number: int, packed: bytes) -> bool:
        """Stores a bucket. Returns False if there is no room for it."""
        known = table.get(number)
        stored = self._reserve(len(packed) - (-_ENTRY_BYTES if known is None else len(known)))
        if stored:
            table[number] = packed
        return stored

    def _reserve(self, size: int) -> bool:
        """Counts ``size`` bytes. Returns False if they are beyond the limit."""
        fits = self._bytes + size <= self._max_bytes
        if fits:
            self._bytes += size
        return fits

    def _minute(self, number: int) -> CounterBucket | None:
        packed = self._minutes.get(number)
        return None if packed is None else _bucket(packed)


def _of_last_day(snapshot: Snapshot, buckets: Iterable[CounterBucket]) -> list[CounterBucket]:
    """Returns the buckets of the day before a snapshot. A recorder writes no others."""
    return [bucket for bucket in buckets if 0 <= snapshot.now_ms - bucket.start_ms <= _MAX_AGE_MS]


def _select(buckets: dict[int, bytes], numbers: Iterable[int]) -> list[CounterBucket]:
    return [_bucket(buckets[number]) for number in numbers if number in buckets]


@lru_cache(maxsize=2_048)
def _bucket(packed: bytes) -> CounterBucket:
    """Parses a bucket. An hour and a day of them are 1,800, and the next frame needs nearly the same."""
    return unpack(packed, CounterBucket)


def _stream_position(event: QueueEvent) -> tuple[int, int]:
    """Returns an event's position in the stream: the two numbers of its Redis id."""
    ms, _, sequence = event.event_id[:41].partition("-")
    return (int(ms) if ms.isdecimal() else 0, int(sequence) if sequence.isdecimal() else 0)
