"""Descriptions of running commands."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from previewops.contract import validate
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.job_selection import JobSelection, MatchCount, MatchedJobs
from previewops.snapshot.fleet import WorkerCountRange
from previewops.states import JobState, Priority
from previewops.tui.commands.commands import (
    AcknowledgeDataLoss,
    Cancel,
    Delete,
    Discard,
    EndSilence,
    Export,
    FleetActionCommand,
    OperatorCommand,
    Pause,
    Requeue,
    RequeueWithPayload,
    Reschedule,
    ResendWebhooks,
    Resume,
    RunAgain,
    Scale,
    SetProjectLimits,
    SilenceCheck,
)
from previewops.tui.viewmodel.command_progress import describe_command

PAYLOAD = validate(
    {
        "jobId": "a",
        "projectId": "p",
        "requestId": "r",
        "dryRun": False,
        "previewRequest": {"title": "", "steps": [], "assets": [], "audio": {}},
    }
)

MATCHED = MatchedJobs(JobSelection(), MatchCount({JobState.COMPLETED: 1_200}, 0))

SAID: list[tuple[OperatorCommand, str]] = [
    (Pause("disks"), "pausing the queue"),
    (Resume(), "resuming the queue"),
    (Cancel(("a\x1b[2J",)), "cancelling a"),
    (Cancel(("a", "b")), "cancelling 2 jobs"),
    (RunAgain(("a",)), "running a again"),
    (Delete((), matched=MATCHED), "deleting 1,200 jobs"),
    (Reschedule(("a\x1b[2J",), now=True), "rescheduling a"),
    (Reschedule(("a", "b"), Priority.HIGH), "rescheduling 2 jobs"),
    (Requeue(DeadLetterFilter(), 1), "requeueing 1 dead letter"),
    (Discard(DeadLetterFilter(), 1_200), "discarding 1,200 dead letters"),
    (RequeueWithPayload("a", PAYLOAD, "digest"), "requeueing a with another payload"),
    (Export(DeadLetterFilter(), 2, Path("x")), "exporting 2 dead letters"),
    (Scale("host7", WorkerCountRange(1, 2)), "scaling host7"),
    (FleetActionCommand("drain", "host7", "w1"), "draining w1"),
    (FleetActionCommand("restart", "host7"), "restarting host7"),
    (FleetActionCommand("reset", "host7"), "resetting host7"),
    (AcknowledgeDataLoss(), "acknowledging the data loss"),
    (SilenceCheck("depth", 1_000, "warning", "import"), "silencing depth"),
    (EndSilence("depth"), "ending the silence of depth"),
    (ResendWebhooks(3), "resending 3 webhooks"),
    (SetProjectLimits("kids", weight=2), "changing the limits of kids"),
]


@pytest.mark.parametrize(
    ("command", "expected"), SAID, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_a_description(command: OperatorCommand, expected: str) -> None:
    assert "\x1b" not in describe_command(command)
    assert describe_command(command).startswith(expected)


def test_none_is_left_out() -> None:
    assert {type(command) for command, _ in SAID} == set(get_args(OperatorCommand))
