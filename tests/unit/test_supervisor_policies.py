"""The supervisor's policies: restarts, autoscaling, recycling, hangs."""

from __future__ import annotations

import random
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_TRY_AGAIN, EXIT_UNREACHABLE, EXIT_USAGE
from previewops.snapshot.fleet import FAILING_AFTER_EXITS, WorkerCountRange
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
    run_age_s,
    silence_limit_s,
)
from previewops.supervisor.recycle_policy import JITTER, RecycleLimits, recycle_reason
from previewops.supervisor.restart_policy import (
    HEALTHY_UPTIME_S,
    RESTART_BACKOFF_S,
    Fatal,
    Restart,
    WorkerExit,
    count_rapid_exits,
    decide_restart,
    is_failure_logged,
)

GIB = 2**30
rngs = st.integers(0, 2**32).map(random.Random)


class FixedRng:
    """Returns the same share of every range."""

    def __init__(self, share: float) -> None:
        self.share = share

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.share


# ---------------------------------------------------------------- exits


@pytest.mark.parametrize("status", [EXIT_USAGE, EXIT_CONFIG])
def test_a_boot_error_never_loops(status: int) -> None:
    worker_exit = WorkerExit(status, 0.5, reported=False)
    assert isinstance(decide_restart(worker_exit, 1, FixedRng(0)), Fatal)
    # The same status of a worker that had sent a heartbeat is an ordinary exit.
    assert isinstance(
        decide_restart(WorkerExit(status, HEALTHY_UPTIME_S, reported=True), 0, FixedRng(0)), Restart
    )


@given(
    status=st.one_of(st.none(), st.integers(-64, 255)),
    exits=st.integers(1, 10_000),
    reported=st.booleans(),
    rng=rngs,
)
def test_only_invalid_settings_and_a_broken_installation_are_fatal(
    status: int | None, exits: int, reported: bool, rng: random.Random
) -> None:
    decision = decide_restart(WorkerExit(status, 0.5, reported=reported), exits, rng)
    assert isinstance(decision, Fatal) == (not reported and status in (EXIT_USAGE, EXIT_CONFIG))


def test_what_may_pass_is_retried() -> None:
    for status in (EXIT_UNREACHABLE, EXIT_TRY_AGAIN, EXIT_FAILED):
        assert isinstance(decide_restart(WorkerExit(status, 0.5, reported=False), 99, FixedRng(1)), Restart)


def test_rapid_exits_count_until_a_healthy_run() -> None:
    assert count_rapid_exits(WorkerExit(EXIT_FAILED, 0.5, reported=True), 1) == 2
    assert count_rapid_exits(WorkerExit(EXIT_FAILED, HEALTHY_UPTIME_S, reported=True), 4) == 0
    assert count_rapid_exits(WorkerExit(EXIT_FAILED, HEALTHY_UPTIME_S, reported=False), 4) == 5


def test_a_failing_worker_logs_less_and_less() -> None:
    logged = [count for count in range(1, 100) if is_failure_logged(count)]
    assert logged == [1, 2, 3, 4, 5, 10, 20, 40, 80]
    assert FAILING_AFTER_EXITS == 5


@given(exits=st.integers(0, 10_000), rng=rngs)
def test_the_backoff_is_capped_never_zero_and_has_jitter(exits: int, rng: random.Random) -> None:
    delay_s = RESTART_BACKOFF_S.delay(exits, rng)
    assert RESTART_BACKOFF_S.first / 2 <= delay_s <= RESTART_BACKOFF_S.maximum
    assert (
        RESTART_BACKOFF_S.delay(exits, FixedRng(0)) <= delay_s <= RESTART_BACKOFF_S.delay(exits, FixedRng(1))
    )
    assert RESTART_BACKOFF_S.delay(exits, FixedRng(0)) == RESTART_BACKOFF_S.delay(exits, FixedRng(1)) / 2
    assert RESTART_BACKOFF_S.delay(exits, FixedRng(1)) <= RESTART_BACKOFF_S.delay(exits + 1, FixedRng(1))


@pytest.mark.parametrize(
    ("worker_exit", "description"),
    [
        (WorkerExit(0, 1, reported=True), "status 0"),
        (WorkerExit(None, 1, reported=True), "unknown status"),
        (WorkerExit(-signal.SIGTERM, 1, reported=True), "SIGTERM"),
        (WorkerExit(-signal.SIGKILL, 1, reported=True), "SIGKILL"),
        (
            WorkerExit(-signal.SIGKILL, 1, reported=True, oom_kill_seen=True),
            "SIGKILL, probably out of memory",
        ),
        (WorkerExit(-signal.SIGTERM, 1, reported=True, oom_kill_seen=True), "SIGTERM"),
        (WorkerExit(-signal.SIGKILL, 1, reported=True, reason="killed: hung"), "killed: hung"),
        (WorkerExit(-40, 1, reported=True), "signal 40"),
    ],
)
def test_exits_are_described(worker_exit: WorkerExit, description: str) -> None:
    assert worker_exit.describe() == description
    assert worker_exit.probably_out_of_memory == ("memory" in description)


# ---------------------------------------------------------------- autoscaling


def load(**changes: float) -> Load:
    values = {
        "waiting": 0,
        "active": 0,
        "rate": 0.0,
        "job_slots": 2,
        "job_slots_elsewhere": 0,
        "paused": False,
        "cpu": 0.1,
        "free_bytes": 64 * GIB,
        "worker_bytes": GIB,
        **changes,
    }
    return Load(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_load", "running", "desired"),
    [
        (load(), 3, 0),
        (load(waiting=7), 1, 4),
        (load(waiting=7, active=2), 1, 5),
        (load(waiting=7, active=2, job_slots_elsewhere=6), 1, 2),
        (load(waiting=100, paused=True, active=2), 4, 1),
        (load(waiting=100, rate=100 / SHORT_BACKLOG_S), 2, 2),
        (load(waiting=101, rate=100 / SHORT_BACKLOG_S), 2, 51),
        (load(waiting=100, cpu=BUSY_CPU), 2, 2),
        (load(waiting=100, free_bytes=3 * GIB), 2, 5),
        (load(waiting=100, free_bytes=GIB - 1), 2, 2),
        (load(waiting=2, free_bytes=0, cpu=1.0), 3, 1),
    ],
)
def test_the_desired_number_follows_backlog_rate_and_head_room(
    given_load: Load, running: int, desired: int
) -> None:
    assert desired_workers(given_load, running) == desired


samples = st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 20)), max_size=200)
bounds = st.tuples(st.integers(0, 10), st.integers(0, 10)).map(
    lambda ends: WorkerCountRange(min(ends), max(ends))
)


@given(samples=samples, bounds=bounds, start=st.integers(0, 20))
def test_the_target_stays_in_bounds_and_does_not_oscillate(
    samples: list[tuple[float, int]], bounds: WorkerCountRange, start: int
) -> None:
    now, autoscaler, risen = 0.0, Autoscaler(bounds.clamp(start)), None
    for elapsed_s, desired in samples:
        now += elapsed_s
        before, autoscaler = autoscaler, autoscaler.observe(now, desired, bounds)
        assert bounds.minimum <= autoscaler.target <= bounds.maximum
        if autoscaler.target > before.target:
            assert autoscaler.target <= bounds.clamp(desired)
            risen = now
        if autoscaler.target < before.target:
            assert autoscaler.target >= bounds.clamp(desired)
            assert risen is None or now - risen >= SCALE_DOWN_WINDOW_S


def test_the_target_rises_soon_and_falls_late() -> None:
    limits = WorkerCountRange(1, 8)
    autoscaler = Autoscaler(1)
    for second in range(3):
        autoscaler = autoscaler.observe(second, 6, limits)
        assert autoscaler.target == (6 if second >= SCALE_UP_WINDOW_S else 1)
    second = 2
    while autoscaler.target == 6:
        second += 1
        autoscaler = autoscaler.observe(second, 2, limits)
    assert autoscaler.target == 2
    assert second == 2 + SCALE_DOWN_WINDOW_S


@given(period=st.integers(1, 25), high=st.integers(2, 8))
def test_an_oscillating_load_is_followed_once(period: int, high: int) -> None:
    limits, autoscaler, changes = WorkerCountRange(1, 8), Autoscaler(1), 0
    for second in range(600):
        before = autoscaler.target
        autoscaler = autoscaler.observe(second, high if second // period % 2 else 1, limits)
        changes += autoscaler.target != before
    assert changes <= 1


def test_the_first_target_holds_for_the_scale_down_window() -> None:
    autoscaler = Autoscaler(4)
    for second in range(int(SCALE_DOWN_WINDOW_S)):
        autoscaler = autoscaler.observe(second, 1, WorkerCountRange(1, 8))
        assert autoscaler.target == 4
    assert autoscaler.observe(SCALE_DOWN_WINDOW_S, 1, WorkerCountRange(1, 8)).target == 1


def test_new_bounds_apply_at_once() -> None:
    autoscaler = Autoscaler(4, ((0.0, 4),), 0.0)
    assert autoscaler.with_bounds(WorkerCountRange(6, 8)) == Autoscaler(6)
    assert autoscaler.with_bounds(WorkerCountRange(0, 2)) == Autoscaler(2)


# ---------------------------------------------------------------- recycling


def test_a_worker_is_recycled_at_its_own_limits() -> None:
    limits = RecycleLimits(rss_bytes=GIB, jobs=100, age_s=7200)
    assert recycle_reason(limits, rss_bytes=GIB - 1, jobs=99, age_s=7199) is None
    assert recycle_reason(limits, rss_bytes=GIB, jobs=0, age_s=0) == "it uses 1024 MiB"
    assert recycle_reason(limits, rss_bytes=0, jobs=100, age_s=0) == "it has run 100 jobs"
    assert recycle_reason(limits, rss_bytes=0, jobs=0, age_s=7200) == "it is 2.0 h old"
    assert recycle_reason(RecycleLimits(), rss_bytes=2**60, jobs=2**60, age_s=1e12) is None


@given(rng=rngs)
def test_limits_get_jitter_below_the_configured_ones(rng: random.Random) -> None:
    limits = RecycleLimits(rss_bytes=GIB, jobs=100).jittered(rng)
    assert limits.rss_bytes is not None
    assert limits.jobs is not None
    assert (1 - JITTER) * GIB <= limits.rss_bytes <= GIB
    assert (1 - JITTER) * 100 <= limits.jobs <= 100
    assert limits.age_s is None


# ---------------------------------------------------------------- hangs


def reason(heartbeats: HeartbeatTracker, *, oldest_run_s: float = 0, draining: bool = False) -> str | None:
    return hang_reason(
        heartbeats, heartbeat_ms=1000, oldest_run_s=oldest_run_s, job_timeout_s=120, draining=draining
    )


def test_silence_counts_between_successful_polls_only() -> None:
    heartbeats = HeartbeatTracker().after_poll(5, 1.0)
    assert heartbeats == HeartbeatTracker(5, 0.0)
    for _ in range(3):
        heartbeats = heartbeats.after_poll(5, 1.0)
    assert reason(heartbeats) is None
    assert reason(heartbeats.after_failed_poll().after_poll(5, 1.0)) is None
    assert reason(heartbeats.after_poll(6, 1.0)) is None
    hung = heartbeats.after_poll(5, 1.0)
    assert reason(hung) == "hung: no heartbeat for 4 s"
    assert reason(hung, draining=True) is None
    assert reason(hung.after_poll(None, DRAIN_GRACE_S), draining=True) is not None


def test_a_hang_is_ended_within_the_guaranteed_time() -> None:
    # Guaranteed are 10 s: the silence, a poll every second, 2 s for the stack.
    assert silence_limit_s(1000) + 1 + 2 < 10
    assert silence_limit_s(100) == 3.0


def test_a_start_may_take_longer() -> None:
    heartbeats = HeartbeatTracker().after_poll(None, START_S - 1)
    assert reason(heartbeats) is None
    assert reason(heartbeats.after_poll(None, 1.0)) == "hung: no first heartbeat for 60 s"


def test_a_run_ages_no_faster_than_the_time_between_polls() -> None:
    # The server computes the age by its clock, and from a stored time: both may be wrong.
    assert run_age_s(119.0, 120.2, 1.2) == 120.2
    assert run_age_s(5.0, 3_605.0, 1.0) == 6.0, "the clock was set forward"
    assert run_age_s(5.0, 1e9, 0.0) == 5.0, "the stored time is damaged"
    assert run_age_s(119.0, 0.4, 1.0) == 0.4, "the run has ended, and another one has begun"
    assert run_age_s(5.0, -3_600.0, 1.0) == 0.0, "the clock was set back"


def test_a_stuck_slot_is_recognized_by_the_age_of_its_run() -> None:
    heartbeats = HeartbeatTracker().after_poll(5, 0.0)
    assert reason(heartbeats, oldest_run_s=120 + RUN_MARGIN_S - 1) is None
    assert "a job slot is stuck" in str(reason(heartbeats, oldest_run_s=120 + RUN_MARGIN_S))
