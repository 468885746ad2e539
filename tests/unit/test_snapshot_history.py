"""History from snapshots: an hour and a day without gaps or double counts, in columns that keep their
buckets.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.snapshot.history import DAY_MIN, HOUR_S, OVERLAP_S, History, HistoryColumn, Period
from previewops.snapshot.model import MINUTE_MS, TEN_SECONDS_MS, CounterBucket, Snapshot
from previewops.states import Priority

NOW_MS = 1_700_000_000_000  # within a minute, at the start of a 10 s bucket
EVERYTHING = (HOUR_S, DAY_MIN)
FEW = (OVERLAP_S, 0)


class Server:
    """Completed jobs by ms, and the snapshots that the queue would return. Minutes are merged up to
    ``rolled_ms``.
    """

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms
        self.rolled_ms = now_ms
        self.ends: list[int] = []

    def advance(self, ms: int, *, ends: int = 0, rolls: bool = True) -> None:
        """Advances the clock; ``ends`` jobs end at the new time."""
        self.now_ms += ms
        self.ends += [self.now_ms] * ends
        if rolls:
            self.rolled_ms = self.now_ms

    def snapshot(self, history_s: int, history_min: int) -> Snapshot:
        current, minute = self.now_ms // TEN_SECONDS_MS, self.now_ms // MINUTE_MS
        rolled = [end for end in self.ends if end // TEN_SECONDS_MS < self.rolled_ms // TEN_SECONDS_MS]
        return Snapshot(
            queue_name="q",
            now_ms=self.now_ms,
            paused=False,
            paused_since_ms=None,
            paused_by="",
            pause_reason="",
            waiting=dict.fromkeys(Priority, 0),
            delayed=0,
            active=0,
            dead=0,
            oldest_waiting_ms=0,
            counters={},
            workers=(),
            buckets=_buckets(self.ends, TEN_SECONDS_MS, current - history_s // 10 + 1, current),
            minutes=_buckets(rolled, MINUTE_MS, minute - history_min, minute - 1),
            history_s=history_s,
            history_min=history_min,
        )

    def read_into(self, history: History) -> History:
        return history.with_snapshot(self.snapshot(*history.required_depth(True)))


def _buckets(ends: list[int], width_ms: int, first: int, last: int) -> tuple[CounterBucket, ...]:
    counted: dict[int, int] = {}
    for end in ends:
        if first <= end // width_ms <= last:
            counted[end // width_ms] = counted.get(end // width_ms, 0) + 1
    return tuple(
        CounterBucket(n * width_ms, {"completed": count}, {}, {7: count}, width_ms)
        for n, count in sorted(counted.items())
    )


def total(columns: tuple[HistoryColumn, ...]) -> int:
    assert sum(count for column in columns for count in column.run.values()) == sum(
        column.counts.get("completed", 0) for column in columns
    )
    return sum(column.counts.get("completed", 0) for column in columns)


def test_full_depth_is_required_once_then_only_the_overlap() -> None:
    server = Server()
    history = History()
    assert history.required_depth(True) == EVERYTHING
    history = server.read_into(history)
    assert history.required_depth(True) == FEW
    for _ in range(500):
        server.advance(9_000)
        history = server.read_into(history)
        assert history.required_depth(True) == FEW


def test_full_depth_is_required_if_now_is_unknown() -> None:
    assert Server().read_into(History()).required_depth(False) == EVERYTHING


@pytest.mark.parametrize(
    ("gap_ms", "expected"), [(50_000, FEW), (60_000, EVERYTHING), (HOUR_S * 2000, EVERYTHING)]
)
def test_full_depth_is_required_after_a_gap(gap_ms: int, expected: tuple[int, int]) -> None:
    server = Server()
    history = server.read_into(History())
    server.advance(gap_ms)
    history = server.read_into(history)
    assert history.required_depth(True) == expected
    assert server.read_into(history).required_depth(True) == FEW


def test_next_snapshot_fills_a_gap() -> None:
    server = Server()
    history = server.read_into(History())
    server.advance(30_000, ends=3)
    server.advance(HOUR_S * 3_000, ends=4)
    history = server.read_into(server.read_into(history))
    assert total(history.columns(Period.DAY, 48, server.now_ms)) == 7


def test_growing_bucket_is_counted_once() -> None:
    server = Server()
    history = History()
    for _ in range(60):
        server.advance(700, ends=2)
        history = server.read_into(history)
    assert total(history.columns(Period.HOUR, 360, server.now_ms)) == 120
    assert total(history.columns(Period.DAY, 100, server.now_ms)) == 120


def test_day_is_complete_without_workers_merging_minutes() -> None:
    server = Server()
    history = server.read_into(History())
    for _ in range(3 * 360):
        server.advance(10_000, ends=1, rolls=False)
        history = server.read_into(history)
    assert total(history.columns(Period.DAY, 24, server.now_ms)) == 3 * 360
    assert total(history.columns(Period.HOUR, 60, server.now_ms)) in range(354, 361)


def test_partial_minute_does_not_replace_a_complete_one() -> None:
    server = Server()
    history = server.read_into(History())
    for _ in range(12):
        server.advance(10_000, ends=1, rolls=False)
        history = server.read_into(history)
    server.rolled_ms = server.now_ms - 40_000
    history = history.with_snapshot(server.snapshot(*EVERYTHING))
    assert total(history.columns(Period.DAY, 60, server.now_ms)) == 12


def test_older_buckets_are_removed() -> None:
    server = Server()
    server.advance(0, ends=5)
    history = server.read_into(History())
    server.advance((DAY_MIN + 2) * MINUTE_MS)
    history = server.read_into(history)
    assert not history.tens
    assert not history.minutes


def test_size_stays_bounded() -> None:
    server = Server()
    history = server.read_into(History())
    for _ in range(DAY_MIN + 120):
        server.advance(20_000, ends=1)
        server.advance(20_000, ends=1)
        server.advance(20_000, ends=1)
        server.ends = server.ends[-200:]
        history = server.read_into(history)
    assert len(history.tens) <= 372
    assert len(history.minutes) <= DAY_MIN + 1


def test_history_restarts_if_the_clock_goes_back() -> None:
    server = Server()
    server.advance(0, ends=5)
    history = server.read_into(History())
    other = Server(NOW_MS - 120_000)
    history = other.read_into(history)
    assert history.now_ms == other.now_ms
    assert not history.tens


@given(
    span=st.sampled_from(Period),
    count=st.integers(1, 500),
    now_ms=st.integers(NOW_MS, NOW_MS + 10**7),
    step_ms=st.integers(0, 30_000),
)
def test_columns_have_the_requested_count_and_keep_their_buckets(
    span: Period, count: int, now_ms: int, step_ms: int
) -> None:
    server = Server(now_ms)
    for back in range(0, 3_000_000, 70_000):
        server.ends.append(now_ms - back)
    history = server.read_into(History())
    columns = history.columns(span, count, now_ms)
    assert len(columns) == count
    width_ms = columns[0].width_ms
    assert width_ms % span.bucket_ms == 0
    assert count * width_ms >= span.buckets * span.bucket_ms > count * (width_ms - span.bucket_ms)
    for one, following in itertools.pairwise(columns):
        assert following.start_ms == one.start_ms + width_ms
    assert all(column.start_ms % width_ms == 0 for column in columns)
    assert columns[-1].start_ms <= now_ms < columns[-1].start_ms + width_ms
    for column in columns:
        ends = [end for end in server.ends if column.start_ms <= end < column.start_ms + width_ms]
        assert column.counts.get("completed", 0) == len(ends)
    later = {column.start_ms: column for column in history.columns(span, count, now_ms + step_ms)}
    for column in columns:
        assert later.get(column.start_ms, column) == column


def test_zero_columns_are_rejected() -> None:
    with pytest.raises(ValueError, match="number of columns"):
        History().columns(Period.HOUR, 0, NOW_MS)


def test_rate_uses_the_duration_of_its_buckets() -> None:
    server = Server()
    for _ in range(30):
        server.advance(10_000, ends=5)
    server.advance(5_000)
    history = server.read_into(History())
    assert history.rate_per_min("completed", 60_000, server.now_ms) == pytest.approx(30, rel=0.1)
    assert history.rate_per_min("completed", 1, server.now_ms) == pytest.approx(10 * 60 / 15)
    assert history.rate_per_min("died", 60_000, server.now_ms) == 0
    assert History().rate_per_min("completed", 60_000, server.now_ms) == 0


@pytest.mark.parametrize("into_bucket_ms", [1, 2_500, 9_999])
def test_count_within_is_a_lower_bound(into_bucket_ms: int) -> None:
    server = Server()
    server.advance(into_bucket_ms)
    for _ in range(30):
        server.advance(10_000, ends=5)
        history = server.read_into(History())
        within = [end for end in server.ends if end > server.now_ms - 60_000]
        counted = history.count_within("completed", 60_000, server.now_ms)
        assert len(within) - 5 <= counted <= len(within)
    server = Server()
    server.advance(7_000, ends=9)
    assert server.read_into(History()).count_within("completed", 60_000, server.now_ms) == 9
    assert History().count_within("completed", 60_000, server.now_ms) == 0
