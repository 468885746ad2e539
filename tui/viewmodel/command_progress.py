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


def describe_command(command: OperatorCommand) -> str:
    """The description of a running command: "pausing the queue"."""
    match command:
        case Pause():
            words = "pausing the queue"
        case Resume():
            words = "resuming the queue"
        case Cancel(job_ids=(job_id,)):
            words = f"cancelling {clean(job_id)}"
        case Cancel():
            words = f"cancelling {pluralize(len(command.job_ids), 'job')}"
        case Requeue():
            words = f"requeueing {pluralize(command.count, 'dead letter')}"
        case Discard():
            words = f"discarding {pluralize(command.count, 'dead letter')}"
        case RequeueWithPayload():
            words = f"requeueing {clean(command.job_id)} with another payload"
        case Export():
            words = f"exporting {pluralize(command.count, 'dead letter')}"
        case Scale():
            words = f"scaling {clean(command.supervisor_id)}"
        case FleetActionCommand():
            words = f"{_FLEET_ACTS[command.kind]} {clean(command.worker_id or command.supervisor_id)}"
        case AcknowledgeDataLoss():
            words = "acknowledging the data loss"
    return words
