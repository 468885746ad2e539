"""Rounds of a measurement within a time."""

from __future__ import annotations

from benchmarks.rounds import rounds


class Clock:
    """A clock that each round advances."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def run(most: int, seconds: float, took: list[float], **options: int) -> int:
    clock, count = Clock(), 0
    for number in rounds(most, seconds, clock=clock, **options):
        clock.now += took[number]
        count += 1
    return count


def test_all_rounds_run_if_there_is_time() -> None:
    assert run(3, 3.0, [1.0] * 9) == 3


def test_a_round_that_would_end_too_late_does_not_start() -> None:
    assert run(5, 10.0, [1.0, 4.0, 2.0, 2.0, 2.0]) == 3  # one like the longest would end after 11 s


def test_one_round_runs_however_long_it_takes() -> None:
    assert run(5, 1.0, [60.0] * 5) == 1
    assert run(5, 1.0, [60.0] * 5, least=2) == 2
