"""``previewops dlq requeue --payload``: one dead letter runs again with another body."""

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
    from previewops.queue.dead_letter_filter import DeadLetterFilter


async def requeue_with_payload(
    context: Context, file: str, which: DeadLetterFilter, *, why: str, priority: Priority | None
) -> None:
    """Reads and checks FILE and requeues the one job that is named with it.

    Raises:
        UsageError: it is not one job that is named, or FILE cannot be read.
        InvalidPayload: it breaks the contract.
        OtherJob, JobNotFound, WrongState: it is not that job's, or the job is no dead letter.
    """
    from previewops.cli.acting_operator import acting_operator
    from previewops.queue.dead_letter_filter import DeadLetterFilter
    from previewops.queue.dead_letters import DeadLetters

    if len(which.job_ids) != 1 or which != DeadLetterFilter(job_ids=which.job_ids):
        raise UsageError("--payload is for one JOB", hint="name that job, and give no filter beside it")
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
