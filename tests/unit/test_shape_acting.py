"""What is being carried out, in words."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from previewops.contract import validate
from previewops.fleetviews import Bounds
from previewops.listviews import DeadFilter
from previewops.tui.intents import (
    AcknowledgeLoss,
    Cancel,
    Discard,
    Export,
    FleetAct,
    Intent,
    Pause,
    Requeue,
    RequeueEdited,
    Resume,
    Scale,
)
from previewops.tui.shape.acting import acting_words

PAYLOAD = validate(
    {
        "jobId": "a",
        "projectId": "p",
        "requestId": "r",
        "dryRun": False,
        "previewRequest": {"title": "", "steps": [], "assets": [], "audio": {}},
    }
)

SAID: list[tuple[Intent, str]] = [
    (Pause("disks"), "pausing the queue"),
    (Resume(), "letting workers take jobs"),
    (Cancel(("a\x1b[2J",)), "cancelling a"),
    (Cancel(("a", "b")), "cancelling 2 jobs"),
    (Requeue(DeadFilter(), 1), "requeueing 1 dead letter"),
    (Discard(DeadFilter(), 1_200), "discarding 1,200 dead letters"),
    (RequeueEdited("a", PAYLOAD, "digest"), "requeueing a with another payload"),
    (Export(DeadFilter(), 2, Path("x")), "exporting 2 dead letters"),
    (Scale("host7", Bounds(1, 2)), "scaling host7"),
    (FleetAct("drain", "host7", "w1"), "draining w1"),
    (FleetAct("restart", "host7"), "restarting host7"),
    (FleetAct("reset", "host7"), "resetting host7"),
    (AcknowledgeLoss(), "ending the alarm over lost data"),
]


@pytest.mark.parametrize(("intent", "words"), SAID, ids=lambda value: value if isinstance(value, str) else "")
def test_every_intent_has_its_words(intent: Intent, words: str) -> None:
    assert "\x1b" not in acting_words(intent)
    assert acting_words(intent).startswith(words)


def test_none_is_left_out() -> None:
    assert {type(intent) for intent, _ in SAID} == set(get_args(Intent))
