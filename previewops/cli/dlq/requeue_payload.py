"""``previewops dlq requeue --payload``: requeues one dead letter with another payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.cli.context import Context
from previewops.cli.output import print_out
from previewops.cli.payload_files import read_payload
from previewops.errors import UsageError

if TYPE_CHECKING:
    from previewops.queue.dead_letter_filter import DeadLetterFilter
    from previewops.states import Priority


def requeue_with_payload(
    context: Context, file: str, selection: DeadLetterFilter, *, why: str, priority: Priority | None
) -> None:
    """Validates FILE and requeues the selected job with it.

    Raises:
        UsageError: the selection is not one JOB, or FILE cannot be read.
        InvalidPayload: FILE violates the contract.
        JobIdMismatch, JobNotFound, WrongState: FILE has another jobId, or the job is not a dead letter.
    """
    from previewops.queue.dead_letter_filter import DeadLetterFilter
    from previewops.queue.dead_letters import DeadLetters

    if len(selection.job_ids) != 1 or selection != DeadLetterFilter(job_ids=selection.job_ids):
        raise UsageError("--payload requires exactly one JOB", hint="name one job, without a filter")
    (job_id,) = selection.job_ids
    payload = read_payload(file).validate(context.asset_policy())
    context.call(
        lambda queue: DeadLetters(queue.redis, context.settings).requeue_with_payload(
            job_id, payload, who=context.operator, why=why, priority=priority
        )
    )
    print_out(f"requeued {job_id} with the payload of {file}")
