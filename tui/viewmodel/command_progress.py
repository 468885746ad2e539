"""Descriptions of running commands."""

from __future__ import annotations

from previewops.formatting import clean, pluralize
from previewops.tui.commands import commands

_FLEET_PROGRESS = {"drain": "draining", "restart": "restarting", "reset": "resetting"}


def describe_command(command: commands.OperatorCommand) -> str:
    """The description of a running command: "pausing the queue"."""
    match command:
        case (
            commands.Cancel()
            | commands.RunAgain()
            | commands.Delete()
            | commands.Reschedule()
            | commands.Requeue()
            | commands.Discard()
            | commands.RequeueWithPayload()
            | commands.Export()
        ):
            return _describe_job_command(command)
        case commands.Pause():
            description = "pausing the queue"
        case commands.Resume():
            description = "resuming the queue"
        case commands.Scale():
            description = f"scaling {clean(command.supervisor_id)}"
        case commands.FleetActionCommand():
            description = (
                f"{_FLEET_PROGRESS[command.kind]} {clean(command.worker_id or command.supervisor_id)}"
            )
        case commands.AcknowledgeDataLoss():
            description = "acknowledging the data loss"
        case commands.SilenceCheck():
            description = f"silencing {clean(command.check)}"
        case commands.EndSilence():
            description = f"ending the silence of {clean(command.check)}"
        case commands.ResendWebhooks():
            description = f"resending {pluralize(command.count, 'webhook')}"
        case commands.SetProjectLimits():
            description = f"changing the limits of {clean(command.project)}"
    return description


def _describe_job_command(
    command: commands.Cancel
    | commands.RunAgain
    | commands.Delete
    | commands.Reschedule
    | commands.Requeue
    | commands.Discard
    | commands.RequeueWithPayload
    | commands.Export,
) -> str:
    match command:
        case commands.Cancel():
            description = f"cancelling {_jobs(command)}"
        case commands.RunAgain():
            description = f"running {_jobs(command)} again"
        case commands.Delete():
            description = f"deleting {_jobs(command)}"
        case commands.Reschedule(job_ids=(job_id,)):
            description = f"rescheduling {clean(job_id)}"
        case commands.Reschedule():
            description = f"rescheduling {pluralize(len(command.job_ids), 'job')}"
        case commands.Requeue():
            description = f"requeueing {pluralize(command.count, 'dead letter')}"
        case commands.Discard():
            description = f"discarding {pluralize(command.count, 'dead letter')}"
        case commands.RequeueWithPayload():
            description = f"requeueing {clean(command.job_id)} with another payload"
        case commands.Export():
            description = f"exporting {pluralize(command.count, 'dead letter')}"
    return description


def _jobs(command: commands.Cancel | commands.RunAgain | commands.Delete) -> str:
    """The id of a single job, else their number."""
    return clean(command.job_ids[0]) if len(command.job_ids) == 1 else pluralize(command.count, "job")
