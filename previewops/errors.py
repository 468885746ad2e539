"""Every error this package raises on purpose.

An error is typed, carries its data, owns its exit code, and its text tells a person what was found, what is
allowed and what to do. Two families: ``PreviewopsError`` is what a caller of the commands or the Python API
meets; ``JobError`` is why one job failed, and its ``kind`` is what the retry policy decides by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INVALID = 65  # EX_DATAERR of sysexits.h
EXIT_UNREACHABLE = 69  # EX_UNAVAILABLE
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL
EXIT_CONFIG = 78  # EX_CONFIG


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a payload.

    ``pointer`` is an RFC 6901 JSON pointer ("" is the whole document); ``code`` a stable kebab-case word for
    programs; ``message`` one sentence for a person; ``found`` and ``allowed`` short renderings of both.
    """

    pointer: str
    code: str
    message: str
    found: str
    allowed: str

    def as_json(self) -> dict[str, str]:
        """The violation as a JSON object, keys in camelCase (all are single words)."""
        return {
            "pointer": self.pointer,
            "code": self.code,
            "message": self.message,
            "found": self.found,
            "allowed": self.allowed,
        }


class _Portable(Exception):
    """Survives pickling: as ``multiprocessing`` sends it, whatever its constructor asks for."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (type(self), self.args, self.__dict__)


def _revived(kind: type[_Portable], args: tuple[Any, ...], state: dict[str, Any]) -> _Portable:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class PreviewopsError(_Portable):
    """Base of what a caller is told. ``exit_code`` is the process's; ``hint`` says what to do next."""

    exit_code: ClassVar[int] = EXIT_FAILED
    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, Any]:
        """The error as a JSON object for ``--json`` output."""
        body: dict[str, Any] = {"error": self.code, "message": self.message}
        if self.hint is not None:
            body["hint"] = self.hint
        return body


class UsageError(PreviewopsError):
    """The command's words or an environment variable are off."""

    exit_code = EXIT_USAGE
    code = "usage"


class InvalidPayload(PreviewopsError):
    """A payload broke the contract. ``violations`` holds every reason found, not only the first."""

    exit_code = EXIT_INVALID
    code = "invalid-payload"

    def __init__(self, violations: Sequence[Violation], *, source: str | None = None) -> None:
        count = len(violations)
        where = f"{source}: " if source else ""
        first = violations[0] if violations else None
        detail = f": {first.pointer or '/'}: {first.message}" if first else ""
        more = f" (and {count - 1} more)" if count > 1 else ""
        super().__init__(f"{where}invalid payload{detail}{more}")
        self.violations = tuple(violations)
        self.source = source

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "violations": [violation.as_json() for violation in self.violations]}


class JobConflict(PreviewopsError):
    """The jobId is taken by a job with another body.

    ``free_from`` says when a job that has ended is forgotten at the latest and its id can be used again (RFC 3339);
    None where that is not set: the job has not ended, is a dead letter, or when it ended is not known.
    """

    code = "conflict"

    def __init__(self, job_id: str, state: str, reusable_from: str | None = None) -> None:
        until = "" if reusable_from is None else f"; this one is free again from {reusable_from}"
        super().__init__(
            f"job {job_id} exists already ({state}) with a different payload",
            hint="give the new job another jobId, or submit the same payload to be told of the same job"
            + until,
        )
        self.job_id = job_id
        self.state = state
        self.reusable_from = reusable_from


class JobNotFound(PreviewopsError):
    """No record of that jobId: never submitted here, discarded, or past its retention."""

    code = "not-found"

    def __init__(self, job_id: str, queue_name: str) -> None:
        super().__init__(
            f"no job {job_id} in queue {queue_name}",
            hint="finished jobs are forgotten after PREVIEW_RESULT_TTL_S or PREVIEW_KEEP_COMPLETED newer",
        )
        self.job_id = job_id


class WrongState(PreviewopsError):
    """The act does not apply to a job in this state."""

    code = "wrong-state"

    def __init__(self, job_id: str, state: str, action: str, allowed: str) -> None:
        super().__init__(
            f"cannot {action} job {job_id}: it is {state}",
            hint=f"{action} applies to jobs that are {allowed}",
        )
        self.job_id = job_id
        self.state = state


class BundleNotFound(PreviewopsError):
    """A job's bundle, or a file of it, is not where this machine would have it."""

    code = "bundle-elsewhere"


class ArtifactNotFound(BundleNotFound):
    """A bundle is here, and has no file of that name."""

    code = "no-such-artifact"

    def __init__(self, job_id: str, name: str) -> None:
        super().__init__(
            f"the bundle of job {job_id} has no file {name}", hint="its files may have been removed since"
        )
        self.job_id = job_id
        self.name = name


class BundleUnreadable(PreviewopsError):
    """A bundle may be there, and the system does not let it be read now. Trying again may help."""

    exit_code = EXIT_TRY_AGAIN
    code = "storage-fails"

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(
            f"the bundle of job {job_id} cannot be read: {reason}",
            hint="try again; if it stays so, whoever runs this has to look at DATA_DIR and the limit of open files",
        )
        self.job_id = job_id
        self.reason = reason


class PayloadChanged(PreviewopsError):
    """A payload was to take the place of one that the job has no more: somebody has edited it meanwhile."""

    code = "body-changed"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the payload of job {job_id} has been edited since you opened it; it was left as it is now",
            hint="open it again, and make your change in what is there",
        )
        self.job_id = job_id


class JobIdMismatch(PreviewopsError):
    """A payload that was to take the place of a job's own names another job."""

    exit_code = EXIT_INVALID
    code = "other-job"

    def __init__(self, job_id: str, found: str) -> None:
        super().__init__(
            f"the payload for job {job_id} has the jobId {found}",
            hint=f"its jobId has to be {job_id}; submit it as it is for a job of its own",
        )
        self.job_id = job_id
        self.found = found


class QueueFull(PreviewopsError):
    """The backlog has reached PREVIEW_QUEUE_MAX. Nothing was stored; trying again later is right."""

    exit_code = EXIT_TRY_AGAIN
    code = "queue-full"

    def __init__(self, job_id: str, backlog: int, limit: int) -> None:
        super().__init__(
            f"queue full: {backlog} jobs are waiting, {limit} are allowed; {job_id} was not accepted",
            hint="try again when the workers have caught up, or raise PREVIEW_QUEUE_MAX",
        )
        self.job_id = job_id
        self.backlog = backlog
        self.limit = limit


class RedisUnavailable(PreviewopsError):
    """Redis cannot be reached, or refuses to store (out of memory, read-only, still loading)."""

    exit_code = EXIT_UNREACHABLE
    code = "redis-unavailable"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"Redis at {address} cannot be used: {reason}",
            hint="set REDIS_URL or --redis-url to a running server, or let `previewops up` start one",
        )
        self.address = address


class EmbeddedUnavailable(PreviewopsError):
    """The private Redis server of ``up`` cannot be started here. ``log_tail`` is what it said last."""

    exit_code = EXIT_UNREACHABLE
    code = "embedded-unavailable"

    def __init__(self, message: str, *, hint: str, log_tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log_tail = log_tail


REINSTALL = "install previewops again, with what it depends on: pip install --force-reinstall previewops"


class StartupFailed(PreviewopsError):
    """The program cannot do its work as it is installed: a module is missing, say. One line says it all.

    A supervisor does not start a worker again that ends so.
    """

    exit_code = EXIT_CONFIG
    code = "cannot-boot"

    def __init__(self, reason: str, *, remedy: str = REINSTALL) -> None:
        super().__init__(f"{reason}; {remedy}")

    @classmethod
    def from_import_error(cls, error: ImportError) -> StartupFailed:
        """For a module that cannot be imported, which it names."""
        if isinstance(error, ModuleNotFoundError) and error.name:
            return cls(f"the module {error.name} is missing")
        return cls(f"a module cannot be imported: {error}")


class SupervisorRunning(PreviewopsError):
    """There is a supervisor already for this queue and DATA_DIR on this host. ``pid`` is 0 if not known."""

    code = "supervisor-running"

    def __init__(self, queue_name: str, data_dir: str, pid: int) -> None:
        which = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{which} supervises the workers of queue {queue_name} in {data_dir} already",
            hint="`previewops workers` shows it and `previewops scale` steers it; stop it to start another",
        )
        self.pid = pid


class CommandRejected(PreviewopsError):
    """A supervisor did not do as it was told, or none took the order in time."""

    code = "order-refused"


class FailureKind(StrEnum):
    """What the retry policy decides by."""

    PERMANENT = "permanent"  # the same job would fail in the same way for ever: dead letter at once
    TRANSIENT = "transient"  # may heal by itself: retried with backoff up to PREVIEW_MAX_ATTEMPTS


class JobError(_Portable):
    """Why one attempt at one job failed.

    ``code`` is a stable kebab-case word (part of the fingerprint that dead letters are grouped by);
    ``data`` holds what was found and what is allowed, as JSON values. ``error_class`` names the exception
    when it was none of this family, and ``remote_traceback`` is the traceback's text when it was raised in
    a render process.
    """

    kind: ClassVar[FailureKind] = FailureKind.TRANSIENT
    error_class: str | None = None
    remote_traceback: str | None = None

    def __init__(self, code: str, message: str, *, hint: str | None = None, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.data = data


class PermanentJobError(JobError):
    """Running the job again cannot help: invalid, unsupported, missing for good, over a limit."""

    kind = FailureKind.PERMANENT


class TransientJobError(JobError):
    """Running the job again may help: not there yet, disk full, deadline passed."""

    kind = FailureKind.TRANSIENT


class RenderCrashed(JobError):
    """The render process died, or broke its protocol, in the middle of a job. Counted apart from exceptions.

    ``signal_name`` is "SIGSEGV" and the like, or None; ``exit_status`` is the status it exited with, or None.
    Both are None when it is not known: the fork server that could have told is gone too.
    """

    kind = FailureKind.TRANSIENT

    def __init__(
        self,
        reason: str,
        *,
        signal_name: str | None = None,
        exit_status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(
            "render-crashed",
            f"the render process {reason}",
            hint=hint,
            signal=signal_name,
            exitStatus=exit_status,
        )
        self.signal_name = signal_name
        self.exit_status = exit_status


class StaleToken(JobError):
    """A later attempt at the job has published already: this attempt lost its lease and its output is void.

    Not a failure of the job. Whoever meets it reports nothing, as the job is no longer theirs.
    """

    kind = FailureKind.TRANSIENT

    def __init__(self, found: int, newest: int) -> None:
        super().__init__(
            "stale-token",
            f"fencing token {found} is older than {newest}, which has published",
            hint="the job was taken over by a later attempt; nothing is to be done",
            found=found,
            allowed=newest,
        )
        self.found = found
        self.newest = newest
