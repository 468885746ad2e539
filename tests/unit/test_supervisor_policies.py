"""The supervisor's policies: what is done after an exit, how many workers, when one is recycled, when one hangs."""

from __future__ import annotations

import random
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_USAGE
from previewops.snapshot.fleet import WorkerCountRange
from previewops.supervisor.autoscaling import (
    BUSY_CPU,
    SCALE_DOWN_WINDOW_S,
    SCALE_UP_WINDOW_S,
    SHORT_BACKLOG_S,
    Autoscaler,
    Load,
    desired_workers,
)
from previewops.supervisor.hang_policy import (
    DRAIN_GRACE_S,
    RUN_MARGIN_S,
    START_S,
    HeartbeatTracker,
    hang_reason,
    silence_limit_s,
)
from previewops.supervisor.recycle_policy import JITTER, RecycleLimits, recycle_reason
from previewops.supervisor.restart_policy import (
    FIRST_BACKOFF_S,
    HEALTHY_UPTIME_S,
    MAX_BACKOFF_S,
    MAX_RAPID_EXITS,
    Fatal,
    Restart,
    WorkerExit,
    backoff_s,
    count_rapid_exits,
    decide_restart,
)

GIB = 2**30
dice = st.integers(0, 2**32).map(random.Random)


class Fixed:
    """Dice that always fall on the same share of the range."""

    def __init__(self, share: float) -> None:
        self.share = share

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.share


# ---------------------------------------------------------------- exits


@pytest.mark.parametrize("status", [EXIT_USAGE, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_CONFIG])
def test_a_boot_error_never_loops(status: int) -> None:
    ended = WorkerExit(status, 0.5, reported=False)
    assert isinstance(decide_restart(ended, 1, Fixed(0)), Fatal)
    # The same status of a worker that had worked is one more death.
    assert isinstance(
        decide_restart(WorkerExit(status, HEALTHY_UPTIME_S, reported=True), 0, Fixed(0)), Restart
    )


def test_a_worker_that_keeps_dying_early_is_given_up_and_one_that_worked_is_not() -> None:
    quick = WorkerExit(EXIT_FAILED, 0.5, reported=True)
    deaths, pauses = 0, []
    while True:
        deaths = count_rapid_exits(quick, deaths)
        decision = decide_restart(quick, deaths, Fixed(1))
        if isinstance(decision, Fatal):
            break
        pauses.append(decision.delay_s)
    assert deaths == MAX_RAPID_EXITS
    assert pauses == [FIRST_BACKOFF_S * 2**n for n in range(MAX_RAPID_EXITS - 1)]
    assert "5 times in a row" in decision.reason
    assert "status 1" in decision.reason
    assert count_rapid_exits(WorkerExit(EXIT_FAILED, HEALTHY_UPTIME_S, reported=True), 4) == 0
    assert count_rapid_exits(WorkerExit(EXIT_FAILED, HEALTHY_UPTIME_S, reported=False), 4) == 5


@given(deaths=st.integers(0, 10_000), dice=dice)
def test_pauses_are_capped_never_hot_and_jittered(deaths: int, dice: random.Random) -> None:
    pause = backoff_s(deaths, dice)
    assert FIRST_BACKOFF_S / 2 <= pause <= MAX_BACKOFF_S
    assert backoff_s(deaths, Fixed(0)) <= pause <= backoff_s(deaths, Fixed(1))
    assert backoff_s(deaths, Fixed(0)) == backoff_s(deaths, Fixed(1)) / 2
    assert backoff_s(deaths, Fixed(1)) <= backoff_s(deaths + 1, Fixed(1))


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (WorkerExit(0, 1, reported=True), "status 0"),
        (WorkerExit(None, 1, reported=True), "how is not known"),
        (WorkerExit(-signal.SIGTERM, 1, reported=True), "SIGTERM"),
        (WorkerExit(-signal.SIGKILL, 1, reported=True), "SIGKILL"),
        (
            WorkerExit(-signal.SIGKILL, 1, reported=True, oom_kill_seen=True),
            "SIGKILL, probably out of memory",
        ),
        (WorkerExit(-signal.SIGTERM, 1, reported=True, oom_kill_seen=True), "SIGTERM"),
        (WorkerExit(-signal.SIGKILL, 1, reported=True, cause="killed: hung"), "killed: hung"),
        (WorkerExit(-40, 1, reported=True), "signal 40"),
    ],
)
def test_exits_are_told_in_words(ended: WorkerExit, words: str) -> None:
    assert ended.describe() == words
    assert ended.probably_out_of_memory == ("memory" in words)


# ---------------------------------------------------------------- demand


def load(**changes: float) -> Load:
    values = {
        "waiting": 0,
        "active": 0,
        "rate": 0.0,
        "slots": 2,
        "slots_elsewhere": 0,
        "paused": False,
        "cpu": 0.1,
        "free_bytes": 64 * GIB,
        "worker_bytes": GIB,
        **changes,
    }
    return Load(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_load", "running", "needed"),
    [
        (load(), 3, 0),
        (load(waiting=7), 1, 4),
        (load(waiting=7, active=2), 1, 5),
        (load(waiting=7, active=2, slots_elsewhere=6), 1, 2),
        (load(waiting=100, paused=True, active=2), 4, 1),
        (load(waiting=100, rate=100 / SHORT_BACKLOG_S), 2, 2),
        (load(waiting=101, rate=100 / SHORT_BACKLOG_S), 2, 51),
        (load(waiting=100, cpu=BUSY_CPU), 2, 2),
        (load(waiting=100, free_bytes=3 * GIB), 2, 5),
        (load(waiting=100, free_bytes=GIB - 1), 2, 2),
        (load(waiting=2, free_bytes=0, cpu=1.0), 3, 1),
    ],
)
def test_need_follows_backlog_rate_and_head_room(given_load: Load, running: int, needed: int) -> None:
    assert desired_workers(given_load, running) == needed


needs = st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 20)), max_size=200)
bounds = st.tuples(st.integers(0, 10), st.integers(0, 10)).map(
    lambda ends: WorkerCountRange(min(ends), max(ends))
)


@given(needs=needs, bounds=bounds, start=st.integers(0, 20))
def test_demand_stays_in_bounds_and_never_saws(
    needs: list[tuple[float, int]], bounds: WorkerCountRange, start: int
) -> None:
    now, demand, risen = 0.0, Autoscaler(bounds.clamp(start)), None
    for passed, needed in needs:
        now += passed
        before, demand = demand, demand.observe(now, needed, bounds)
        assert bounds.minimum <= demand.target <= bounds.maximum
        if demand.target > before.target:
            assert demand.target <= bounds.clamp(needed)
            risen = now
        if demand.target < before.target:
            assert demand.target >= bounds.clamp(needed)
            assert risen is None or now - risen >= SCALE_DOWN_WINDOW_S


def test_demand_rises_soon_and_falls_late() -> None:
    limits = WorkerCountRange(1, 8)
    demand = Autoscaler(1)
    for second in range(3):
        demand = demand.observe(second, 6, limits)
        assert demand.target == (6 if second >= SCALE_UP_WINDOW_S else 1)
    second = 2
    while demand.target == 6:
        second += 1
        demand = demand.observe(second, 2, limits)
    assert demand.target == 2
    assert second == 2 + SCALE_DOWN_WINDOW_S


@given(period=st.integers(1, 25), high=st.integers(2, 8))
def test_a_load_that_comes_and_goes_is_followed_once(period: int, high: int) -> None:
    limits, demand, changes = WorkerCountRange(1, 8), Autoscaler(1), 0
    for second in range(600):
        before = demand.target
        demand = demand.observe(second, high if second // period % 2 else 1, limits)
        changes += demand.target != before
    assert changes <= 1


def test_what_was_wanted_before_it_was_looked_at_is_not_held_against_a_fall_too_soon() -> None:
    demand = Autoscaler(4)
    for second in range(int(SCALE_DOWN_WINDOW_S)):
        demand = demand.observe(second, 1, WorkerCountRange(1, 8))
        assert demand.target == 4
    assert demand.observe(SCALE_DOWN_WINDOW_S, 1, WorkerCountRange(1, 8)).target == 1


def test_new_bounds_hold_at_once() -> None:
    demand = Autoscaler(4, ((0.0, 4),), 0.0)
    assert demand.with_bounds(WorkerCountRange(6, 8)) == Autoscaler(6)
    assert demand.with_bounds(WorkerCountRange(0, 2)) == Autoscaler(2)


# ---------------------------------------------------------------- recycling


def test_a_worker_is_recycled_at_its_own_limits() -> None:
    limits = RecycleLimits(rss_bytes=GIB, jobs=100, age_s=7200)
    assert recycle_reason(limits, rss_bytes=GIB - 1, jobs=99, age_s=7199) is None
    assert recycle_reason(limits, rss_bytes=GIB, jobs=0, age_s=0) == "it holds 1024 MiB"
    assert recycle_reason(limits, rss_bytes=0, jobs=100, age_s=0) == "it has done 100 jobs"
    assert recycle_reason(limits, rss_bytes=0, jobs=0, age_s=7200) == "it is 2.0 h old"
    assert recycle_reason(RecycleLimits(), rss_bytes=2**60, jobs=2**60, age_s=1e12) is None


@given(dice=dice)
def test_limits_are_drawn_a_little_below_what_is_configured(dice: random.Random) -> None:
    drawn = RecycleLimits(rss_bytes=GIB, jobs=100).jittered(dice)
    assert drawn.rss_bytes is not None
    assert drawn.jobs is not None
    assert (1 - JITTER) * GIB <= drawn.rss_bytes <= GIB
    assert (1 - JITTER) * 100 <= drawn.jobs <= 100
    assert drawn.age_s is None


# ---------------------------------------------------------------- hanging


def judged(watch: HeartbeatTracker, *, oldest_run_s: float = 0, draining: bool = False) -> str | None:
    return hang_reason(
        watch, heartbeat_ms=1000, oldest_run_s=oldest_run_s, job_timeout_s=120, draining=draining
    )


def test_silence_counts_between_answers_only() -> None:
    watch = HeartbeatTracker().after_poll(5, 1.0)
    assert watch == HeartbeatTracker(5, 0.0)
    for _ in range(3):
        watch = watch.after_poll(5, 1.0)
    assert judged(watch) is None
    assert judged(watch.after_failed_poll().after_poll(5, 1.0)) is None
    assert judged(watch.after_poll(6, 1.0)) is None
    hung = watch.after_poll(5, 1.0)
    assert judged(hung) == "hung: no heartbeat for 4 s"
    assert judged(hung, draining=True) is None
    assert judged(hung.after_poll(None, DRAIN_GRACE_S), draining=True) is not None


def test_a_hang_is_noticed_in_time_for_the_promise() -> None:
    # Silence, a look a second, two seconds for the stack, of ten.
    assert silence_limit_s(1000) + 1 + 2 < 10
    assert silence_limit_s(100) == 3.0


def test_a_start_may_take_longer() -> None:
    watch = HeartbeatTracker().after_poll(None, START_S - 1)
    assert judged(watch) is None
    assert judged(watch.after_poll(None, 1.0)) == "hung: no first heartbeat for 60 s"


def test_a_stuck_slot_is_told_by_the_age_of_its_run() -> None:
    watch = HeartbeatTracker().after_poll(5, 0.0)
    assert judged(watch, oldest_run_s=120 + RUN_MARGIN_S - 1) is None
    assert "a slot is stuck" in str(judged(watch, oldest_run_s=120 + RUN_MARGIN_S))
