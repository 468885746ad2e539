"""What is being carried out, in words."""

from __future__ import annotations

from previewops.text import clean, plural
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

_FLEET_ACTS = {"drain": "draining", "restart": "restarting", "reset": "resetting"}


def acting_words(intent: Intent) -> str:
    """What is done while an intent is carried out: "pausing the queue"."""
    match intent:
        case Pause():
            words = "pausing the queue"
        case Resume():
            words = "letting workers take jobs"
        case Cancel(job_ids=(job_id,)):
            words = f"cancelling {clean(job_id)}"
        case Cancel():
            words = f"cancelling {plural(len(intent.job_ids), 'job')}"
        case Requeue():
            words = f"requeueing {plural(intent.count, 'dead letter')}"
        case Discard():
            words = f"discarding {plural(intent.count, 'dead letter')}"
        case RequeueEdited():
            words = f"requeueing {clean(intent.job_id)} with another payload"
        case Export():
            words = f"exporting {plural(intent.count, 'dead letter')}"
        case Scale():
            words = f"scaling {clean(intent.supervisor_id)}"
        case FleetAct():
            words = f"{_FLEET_ACTS[intent.act]} {clean(intent.worker_id or intent.supervisor_id)}"
        case AcknowledgeLoss():
            words = "ending the alarm over lost data"
    return words
