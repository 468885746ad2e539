"""What a recording tells of the time before a look: buckets and events. Pure.

Buckets are kept as they are written, a tenth of what the values take, and are read again where they are needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

from previewops.formatting import pluralize
from previewops.recording.forms import BUCKET, EVENT
from previewops.snapshot.history import DAY_MIN, HOUR_S, merge_buckets, prefer_complete
from previewops.snapshot.model import MINUTE_MS, TEN_SECONDS_MS, CounterBucket, QueueEvent, Snapshot

MAX_EVENTS = 1_000
"""So many of the latest events does a look get."""

MAX_BYTES = 128 << 20
"""That is kept of all looks together. A queue that works day and night makes about 4 MB a day."""

_ENTRY_BYTES = 150
"""What keeping one takes beside its bytes: its number, its place in a table."""

_LONGEST_MS = (DAY_MIN + 1) * MINUTE_MS
"""The first minute of the day before a look began so long before it."""

_PER_MINUTE = MINUTE_MS // TEN_SECONDS_MS
_PER_HOUR = HOUR_S * 1000 // TEN_SECONDS_MS


class HistoryIndex:
    """The buckets and events of the looks that were added, in the order of time."""

    def __init__(self, most_bytes: int = MAX_BYTES) -> None:
        self._tens: dict[int, bytes] = {}
        self._minutes: dict[int, bytes] = {}
        self._events: list[bytes] = []
        self._last_event = (-1, -1)
        self._most_bytes = most_bytes
        self._bytes = 0

    @property
    def event_count(self) -> int:
        """How many events are known."""
        return len(self._events)

    def add(self, snapshot: Snapshot) -> str:
        """Takes in the last look of a chapter; returns what was wrong with it and is left out, "" for nothing."""
        whole = True
        tens, minutes = (_before(snapshot, buckets) for buckets in (snapshot.buckets, snapshot.minutes))
        for bucket in tens:
            whole &= self._keep(self._tens, bucket.number, _raw(bucket))
        for bucket in minutes:
            known = self._minute(bucket.number)
            whole &= self._keep(self._minutes, bucket.number, _raw(prefer_complete(known, bucket)))
        for event in snapshot.events[-MAX_EVENTS:]:
            place = _place(event)
            if place > self._last_event:
                self._last_event = place
                raw = json.dumps(EVENT.put(event)).encode()
                if self._has_room(_ENTRY_BYTES + len(raw)):
                    self._events.append(raw)
                else:
                    whole = False
        if not whole:
            return (
                f"the past of all its looks takes more than {self._most_bytes:,} bytes; the rest is left out"
            )
        strange = len(snapshot.buckets) + len(snapshot.minutes) - len(tens) - len(minutes)
        return f"{pluralize(strange, 'bucket')} not of the day before the look, left out" if strange else ""

    def build_minutes(self) -> None:
        """Makes minutes of the tens, once all looks are in."""
        for number, tens in groupby(sorted(self._tens), lambda number: number // _PER_MINUTE):
            for _, bucket in merge_buckets([_bucket(self._tens[ten]) for ten in tens]):
                self._minutes[number] = _raw(prefer_complete(self._minute(number), bucket))

    def with_history(self, snapshot: Snapshot, events: int) -> Snapshot:
        """A look with the hour, the day and the latest events before it. ``events`` had come before its chapter."""
        current, minute = snapshot.now_ms // TEN_SECONDS_MS, snapshot.now_ms // MINUTE_MS
        first = current + 1 - snapshot.history_s * 1000 // TEN_SECONDS_MS
        tens = _found(self._tens, range(current + 1 - _PER_HOUR, first))
        minutes = {bucket.number: bucket for bucket in _found(self._minutes, range(minute - DAY_MIN, minute))}
        for bucket in snapshot.minutes:
            minutes[bucket.number] = prefer_complete(minutes.get(bucket.number), bucket)
        return replace(
            snapshot,
            buckets=(*tens, *snapshot.buckets),
            minutes=tuple(minutes[number] for number in sorted(minutes)),
            events=self._latest(snapshot.events, events),
            history_s=max(HOUR_S, snapshot.history_s),
            history_min=max(DAY_MIN, snapshot.history_min),
        )

    def _latest(self, own: tuple[QueueEvent, ...], before: int) -> tuple[QueueEvent, ...]:
        known = [EVENT.take(json.loads(raw)) for raw in self._events[max(0, before - MAX_EVENTS) : before]]
        last = _place(known[-1]) if known else (-1, -1)
        return (*known, *(event for event in own if _place(event) > last))[-MAX_EVENTS:]

    def _keep(self, table: dict[int, bytes], number: int, raw: bytes) -> bool:
        """Puts a bucket into its table, if there is room for it."""
        known = table.get(number)
        room = self._has_room(len(raw) - (-_ENTRY_BYTES if known is None else len(known)))
        if room:
            table[number] = raw
        return room

    def _has_room(self, more: int) -> bool:
        """Whether so many bytes more can be kept; from then on they count."""
        room = self._bytes + more <= self._most_bytes
        if room:
            self._bytes += more
        return room

    def _minute(self, number: int) -> CounterBucket | None:
        raw = self._minutes.get(number)
        return None if raw is None else _bucket(raw)


def _before(snapshot: Snapshot, buckets: Iterable[CounterBucket]) -> list[CounterBucket]:
    """Those of the day before a look. Others no recorder writes, and no moment would ask for them."""
    return [bucket for bucket in buckets if 0 <= snapshot.now_ms - bucket.start_ms <= _LONGEST_MS]


def _found(buckets: dict[int, bytes], numbers: Iterable[int]) -> list[CounterBucket]:
    return [_bucket(buckets[number]) for number in numbers if number in buckets]


def _raw(bucket: CounterBucket) -> bytes:
    return json.dumps(BUCKET.put(bucket), separators=(",", ":")).encode()


@lru_cache(maxsize=2_048)
def _bucket(raw: bytes) -> CounterBucket:
    """An hour and a day of them are 1,800; the next picture needs nearly the same."""
    return BUCKET.take(json.loads(raw))


def _place(event: QueueEvent) -> tuple[int, int]:
    """An event's place in the stream. Ids of Redis are two numbers with a hyphen between them."""
    ms, _, sequence = event.event_id[:41].partition("-")
    return (int(ms) if ms.isdecimal() else 0, int(sequence) if sequence.isdecimal() else 0)
