from __future__ import annotations

import pytest

from previewops.queue.leases import Claim
from previewops.states import Priority
from previewops.worker.engine.claims_ahead import MAX_AHEAD, RECENT_RUNS, RunsAhead, RunTimes
from previewops.worker.engine.execution import JobRun


def run_times(*run_ms: float) -> RunTimes:
    times = RunTimes()
    for ms in run_ms:
        times.add(ms)
    return times


def run(
    token: int, priority: Priority = Priority.NORMAL, claimed_at: float = 0.0, project: str = "p"
) -> JobRun:
    claim = Claim(f"job-{token}", b"", str(token), 0, 0, 0, 0, 0.0, priority, project=project)
    return JobRun(claim, claimed_at=claimed_at)


def tokens_of(ahead: RunsAhead, count: int) -> list[int]:
    return [int(taken.claim.token) for _ in range(count) if (taken := ahead.take()) is not None]


@pytest.mark.parametrize(
    ("run_ms", "slots", "expected"),
    [
        ([0.05] * RECENT_RUNS, 1, MAX_AHEAD),
        ([0.0] * RECENT_RUNS, 2, MAX_AHEAD),
        ([5.0] * RECENT_RUNS, 1, 4),
        ([5.0] * RECENT_RUNS, 2, 8),
        ([40.0] * RECENT_RUNS, 1, 1),
        ([40.0] * RECENT_RUNS, 4, 2),
    ],
)
def test_short_runs_allow_claims_ahead_for_twenty_ms_of_work(
    run_ms: list[float], slots: int, expected: int
) -> None:
    assert run_times(*run_ms).max_ahead(slots) == expected


@pytest.mark.parametrize("run_ms", [[], [1.0] * (RECENT_RUNS - 1), [60.0] + [1.0] * (RECENT_RUNS - 1)])
def test_no_job_is_claimed_ahead_unless_all_latest_runs_were_short(run_ms: list[float]) -> None:
    assert run_times(*run_ms).max_ahead(8) == 0


def test_one_long_run_counts_until_enough_short_ones_follow() -> None:
    times = run_times(*[1.0] * RECENT_RUNS, 3_000.0)
    for _ in range(RECENT_RUNS - 1):
        times.add(1.0)
    assert times.max_ahead(1) == 0
    times.add(1.0)
    assert times.max_ahead(1) == 20


def test_a_higher_priority_overtakes_jobs_that_wait_for_a_slot() -> None:
    ahead = RunsAhead()
    for token, priority in (
        (1, Priority.LOW),
        (3, Priority.NORMAL),
        (2, Priority.NORMAL),
        (4, Priority.HIGH),
    ):
        ahead.add(run(token, priority))
    assert [taken.claim.token for _ in range(4) if (taken := ahead.take()) is not None] == [
        "4",
        "2",
        "3",
        "1",
    ]
    assert ahead.take() is None


def test_runs_that_wait_for_too_long_are_taken_out() -> None:
    ahead = RunsAhead()
    for token in range(1, 5):
        ahead.add(run(token, claimed_at=float(token)))
    assert [late.claim.token for late in ahead.take_claimed_before(3.0)] == ["1", "2"]
    assert len(ahead) == 2


def test_projects_take_turns_among_the_jobs_that_wait_for_a_slot() -> None:
    ahead = RunsAhead()
    for token in range(1, 6):
        ahead.add(run(token, project="many"))
    assert tokens_of(ahead, 1) == [1]
    ahead.add(run(6, project="few"))
    ahead.add(run(7, project="few"))
    assert tokens_of(ahead, 9) == [2, 6, 3, 7, 4, 5]
    assert len(ahead) == 0


def test_a_project_that_enters_again_and_again_passes_no_other() -> None:
    ahead = RunsAhead()
    for token in range(1, 5):
        ahead.add(run(token, project="many"))
    order = []
    for token in range(5, 9):
        ahead.add(run(token, project="one"))
        order += tokens_of(ahead, 2)
    assert order == [1, 5, 2, 6, 3, 7, 4, 8]
