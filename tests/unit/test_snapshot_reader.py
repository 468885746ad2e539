"""Snapshots: values parsed from the script's reply."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewops.snapshot.model import CounterBucket, QueueEvent, RunningJob, Snapshot
from previewops.snapshot.reader import _snapshot
from previewops.states import Priority

NAMES = (
    "accepted",
    "completed",
    "died",
    "cancelled",
    "discarded",
    "retried",
    "crashed",
    "requeued",
    "refused",
)
META = [b"sequence", b"99", b"accepted", b"20", b"completed", b"5", b"cancelled", b"1", b"discarded", b"2"]
REPLY = [
    b"1700000000000",
    META,
    1,
    2,
    3,
    2,
    1,
    4,
    3,
    b"1699999999000000",
    b"",
    b"1699999990000000",
    [[b"w1", b"1699999999500", b'{"host":"h","pid":7}']],
    [[b"169999999", [b"accepted", b"2", b"w5", b"3", b"r13", b"4", b"retried", b"1"]]],
    [[b"28333332", [b"completed", b"7", b"w5", b"9"]]],
    [[b"s1", b"1699999990000", b'{"host":"h","count":2,"workers":[{"id":"w1","phase":"running"}]}']],
    [
        [b"1699999999000-1", [b"kind", b"paused", b"at", b"1699999999000", b"who", b"ann"]],
        [b"1699999998000-0", [b"kind", b"dead", b"at", b"1699999998000", b"job", b"a"]],
    ],
    [[b"a", [b"active", b"7", b"p", b"high", b"w1", b"1699999999400", b"0.5", b"frames", b"1", b"0"]]],
    [0],
]


def test_reply_parses_to_a_snapshot() -> None:
    snapshot = _snapshot("q", REPLY)
    assert snapshot.waiting == {Priority.HIGH: 1, Priority.NORMAL: 2, Priority.LOW: 3}
    assert (snapshot.delayed, snapshot.active, snapshot.dead) == (2, 1, 3)
    assert (snapshot.backlog, snapshot.pending) == (8, 9)
    assert snapshot.unaccounted == 20 - 5 - 1 - 2 - 3 - 9 == 0
    assert snapshot.oldest_waiting_ms == 10_000
    assert set(snapshot.counters) == set(NAMES)
    assert (snapshot.workers[0].host, snapshot.workers[0].heartbeat_ms) == ("h", 1_699_999_999_500)
    assert snapshot.buckets == (
        CounterBucket(1_699_999_990_000, {"accepted": 2, "retried": 1}, {5: 3}, {13: 4}),
    )


def test_optional_parts_of_a_reply_are_parsed() -> None:
    snapshot = _snapshot("q", REPLY, 600, 60)
    assert snapshot.minutes == (CounterBucket(1_699_999_920_000, {"completed": 7}, {5: 9}, {}, 60_000),)
    assert snapshot.minutes[0].number == 28_333_332
    (supervisor,) = snapshot.supervisors
    assert (supervisor.supervisor_id, supervisor.silent, supervisor.state.count) == ("s1", False, 2)
    assert [worker.phase for worker in supervisor.state.workers] == ["running"]
    assert snapshot.events == (
        QueueEvent("1699999998000-0", 1_699_999_998_000, "dead", {"job": "a"}),
        QueueEvent("1699999999000-1", 1_699_999_999_000, "paused", {"who": "ann"}),
    )
    assert snapshot.running_jobs == (
        RunningJob("a", "p", Priority.HIGH, "w1", 1_699_999_999_400, 0.5, "frames", 1, 0),
    )
    assert snapshot.oldest_wait_ms == {Priority.HIGH: 1_000, Priority.NORMAL: 0, Priority.LOW: 10_000}
    assert (snapshot.completed_kept, snapshot.history_s, snapshot.history_min) == (4, 600, 60)


def test_incomplete_event_is_parsed() -> None:
    by_hand = [*REPLY[:16], [[b"1699999999000-1", [b"what", b"ever"]]], *REPLY[17:]]
    assert _snapshot("q", by_hand).events == (
        QueueEvent("1699999999000-1", 1_699_999_999_000, "", {"what": "ever"}),
    )


def test_supervisor_without_heartbeat_is_silent() -> None:
    late = [*REPLY[:15], [[b"s1", b"1699999984999", b"{}"]], *REPLY[16:]]
    (view,) = _snapshot("q", late).supervisors
    assert view.silent
    assert view.as_json()["state"] == "silent"


@pytest.mark.parametrize("name", ["accepted", "completed", "cancelled", "discarded"])
def test_unaccounted_job_is_detected(name: str) -> None:
    snapshot = _snapshot("q", REPLY)
    off = replace(snapshot, counters={**snapshot.counters, name: snapshot.counters[name] + 1})
    assert off.unaccounted == (1 if name == "accepted" else -1)


def test_pause_has_operator_and_reason() -> None:
    paused = _snapshot(
        "q",
        [
            REPLY[0],
            [*META, b"paused", b"1699999999999", b"paused_by", b"ann", b"paused_why", b"x"],
            *REPLY[2:],
        ],
    )
    assert (paused.paused, paused.paused_since_ms, paused.paused_by, paused.pause_reason) == (
        True,
        1_699_999_999_999,
        "ann",
        "x",
    )
    queue_json = paused.as_json()["queue"]
    assert (queue_json["paused"], queue_json["pausedBy"], queue_json["pausedAt"]) == (
        True,
        "ann",
        "2023-11-14T22:13:19.999Z",
    )
    assert _snapshot("q", REPLY).as_json()["queue"]["pausedAt"] is None


def test_clock_step_back_gives_no_negative_age() -> None:
    ahead = [b"1699999000000", *REPLY[1:]]
    assert _snapshot("q", ahead).oldest_waiting_ms == 0


def with_buckets(snapshot: Snapshot, *buckets: CounterBucket) -> Snapshot:
    return replace(snapshot, buckets=buckets)


def test_percentiles_and_sums_cover_all_buckets() -> None:
    snapshot = with_buckets(
        _snapshot("q", REPLY),
        CounterBucket(0, {"completed": 2, "other": 5}, {0: 99}, {10: 1}),
        CounterBucket(10_000, {"completed": 3}, {21: 1}, {10: 1}),
    )
    wait = snapshot.percentiles_ms("wait")
    assert (wait["p50"], wait["p99"]) == (0.5, 0.5)
    last_hour = snapshot.as_json()["lastHour"]
    assert last_hour["completed"] == 5
    assert last_hour["died"] == 0
    assert last_hour["runMs"]["p50"] == snapshot.percentiles_ms("run")["p50"] is not None
