"""``previewops dlq requeue --payload``: requeues one dead letter with another payload."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from previewops.cli.context import Context
from previewops.cli.output import print_out
from previewops.cli.payload_files import read_payloads
from previewops.errors import UsageError
from previewops.states import Priority

if TYPE_CHECKING:
    from previewops.contract import Payload
    from previewops.queue.pages import DeadLetterFilter


async def requeue_with_payload(
    context: Context, file: str, which: DeadLetterFilter, *, why: str, priority: Priority | None
) -> None:
    """Validates FILE and requeues the selected job with it.

    Raises:
        UsageError: the selection is not one JOB, or FILE cannot be read.
        InvalidPayload: FILE violates the contract.
        JobIdMismatch, JobNotFound, WrongState: FILE has another jobId, or the job is not a dead letter.
    """
    from previewops.cli.acting_operator import acting_operator
    from previewops.queue.dead_letters import DeadLetters
    from previewops.queue.pages import DeadLetterFilter

    if len(which.job_ids) != 1 or which != DeadLetterFilter(job_ids=which.job_ids):
        raise UsageError("--payload requires exactly one JOB", hint="name one job, without a filter")
    (job_id,) = which.job_ids
    payload = _payload(context, file)
    async with context.redis() as redis:
        await DeadLetters(redis, context.settings).requeue_with_payload(
            job_id, payload, who=acting_operator(), why=why, priority=priority
        )
    print_out(f"requeued {job_id} with the payload of {file}")


def _payload(context: Context, file: str) -> Payload:
    from previewops.contract import AssetPolicy, validate

    (document,) = read_payloads([file], lines=False)
    if document.error is not None:
        raise document.error
    policy = AssetPolicy(context.settings.effective_asset_roots(Path.cwd()))
    return validate(document.payload, policy=policy, source=document.source)
