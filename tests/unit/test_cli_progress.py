"""Progress of awaited jobs as lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewops.cli.progress import show_progress
from previewops.states import JobState
from tests.tui.scenes import record

DEAD = record("a", JobState.DEAD, reason="no file x.png", code="asset-missing")


@pytest.mark.parametrize("ended_reasons", [True, False])
def test_why_a_job_ended_is_left_to_a_caller_that_reports_it(
    ended_reasons: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_progress(ended_reasons=ended_reasons) as display:
        display.update([replace(DEAD, state=JobState.DELAYED)])
        display.update([DEAD])
    retried, dead = capsys.readouterr().out.splitlines()
    assert "no file x.png" in retried
    assert ("no file x.png" in dead) is ended_reasons


def test_a_job_for_later_is_not_a_retry(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as display:
        display.update([record("a", JobState.DELAYED, attempts=0, crashes=0)])
        display.update([record("a", JobState.DELAYED, attempts=1, crashes=0)])
    assert capsys.readouterr().out.splitlines() == ["a: starts later", "a: retry scheduled"]
