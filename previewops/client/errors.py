"""Errors of waiting for a job or a batch."""

from __future__ import annotations

from typing import Any

from previewops.errors import EXIT_TRY_AGAIN, PreviewopsError
from previewops.queue.batches import Batch
from previewops.queue.records import JobRecord


class JobFailed(PreviewopsError):
    """The job is a dead letter. ``record`` has its payload, reason and attempts with tracebacks."""

    code = "job-failed"

    def __init__(self, record: JobRecord) -> None:
        self.job_id = record.job_id
        self.reason = record.reason or "no reason recorded"
        self.error_code = record.code
        self.fingerprint = record.fingerprint
        self.record = record
        super().__init__(
            f"job {record.job_id} is a dead letter: {self.reason}",
            hint=f"see `previewops dlq show {record.job_id}`; "
            f"run it again with `previewops dlq requeue {record.job_id}`",
        )

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "job": self.record.as_json()}


class JobCancelled(PreviewopsError):
    """The job was cancelled. ``record`` is its record."""

    code = "job-cancelled"

    def __init__(self, record: JobRecord) -> None:
        self.job_id = record.job_id
        self.reason = record.reason or "no reason given"
        self.record = record
        super().__init__(
            f"job {record.job_id} was cancelled: {self.reason}",
            hint="submit the payload with another jobId to render it",
        )


class WaitTimeout(PreviewopsError, TimeoutError):
    """The job has not ended in time and continues. ``state`` is its last state."""

    exit_code = EXIT_TRY_AGAIN
    code = "wait-timeout"

    def __init__(self, record: JobRecord, timeout_s: float) -> None:
        self.job_id = record.job_id
        self.state = record.state
        self.timeout_s = timeout_s
        super().__init__(
            f"job {record.job_id} has not ended within {timeout_s:g} s: it is {record.state.value}",
            hint="the job continues; wait again or read its status later",
        )


class BatchTimeout(PreviewopsError, TimeoutError):
    """The batch has not ended in time; its jobs continue. ``batch`` is what it was last."""

    exit_code = EXIT_TRY_AGAIN
    code = "batch-timeout"

    def __init__(self, batch: Batch, timeout_s: float) -> None:
        self.batch = batch
        self.timeout_s = timeout_s
        super().__init__(
            f"batch {batch.batch_id} has not ended within {timeout_s:g} s: it is {batch.state.value}, "
            f"{batch.pending} of {batch.total} jobs are pending",
            hint="close an open batch with close_batch; wait again or read it later",
        )


class ClientClosed(PreviewopsError):
    """Another thread closed the client during the call. A submit may have succeeded."""

    code = "client-closed"

    def __init__(self) -> None:
        super().__init__(
            "the client was closed during the call", hint="close a client when no thread uses it"
        )
