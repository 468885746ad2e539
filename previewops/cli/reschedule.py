"""``previewops reschedule``."""

from __future__ import annotations

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_out
from previewops.cli.shared_options import reason_option
from previewops.errors import UsageError
from previewops.states import JobState, Priority


@click.command(
    epilog="""\b
Examples:
  previewops reschedule lesson-1 --priority high
  previewops reschedule lesson-1 --now --reason "the upload is complete"

\b
A waiting job keeps its place by age in its new priority. --now ends the delay
of a job that waits for its next attempt, or until its time has come.
"""
)
@click.argument("job_id", metavar="JOB")
@click.option(
    "--priority", type=click.Choice([priority.value for priority in Priority]), help="New priority."
)
@click.option("--now", is_flag=True, help="Let a delayed job run now.")
@reason_option
@pass_context
def reschedule(context: Context, job_id: str, priority: str | None, now: bool, reason: str) -> None:
    """Change the priority of a waiting or delayed job, or let a delayed one run now."""
    if priority is None and not now:
        raise UsageError("found neither --priority nor --now, allowed one or both")
    before = context.change(
        lambda queue: queue.reschedule(
            job_id,
            priority=None if priority is None else Priority(priority),
            now=now,
            who=context.operator,
            reason=reason,
        )
    )
    waits = "waits now" if now and before is JobState.DELAYED else f"is still {before.value}"
    print_out(f"{job_id} {waits}{f', with priority {priority}' if priority else ''}")
