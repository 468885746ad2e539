"""Descriptions of running commands."""

from __future__ import annotations

from previewops.formatting import clean, pluralize
from previewops.tui.commands.commands import (
    AcknowledgeDataLoss,
    Cancel,
    Discard,
    Export,
    FleetActionCommand,
    OperatorCommand,
    Pause,
    Requeue,
    RequeueWithPayload,
    Resume,
    Scale,
)

_FLEET_ACTS = {"drain": "draining", "restart": "restarting", "reset": "resetting"}


def describe_command(intent: OperatorCommand) -> str:
    """The description of a running command: "pausing the queue"."""
    match intent:
        case Pause():
            words = "pausing the queue"
        case Resume():
            words = "resuming the queue"
        case Cancel(job_ids=(job_id,)):
            words = f"cancelling {clean(job_id)}"
        case Cancel():
            words = f"cancelling {pluralize(len(intent.job_ids), 'job')}"
        case Requeue():
            words = f"requeueing {pluralize(intent.count, 'dead letter')}"
        case Discard():
            words = f"discarding {pluralize(intent.count, 'dead letter')}"
        case RequeueWithPayload():
            words = f"requeueing {clean(intent.job_id)} with another payload"
        case Export():
            words = f"exporting {pluralize(intent.count, 'dead letter')}"
        case Scale():
            words = f"scaling {clean(intent.supervisor_id)}"
        case FleetActionCommand():
            words = f"{_FLEET_ACTS[intent.kind]} {clean(intent.worker_id or intent.supervisor_id)}"
        case AcknowledgeDataLoss():
            words = "acknowledging the data loss"
    return words
