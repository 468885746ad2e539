"""Errors of jobs: why one attempt failed. Their ``kind`` decides whether the job is retried."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from previewops.errors import PicklableError


class FailureKind(StrEnum):
    """Whether the retry policy retries a failed job."""

    PERMANENT = "permanent"  # the same job would fail the same way again: dead letter at once
    TRANSIENT = "transient"  # may succeed later: retried with backoff up to PREVIEW_MAX_ATTEMPTS


class JobError(PicklableError):
    """Why one attempt at a job failed.

    ``code`` is a stable kebab-case word. ``template`` tells errors of one code apart where they need different
    remedies: the message without values of one job, or a word. Both, with the class, make the fingerprint that groups
    dead letters. ``data`` holds the found and allowed values as JSON values. ``error_class`` names the original
    exception if it is not a JobError; ``remote_traceback`` is the traceback's text if it was raised in a render
    process.
    """

    kind: ClassVar[FailureKind] = FailureKind.TRANSIENT
    error_class: str | None = None
    remote_traceback: str | None = None

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, template: str = "", **data: Any
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.template = template
        self.data = data


class PermanentJobError(JobError):
    """A retry cannot help: invalid, unsupported, permanently missing, over a limit."""

    kind = FailureKind.PERMANENT


class TransientJobError(JobError):
    """A retry may help: not available yet, disk full, deadline exceeded."""


class RenderCrashed(JobError):
    """The render process died, or violated its protocol, during a job. Counted separately from exceptions.

    ``template`` tells crashes apart, as ``queue.fingerprint.stored_template`` does. ``signal_name`` is "SIGSEGV" or
    the like; ``exit_status`` is the status it exited with. Both are None if unknown: the fork server, which reports
    them, has died too.
    """

    def __init__(
        self,
        reason: str,
        *,
        template: str = "",
        signal_name: str | None = None,
        exit_status: int | None = None,
        hint: str | None = None,
    ) -> None:
        message, data = f"the render process {reason}", {"signal": signal_name, "exitStatus": exit_status}
        super().__init__("render-crashed", message, hint=hint, template=template, **data)
        self.signal_name = signal_name
        self.exit_status = exit_status


class StaleToken(JobError):
    """A later attempt at the job has published: this attempt lost its lease and its output is discarded.

    Not a failure of the job, so the caller does not report it: the job belongs to the later attempt.
    """

    def __init__(self, found: int, newest: int) -> None:
        super().__init__(
            "stale-token",
            f"fencing token {found} is older than {newest}, which has already published",
            hint="a later attempt took over the job; no action is needed",
            found=found,
            allowed=newest,
        )
        self.found = found
        self.newest = newest
