"""``previewops reschedule``."""

from __future__ import annotations

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_out
from previewops.cli.shared_options import not_before_option, reason_option
from previewops.clock import optional_iso
from previewops.errors import UsageError
from previewops.queue.due_time import NOW, DueTime
from previewops.queue.queue import Queue
from previewops.queue.records import JobRecord
from previewops.states import JobState, Priority


@click.command(
    epilog="""\b
Examples:
  previewops reschedule lesson-1 --priority high
  previewops reschedule lesson-1 --now --reason "the upload is complete"
  previewops reschedule lesson-1 --not-before +2h

\b
A waiting job keeps its place by age in its new priority. --now ends the delay
of a job that waits for its next attempt, or until its time has come.
--not-before delays a waiting job, or sets another time for a delayed one.
"""
)
@click.argument("job_id", metavar="JOB")
@click.option(
    "--priority", type=click.Choice([priority.value for priority in Priority]), help="New priority."
)
@click.option("--now", is_flag=True, help="Let a delayed job run now.")
@not_before_option
@reason_option
@pass_context
def reschedule(
    context: Context, /, *, job_id: str, priority: str | None, now: bool, due: DueTime | None, reason: str
) -> None:
    """Change the priority or the earliest start of a waiting or delayed job."""
    if now and due is not None:
        raise UsageError("found --now and --not-before, allowed one of them")
    due = NOW if now else due
    if priority is None and due is None:
        raise UsageError("found neither --priority nor --now nor --not-before, allowed one or more")

    async def change(queue: Queue) -> tuple[JobState, JobRecord]:
        before = await queue.reschedule(
            job_id,
            priority=None if priority is None else Priority(priority),
            due=due,
            who=context.operator,
            reason=reason,
        )
        return before, await queue.status(job_id)

    before, record = context.change(change)
    print_out(f"{job_id} {_outcome(before, record, due)}{f', with priority {priority}' if priority else ''}")


def _outcome(before: JobState, record: JobRecord, due: DueTime | None) -> str:
    if due is None:
        return f"is still {before.value}"
    if record.state is JobState.DELAYED:
        return f"is delayed until {optional_iso(record.due_ms)}"
    return "waits now" if before is JobState.DELAYED else f"is still {before.value}"
