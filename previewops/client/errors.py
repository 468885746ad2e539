"""How a wait ends that does not end in a result."""

from __future__ import annotations

from typing import Any

from previewops.errors import EXIT_TRY_AGAIN, PreviewopsError
from previewops.queue.records import JobRecord


class JobFailed(PreviewopsError):
    """The job is a dead letter. ``record`` has its payload, the reason, and every attempt with its traceback."""

    code = "job-failed"

    def __init__(self, record: JobRecord) -> None:
        self.job_id = record.job_id
        self.reason = record.reason or "no reason is on record"
        self.error_code = record.code
        self.fingerprint = record.fingerprint
        self.record = record
        super().__init__(
            f"job {record.job_id} is a dead letter: {self.reason}",
            hint=f"`previewops dlq show {record.job_id}` tells of every attempt; "
            f"`previewops dlq requeue {record.job_id}` runs it again",
        )

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "job": self.record.as_json()}


class JobCancelled(PreviewopsError):
    """Somebody cancelled the job. ``record`` is what is known of it."""

    code = "job-cancelled"

    def __init__(self, record: JobRecord) -> None:
        self.job_id = record.job_id
        self.reason = record.reason or "no reason was given"
        self.record = record
        super().__init__(
            f"job {record.job_id} was cancelled: {self.reason}",
            hint="give the payload another jobId to have it rendered all the same",
        )


class WaitTimeout(PreviewopsError, TimeoutError):
    """The job has not ended in time. It goes on: waiting again is right. ``state`` is what it was in at last."""

    exit_code = EXIT_TRY_AGAIN
    code = "wait-timeout"

    def __init__(self, record: JobRecord, timeout_s: float) -> None:
        self.job_id = record.job_id
        self.state = record.state
        self.timeout_s = timeout_s
        super().__init__(
            f"job {record.job_id} has not ended within {timeout_s:g} s: it is {record.state.value}",
            hint="it goes on; wait again, or ask for its status later",
        )


class ClientClosed(PreviewopsError):
    """The client was closed by another thread during the call. A submit may have got through all the same."""

    code = "client-closed"

    def __init__(self) -> None:
        super().__init__(
            "the client was closed during the call", hint="close a client when no thread uses it any more"
        )
