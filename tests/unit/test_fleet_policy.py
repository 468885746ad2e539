"""What is done after a worker process has exited."""

from __future__ import annotations

import signal

import pytest

from previewops.errors import EXIT_USAGE
from previewops.fleet import (
    FIRST_PAUSE_S,
    HEALTHY_S,
    LONGEST_PAUSE_S,
    QUICK_DEATHS,
    GiveUp,
    Restart,
    after_exit,
    describe_exit,
)


def test_refused_settings_are_not_tried_again() -> None:
    assert isinstance(after_exit(EXIT_USAGE, 0.1, 1), GiveUp)
    assert isinstance(after_exit(EXIT_USAGE, HEALTHY_S * 10, 1), GiveUp)


def test_a_worker_that_lived_is_started_again_soon() -> None:
    assert after_exit(-9, HEALTHY_S, 1) == Restart(FIRST_PAUSE_S)


def test_quick_deaths_are_answered_ever_later_and_at_last_not_at_all() -> None:
    decisions = [after_exit(1, 0.1, deaths) for deaths in range(1, QUICK_DEATHS)]
    pauses = [decision.pause_s for decision in decisions if isinstance(decision, Restart)]
    assert pauses == [min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**n) for n in range(QUICK_DEATHS - 1)]
    assert isinstance(after_exit(1, 0.1, QUICK_DEATHS), GiveUp)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "status 0"),
        (1, "status 1"),
        (-signal.SIGTERM, "SIGTERM"),
        (-signal.SIGKILL, "SIGKILL (out of memory?)"),
        (-40, "signal 40"),
    ],
)
def test_exits_are_told_in_words(status: int, words: str) -> None:
    assert describe_exit(status) == words
