"""Recent history of a queue, accumulated from snapshots. Pure.

It keeps the last hour in 10 s buckets and the last day in minutes. Minutes are also merged here, not only by
workers, so that they are complete immediately and without a live worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from previewops.snapshot.histogram import merge_histograms
from previewops.snapshot.model import MINUTE_MS, TEN_SECONDS_MS, CounterBucket, Snapshot

HOUR_S = 3600
DAY_MIN = 1440
OVERLAP_S = 60
"""Seconds of history that every snapshot repeats; the longest gap between snapshots that loses nothing."""

_PER_MINUTE = MINUTE_MS // TEN_SECONDS_MS
_PER_HOUR = HOUR_S * 1000 // TEN_SECONDS_MS


class Period(StrEnum):
    """Time span of a chart."""

    HOUR = "hour"
    DAY = "day"

    @property
    def bucket_ms(self) -> int:
        """Width of its buckets in ms."""
        return TEN_SECONDS_MS if self is Period.HOUR else MINUTE_MS

    @property
    def buckets(self) -> int:
        """Number of its buckets."""
        return _PER_HOUR if self is Period.HOUR else DAY_MIN


@dataclass(frozen=True, slots=True)
class HistoryColumn:
    """Sum of the buckets that begin within ``width_ms`` from ``start_ms`` (server)."""

    start_ms: int
    width_ms: int
    counts: Mapping[str, int]
    wait: Mapping[int, int]
    run: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class History:
    """Buckets by index, and the first index from which they are complete. ``now_ms`` is that of the last snapshot."""

    tens: Mapping[int, CounterBucket] = field(default_factory=dict)
    minutes: Mapping[int, CounterBucket] = field(default_factory=dict)
    tens_since: int | None = None
    minutes_since: int | None = None
    now_ms: int = 0
    _columns: dict[tuple[Period, int, int], tuple[HistoryColumn, ...]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    """What ``columns`` has returned: several charts of one width are drawn from it, several times."""

    def with_snapshot(self, snapshot: Snapshot) -> History:
        """Returns the history with a snapshot added and buckets older than a day removed.

        It restarts if the server's clock went back by more than a minute, as after a fail-over.
        """
        if snapshot.now_ms < self.now_ms - MINUTE_MS:
            return History().with_snapshot(snapshot)
        now_ms = max(self.now_ms, snapshot.now_ms)
        current, minute = now_ms // TEN_SECONDS_MS, now_ms // MINUTE_MS
        first = current + 1 - snapshot.history_s * 1000 // TEN_SECONDS_MS
        # The bucket of the previous snapshot was still open, so this snapshot must include it again.
        joined = self.tens_since is not None and first <= self.now_ms // TEN_SECONDS_MS
        first_minute = minute - snapshot.history_min if snapshot.history_min else -(-first // _PER_MINUTE)
        tens = {**self.tens, **{bucket.number: bucket for bucket in snapshot.buckets}}
        minutes = dict(self.minutes)
        for bucket in snapshot.minutes:
            minutes[bucket.number] = prefer_complete(minutes.get(bucket.number), bucket)
        kept_minute = (current - _PER_HOUR) // _PER_MINUTE
        old = (bucket for n, bucket in tens.items() if n // _PER_MINUTE < kept_minute)
        for number, bucket in merge_buckets(old):
            minutes[number] = prefer_complete(minutes.get(number), bucket)
        return History(
            tens={n: bucket for n, bucket in tens.items() if n // _PER_MINUTE >= kept_minute},
            minutes={n: bucket for n, bucket in minutes.items() if n >= minute - DAY_MIN},
            tens_since=_earlier(self.tens_since if joined else None, first),
            minutes_since=_earlier(self.minutes_since if joined else None, first_minute),
            now_ms=now_ms,
        )

    def required_depth(self, now_known: bool) -> tuple[int, int]:
        """Returns ``history_s`` and ``history_min`` that the next ``SnapshotReader.read`` has to request.

        Everything at first and after a gap, later only the last buckets. ``now_known``: the caller read a
        snapshot within ``OVERLAP_S``; False if uncertain.
        """
        current, minute = self.now_ms // TEN_SECONDS_MS, self.now_ms // MINUTE_MS
        complete = (
            self.tens_since is not None
            and self.minutes_since is not None
            and self.tens_since <= current + 1 - _PER_HOUR
            and self.minutes_since <= minute - DAY_MIN + 1
        )
        return (OVERLAP_S, 0) if now_known and complete else (HOUR_S, DAY_MIN)

    def columns(self, period: Period, count: int, now_ms: int) -> tuple[HistoryColumn, ...]:
        """Returns exactly ``count`` columns; the last one contains ``now_ms`` (server).

        The width is the smallest multiple of the bucket width with which ``count`` columns cover ``period``.
        Columns start at multiples of their width, so that a bucket stays in its column over time. Columns
        before the history are empty.

        Raises:
            ValueError: ``count`` is below 1.
        """
        if count < 1:
            raise ValueError(f"number of columns: found {count}, allowed 1 or more")
        key = (period, count, now_ms)
        if key not in self._columns:
            self._columns[key] = self._make_columns(*key)
        return self._columns[key]

    def _make_columns(self, period: Period, count: int, now_ms: int) -> tuple[HistoryColumn, ...]:
        width_ms = -(-period.buckets // count) * period.bucket_ms
        first = now_ms // width_ms - count + 1
        members: list[list[CounterBucket]] = [[] for _ in range(count)]
        for bucket in self.tens.values() if period is Period.HOUR else self._all_minutes():
            index = bucket.start_ms // width_ms - first
            if 0 <= index < count:
                members[index].append(bucket)
        return tuple(
            HistoryColumn((first + index) * width_ms, width_ms, *_sums(buckets))
            for index, buckets in enumerate(members)
        )

    def rate_per_min(self, name: str, window_ms: int, now_ms: int) -> float:
        """Returns how often per minute ``name`` was counted in the last ``window_ms`` (an hour at most).

        Uses whole buckets and the current one, divided by their actual duration: at least the last 10 s.
        """
        current = now_ms // TEN_SECONDS_MS
        first = min((now_ms - window_ms) // TEN_SECONDS_MS + 1, current - 1)
        counted = sum(bucket.counts.get(name, 0) for n, bucket in self.tens.items() if first <= n <= current)
        return counted * MINUTE_MS / (now_ms - first * TEN_SECONDS_MS)

    def count_within(self, name: str, window_ms: int, now_ms: int) -> int:
        """Returns a lower bound for the counts of ``name`` in the last ``window_ms`` (an hour at most).

        Excludes a bucket that began before the window, because its share is unknown.
        """
        first = -(-(now_ms - window_ms) // TEN_SECONDS_MS)
        return sum(bucket.counts.get(name, 0) for number, bucket in self.tens.items() if number >= first)

    def _all_minutes(self) -> Iterable[CounterBucket]:
        minutes = dict(self.minutes)
        for number, bucket in merge_buckets(self.tens.values()):
            minutes[number] = prefer_complete(minutes.get(number), bucket)
        return minutes.values()


def _earlier(known: int | None, new: int) -> int:
    return new if known is None else min(known, new)


def _sums(buckets: Sequence[CounterBucket]) -> tuple[dict[str, int], dict[int, int], dict[int, int]]:
    return (
        merge_histograms(bucket.counts for bucket in buckets),
        merge_histograms(bucket.wait for bucket in buckets),
        merge_histograms(bucket.run for bucket in buckets),
    )


def merge_buckets(tens: Iterable[CounterBucket]) -> Iterable[tuple[int, CounterBucket]]:
    """Merges 10 s buckets into minutes, by index; a minute may be partial."""
    members: dict[int, list[CounterBucket]] = {}
    for bucket in tens:
        members.setdefault(bucket.start_ms // MINUTE_MS, []).append(bucket)
    for number, buckets in members.items():
        yield number, CounterBucket(number * MINUTE_MS, *_sums(buckets), MINUTE_MS)


def prefer_complete(known: CounterBucket | None, new: CounterBucket) -> CounterBucket:
    """Returns the more complete of two buckets of one minute: the one with more counts, because counts only grow."""
    return new if known is None or _total(new) >= _total(known) else known


def _total(bucket: CounterBucket) -> int:
    return sum(bucket.counts.values()) + sum(bucket.wait.values()) + sum(bucket.run.values())
