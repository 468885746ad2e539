"""Descriptions of running commands."""

from __future__ import annotations

from previewops.formatting import clean, pluralize
from previewops.tui.commands import commands

_FLEET_PROGRESS = {"drain": "draining", "restart": "restarting", "reset": "resetting"}


def describe_command(command: commands.OperatorCommand) -> str:
    """The description of a running command: "pausing the queue"."""
    match command:
        case commands.Pause():
            text = "pausing the queue"
        case commands.Resume():
            text = "resuming the queue"
        case commands.Cancel(job_ids=(job_id,)):
            text = f"cancelling {clean(job_id)}"
        case commands.Cancel():
            text = f"cancelling {pluralize(len(command.job_ids), 'job')}"
        case commands.Requeue():
            text = f"requeueing {pluralize(command.count, 'dead letter')}"
        case commands.Discard():
            text = f"discarding {pluralize(command.count, 'dead letter')}"
        case commands.RequeueWithPayload():
            text = f"requeueing {clean(command.job_id)} with another payload"
        case commands.Export():
            text = f"exporting {pluralize(command.count, 'dead letter')}"
        case commands.Scale():
            text = f"scaling {clean(command.supervisor_id)}"
        case commands.FleetActionCommand():
            text = f"{_FLEET_PROGRESS[command.kind]} {clean(command.worker_id or command.supervisor_id)}"
        case commands.AcknowledgeDataLoss():
            text = "acknowledging the data loss"
    return text
