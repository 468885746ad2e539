"""Errors of batches."""

from __future__ import annotations

from previewops.errors import PreviewopsError, UsageError
from previewops.message_formatting import describe_value

BATCH_ID_ALLOWED = "1 to 128 of the characters A-Z a-z 0-9 . _ -, starting with a letter or digit"


class InvalidBatchId(UsageError):
    """The id of a batch has other characters, or too many. ``allowed`` says what is."""

    code = "invalid-batch-id"

    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"{name}: found {describe_value(found)}, allowed {BATCH_ID_ALLOWED}")
        self.found = found
        self.allowed = BATCH_ID_ALLOWED


class BatchNotFound(PreviewopsError):
    """No record of that batch: it has no job, or is past its retention."""

    code = "no-such-batch"

    def __init__(self, batch_id: str, queue_name: str) -> None:
        super().__init__(
            f"no batch {batch_id} in queue {queue_name}",
            hint="the first job creates a batch; PREVIEW_RESULT_TTL_S after its end it is removed",
        )
        self.batch_id = batch_id


class BatchClosed(PreviewopsError):
    """The batch was closed, so no job can join it."""

    code = "batch-closed"

    def __init__(self, job_id: str, batch_id: str) -> None:
        super().__init__(
            f"job {job_id} cannot join batch {batch_id}: it is closed",
            hint="submit the job in another batch; close a batch after its last job",
        )
        self.job_id = job_id
        self.batch_id = batch_id


class BatchConflict(PreviewopsError):
    """The batch has jobs of another project. ``job_id`` is None if it was to be closed after known jobs."""

    code = "batch-conflict"

    def __init__(self, job_id: str | None, batch_id: str) -> None:
        action = f"batch {batch_id} cannot be closed"
        if job_id is not None:
            action = f"job {job_id} cannot join batch {batch_id}"
        super().__init__(
            f"{action}: it belongs to another project",
            hint="all jobs of a batch are of one project: choose another batchId",
        )
        self.job_id = job_id
        self.batch_id = batch_id
