"""The supervisor's policies: what is done after an exit, how many workers, when one is recycled, when one hangs."""

from __future__ import annotations

import random
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.errors import EXIT_BOOT, EXIT_FAILED, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_USAGE
from previewops.fleetviews import Bounds
from previewops.supervisor.demand import BUSY_CPU, DOWN_HOLD_S, SOON_S, UP_HOLD_S, Demand, Load, need
from previewops.supervisor.hang import DRAIN_GRACE_S, RUN_MARGIN_S, START_S, Watch, silence_limit_s, verdict
from previewops.supervisor.recycling import JITTER, Limits, reason_to_recycle
from previewops.supervisor.restarts import (
    FIRST_PAUSE_S,
    HEALTHY_S,
    LONGEST_PAUSE_S,
    QUICK_DEATHS,
    Exit,
    GiveUp,
    Restart,
    after_exit,
    pause_s,
    quick_deaths_after,
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


@pytest.mark.parametrize("status", [EXIT_USAGE, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_BOOT])
def test_a_boot_error_never_loops(status: int) -> None:
    ended = Exit(status, 0.5, worked=False)
    assert isinstance(after_exit(ended, 1, Fixed(0)), GiveUp)
    # The same status of a worker that had worked is one more death.
    assert isinstance(after_exit(Exit(status, HEALTHY_S, worked=True), 0, Fixed(0)), Restart)


def test_a_worker_that_keeps_dying_early_is_given_up_and_one_that_worked_is_not() -> None:
    quick = Exit(EXIT_FAILED, 0.5, worked=True)
    deaths, pauses = 0, []
    while True:
        deaths = quick_deaths_after(quick, deaths)
        decision = after_exit(quick, deaths, Fixed(1))
        if isinstance(decision, GiveUp):
            break
        pauses.append(decision.pause_s)
    assert deaths == QUICK_DEATHS
    assert pauses == [FIRST_PAUSE_S * 2**n for n in range(QUICK_DEATHS - 1)]
    assert "5 times in a row" in decision.reason
    assert "status 1" in decision.reason
    assert quick_deaths_after(Exit(EXIT_FAILED, HEALTHY_S, worked=True), 4) == 0
    assert quick_deaths_after(Exit(EXIT_FAILED, HEALTHY_S, worked=False), 4) == 5


@given(deaths=st.integers(0, 10_000), dice=dice)
def test_pauses_are_capped_never_hot_and_jittered(deaths: int, dice: random.Random) -> None:
    pause = pause_s(deaths, dice)
    assert FIRST_PAUSE_S / 2 <= pause <= LONGEST_PAUSE_S
    assert pause_s(deaths, Fixed(0)) <= pause <= pause_s(deaths, Fixed(1))
    assert pause_s(deaths, Fixed(0)) == pause_s(deaths, Fixed(1)) / 2
    assert pause_s(deaths, Fixed(1)) <= pause_s(deaths + 1, Fixed(1))


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Exit(0, 1, worked=True), "status 0"),
        (Exit(None, 1, worked=True), "how is not known"),
        (Exit(-signal.SIGTERM, 1, worked=True), "SIGTERM"),
        (Exit(-signal.SIGKILL, 1, worked=True), "SIGKILL"),
        (Exit(-signal.SIGKILL, 1, worked=True, starved=True), "SIGKILL, probably out of memory"),
        (Exit(-signal.SIGTERM, 1, worked=True, starved=True), "SIGTERM"),
        (Exit(-signal.SIGKILL, 1, worked=True, cause="killed: hung"), "killed: hung"),
        (Exit(-40, 1, worked=True), "signal 40"),
    ],
)
def test_exits_are_told_in_words(ended: Exit, words: str) -> None:
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
        (load(waiting=100, rate=100 / SOON_S), 2, 2),
        (load(waiting=101, rate=100 / SOON_S), 2, 51),
        (load(waiting=100, cpu=BUSY_CPU), 2, 2),
        (load(waiting=100, free_bytes=3 * GIB), 2, 5),
        (load(waiting=100, free_bytes=GIB - 1), 2, 2),
        (load(waiting=2, free_bytes=0, cpu=1.0), 3, 1),
    ],
)
def test_need_follows_backlog_rate_and_head_room(given_load: Load, running: int, needed: int) -> None:
    assert need(given_load, running) == needed


needs = st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 20)), max_size=200)
bounds = st.tuples(st.integers(0, 10), st.integers(0, 10)).map(lambda ends: Bounds(min(ends), max(ends)))


@given(needs=needs, bounds=bounds, start=st.integers(0, 20))
def test_demand_stays_in_bounds_and_never_saws(
    needs: list[tuple[float, int]], bounds: Bounds, start: int
) -> None:
    now, demand, risen = 0.0, Demand(bounds.clamp(start)), None
    for passed, needed in needs:
        now += passed
        before, demand = demand, demand.observe(now, needed, bounds)
        assert bounds.fewest <= demand.count <= bounds.most
        if demand.count > before.count:
            assert demand.count <= bounds.clamp(needed)
            risen = now
        if demand.count < before.count:
            assert demand.count >= bounds.clamp(needed)
            assert risen is None or now - risen >= DOWN_HOLD_S


def test_demand_rises_soon_and_falls_late() -> None:
    limits = Bounds(1, 8)
    demand = Demand(1)
    for second in range(3):
        demand = demand.observe(second, 6, limits)
        assert demand.count == (6 if second >= UP_HOLD_S else 1)
    second = 2
    while demand.count == 6:
        second += 1
        demand = demand.observe(second, 2, limits)
    assert demand.count == 2
    assert second == 2 + DOWN_HOLD_S


@given(period=st.integers(1, 25), high=st.integers(2, 8))
def test_a_load_that_comes_and_goes_is_followed_once(period: int, high: int) -> None:
    limits, demand, changes = Bounds(1, 8), Demand(1), 0
    for second in range(600):
        before = demand.count
        demand = demand.observe(second, high if second // period % 2 else 1, limits)
        changes += demand.count != before
    assert changes <= 1


def test_what_was_wanted_before_it_was_looked_at_is_not_held_against_a_fall_too_soon() -> None:
    demand = Demand(4)
    for second in range(int(DOWN_HOLD_S)):
        demand = demand.observe(second, 1, Bounds(1, 8))
        assert demand.count == 4
    assert demand.observe(DOWN_HOLD_S, 1, Bounds(1, 8)).count == 1


def test_new_bounds_hold_at_once() -> None:
    demand = Demand(4, ((0.0, 4),), 0.0)
    assert demand.rebased(Bounds(6, 8)) == Demand(6)
    assert demand.rebased(Bounds(0, 2)) == Demand(2)


# ---------------------------------------------------------------- recycling


def test_a_worker_is_recycled_at_its_own_limits() -> None:
    limits = Limits(rss_bytes=GIB, jobs=100, age_s=7200)
    assert reason_to_recycle(limits, rss_bytes=GIB - 1, jobs=99, age_s=7199) is None
    assert reason_to_recycle(limits, rss_bytes=GIB, jobs=0, age_s=0) == "it holds 1024 MiB"
    assert reason_to_recycle(limits, rss_bytes=0, jobs=100, age_s=0) == "it has done 100 jobs"
    assert reason_to_recycle(limits, rss_bytes=0, jobs=0, age_s=7200) == "it is 2.0 h old"
    assert reason_to_recycle(Limits(), rss_bytes=2**60, jobs=2**60, age_s=1e12) is None


@given(dice=dice)
def test_limits_are_drawn_a_little_below_what_is_configured(dice: random.Random) -> None:
    drawn = Limits(rss_bytes=GIB, jobs=100).drawn(dice)
    assert drawn.rss_bytes is not None
    assert drawn.jobs is not None
    assert (1 - JITTER) * GIB <= drawn.rss_bytes <= GIB
    assert (1 - JITTER) * 100 <= drawn.jobs <= 100
    assert drawn.age_s is None


# ---------------------------------------------------------------- hanging


def judged(watch: Watch, *, oldest_run_s: float = 0, draining: bool = False) -> str | None:
    return verdict(watch, heartbeat_ms=1000, oldest_run_s=oldest_run_s, job_timeout_s=120, draining=draining)


def test_silence_counts_between_answers_only() -> None:
    watch = Watch().looked(5, 1.0)
    assert watch == Watch(5, 0.0)
    for _ in range(3):
        watch = watch.looked(5, 1.0)
    assert judged(watch) is None
    assert judged(watch.blind().looked(5, 1.0)) is None
    assert judged(watch.looked(6, 1.0)) is None
    hung = watch.looked(5, 1.0)
    assert judged(hung) == "hung: no heartbeat for 4 s"
    assert judged(hung, draining=True) is None
    assert judged(hung.looked(None, DRAIN_GRACE_S), draining=True) is not None


def test_a_hang_is_noticed_in_time_for_the_promise() -> None:
    # Silence, a look a second, two seconds for the stack, of ten.
    assert silence_limit_s(1000) + 1 + 2 < 10
    assert silence_limit_s(100) == 3.0


def test_a_start_may_take_longer() -> None:
    watch = Watch().looked(None, START_S - 1)
    assert judged(watch) is None
    assert judged(watch.looked(None, 1.0)) == "hung: no first heartbeat for 60 s"


def test_a_stuck_slot_is_told_by_the_age_of_its_run() -> None:
    watch = Watch().looked(5, 0.0)
    assert judged(watch, oldest_run_s=120 + RUN_MARGIN_S - 1) is None
    assert "a slot is stuck" in str(judged(watch, oldest_run_s=120 + RUN_MARGIN_S))
