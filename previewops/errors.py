"""Errors that callers of this package see.

Each error is typed, carries its data and its exit code, and its message names what was found, what is allowed and
what to do. They reach callers of the commands and the Python API. Errors of jobs are in ``previewops.job_errors``.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INVALID = 65  # EX_DATAERR of sysexits.h
EXIT_UNREACHABLE = 69  # EX_UNAVAILABLE
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL
EXIT_DAMAGED = 76  # EX_PROTOCOL
EXIT_CONFIG = 78  # EX_CONFIG

START_WORKERS_HINT = (
    "start workers: `systemctl start previewops-supervisor.service`, or without units `previewops supervise` "
    "or `previewops up`"
)
"""What to do when no worker runs. A unit comes first: on its host, other ways use another user and DATA_DIR."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason why a payload is invalid.

    ``pointer`` is an RFC 6901 JSON pointer ("" is the whole document); ``code`` a stable kebab-case word for
    programs; ``message`` one sentence for people; ``found`` and ``allowed`` are short renderings of both.
    """

    pointer: str
    code: str
    message: str
    found: str
    allowed: str

    def as_json(self) -> dict[str, str]:
        """The violation as a JSON object, keys in camelCase (all are single words)."""
        return asdict(self)


class PicklableError(Exception):
    """An exception that survives pickling by ``multiprocessing``, whatever arguments its constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), self.args, self.__dict__)


def _unpickle(kind: type[PicklableError], args: tuple[Any, ...], state: dict[str, Any]) -> PicklableError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class PreviewopsError(PicklableError):
    """Base of the errors that callers see. ``exit_code`` is the process's; ``hint`` names the next step.

    A traceback ends with the hint: it is a note of the exception, too.
    """

    exit_code: ClassVar[int] = EXIT_FAILED
    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint is not None:
            self.add_note(f"hint: {hint}")

    def as_json(self) -> dict[str, Any]:
        """The error as a JSON object for ``--json`` output."""
        body: dict[str, Any] = {"error": self.code, "message": self.message}
        if self.hint is not None:
            body["hint"] = self.hint
        return body


class UsageError(PreviewopsError):
    """Invalid argument or environment variable."""

    exit_code = EXIT_USAGE
    code = "usage"


class InvalidPayload(PreviewopsError):
    """A payload violates the contract. ``violations`` holds all reasons, not only the first."""

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
    """The jobId belongs to a job with a different payload.

    ``reusable_from`` is when a finished job's id becomes reusable at the latest (RFC 3339). It is None for a job that
    has not ended, for a dead letter, and where the end time is unknown. ``replacing``: the submit was to replace the
    payload, which only works within a project.
    """

    code = "conflict"

    def __init__(
        self, job_id: str, state: str, reusable_from: str | None = None, *, replacing: bool = False
    ) -> None:
        hint = (
            "the option replace works within a project: submit with the projectId of the existing job, "
            "or choose another jobId"
            if replacing
            else "choose another jobId for the new job, submit the identical payload to get the existing job, "
            "or replace its payload within its project by the option replace"
        )
        if reusable_from is not None:
            hint += f"; this id becomes reusable at {reusable_from}"
        super().__init__(f"job {job_id} already exists ({state}) with a different payload", hint=hint)
        self.job_id = job_id
        self.state = state
        self.reusable_from = reusable_from


class JobNotFound(PreviewopsError):
    """No record of that jobId: never submitted, discarded, or past its retention."""

    code = "not-found"

    def __init__(self, job_id: str, queue_name: str) -> None:
        super().__init__(
            f"no job {job_id} in queue {queue_name}",
            hint="finished jobs are removed after PREVIEW_RESULT_TTL_S or PREVIEW_KEEP_COMPLETED newer ones",
        )
        self.job_id = job_id


class PayloadExpired(PreviewopsError):
    """The payload of a job that has ended is not stored any more."""

    code = "payload-expired"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"job {job_id}: its payload is not stored any more (results expire after PREVIEW_RESULT_TTL_S)",
            hint="submit the payload again",
        )
        self.job_id = job_id


class WrongState(PreviewopsError):
    """The action does not apply to a job in this state."""

    code = "wrong-state"

    def __init__(self, job_id: str, state: str, action: str, allowed: str) -> None:
        message = f"cannot {action} job {job_id}: it is {state}"
        super().__init__(message, hint=f"{action} applies to jobs that are {allowed}")
        self.job_id = job_id
        self.state = state


class BundleNotFound(PreviewopsError):
    """A job's bundle, or a file of it, is not in this machine's DATA_DIR."""

    code = "bundle-elsewhere"


class ArtifactNotFound(BundleNotFound):
    """The bundle exists but has no file of that name."""

    code = "no-such-artifact"

    def __init__(self, job_id: str, name: str) -> None:
        message = f"the bundle of job {job_id} has no file {name}"
        super().__init__(message, hint="the file may have been removed")
        self.job_id = job_id
        self.name = name


class ArtifactNotLocal(PreviewopsError):
    """A file of a bundle has no path: its bundle is in an object store."""

    code = "not-local"

    def __init__(self, location: str) -> None:
        super().__init__(
            f"the bundles are in {location}, and their files have no path on this machine",
            hint="use open(), read() or url() of the artifact",
        )


class LinksUnsupported(PreviewopsError):
    """The store of bundles cannot make addresses for downloads."""

    code = "links-unsupported"

    def __init__(self, location: str) -> None:
        super().__init__(
            f"download links: found bundles in {location}, allowed an object store",
            hint="set PREVIEW_STORE, or download through the REST API",
        )


class StoreUnavailable(PreviewopsError):
    """The store of bundles cannot be reached now, or its credentials are not accepted. A retry may succeed."""

    exit_code = EXIT_UNREACHABLE
    code = "store-unavailable"

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(
            f"the store {location} cannot be used: {reason}",
            hint="check PREVIEW_STORE, the store's service, and the credentials of this process",
        )
        self.location = location
        self.reason = reason


class StoreRejected(PreviewopsError):
    """The store of bundles lacks a promise that publications need, or this program lacks what the store needs.

    A supervisor does not restart a worker that exits with this code.
    """

    exit_code = EXIT_CONFIG
    code = "store-rejected"


class BundleUnreadable(PreviewopsError):
    """The bundle may exist, but the system cannot read it now. A retry may succeed."""

    exit_code = EXIT_TRY_AGAIN
    code = "storage-fails"

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(
            f"the bundle of job {job_id} cannot be read: {reason}",
            hint="try again; if the error persists, check DATA_DIR and the limit of open files on the host",
        )
        self.job_id = job_id
        self.reason = reason


class BundleReplaced(BundleUnreadable):
    """The bundle was replaced while it was read. The next reading finds the new one."""

    code = "bundle-replaced"

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, "another bundle has replaced it meanwhile")


class PayloadChanged(PreviewopsError):
    """The payload to be replaced was edited by another operator in the meantime."""

    code = "body-changed"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the payload of job {job_id} was edited after you opened it; your change was not saved",
            hint="open the job again and repeat your change",
        )
        self.job_id = job_id


class JobIdMismatch(PreviewopsError):
    """A replacement payload names a different jobId than the job it replaces."""

    exit_code = EXIT_INVALID
    code = "other-job"

    def __init__(self, job_id: str, payload_job_id: str) -> None:
        super().__init__(
            f"payload for job {job_id}: found jobId {payload_job_id}, allowed {job_id}",
            hint=f"set its jobId to {job_id}, or submit it as a new job",
        )
        self.job_id = job_id
        self.payload_job_id = payload_job_id


class QueueFull(PreviewopsError):
    """The backlog has reached PREVIEW_QUEUE_MAX. The job was not stored; retry later."""

    exit_code = EXIT_TRY_AGAIN
    code = "queue-full"

    def __init__(self, job_id: str, backlog: int, limit: int) -> None:
        super().__init__(
            f"queue full: found {backlog} waiting and delayed jobs, allowed {limit}; {job_id} was not accepted",
            hint="try again later, or raise PREVIEW_QUEUE_MAX",
        )
        self.job_id = job_id
        self.backlog = backlog
        self.limit = limit


class QuotaExceeded(PreviewopsError):
    """As many jobs of the token's projects are pending as its quota allows. The job was not stored; retry later."""

    exit_code = EXIT_TRY_AGAIN
    code = "quota-exceeded"

    def __init__(self, job_id: str, holder: str, pending: int, limit: int) -> None:
        super().__init__(
            f"queue quota of {holder}: found {pending} pending jobs, allowed {limit}; {job_id} was not accepted",
            hint="try again when jobs have ended, or raise its queue in PREVIEW_API_TOKENS_FILE",
        )
        self.job_id = job_id
        self.holder = holder
        self.pending = pending
        self.limit = limit


class RedisUnavailable(PreviewopsError):
    """Redis cannot be reached or rejects writes (out of memory, read-only, still loading)."""

    exit_code = EXIT_UNREACHABLE
    code = "redis-unavailable"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"Redis at {address} cannot be used: {reason}",
            hint="set REDIS_URL or --redis-url to a running server. `previewops up` starts one: from another folder, "
            "set REDIS_URL to the address that it prints, or DATA_DIR to its data folder",
        )
        self.address = address


class RecordUnreadable(PreviewopsError):
    """The record of a job is damaged. ``key`` is its Redis key."""

    exit_code = EXIT_DAMAGED
    code = "record-unreadable"

    def __init__(self, job_id: str, key: str, found: str) -> None:
        super().__init__(
            f"record of job {job_id}: found {found} at {key}, allowed a job's fields",
            hint="`previewops doctor` shows what is damaged and how it repairs that",
        )
        self.job_id = job_id
        self.key = key


class ForeignKey(PreviewopsError):
    """A key of the queue has another Redis type: another program uses the same name, or it was damaged."""

    exit_code = EXIT_DAMAGED
    code = "foreign-key"

    def __init__(self, key: str, found: str, allowed: str) -> None:
        super().__init__(
            f"Redis key {key}: found a {found}, allowed a {allowed}",
            hint="if another program uses this name, set PREVIEW_QUEUE_NAME or another database; else "
            "`previewops doctor --repair` moves the key aside and restores the queue",
        )
        self.key = key
        self.found = found
        self.allowed = allowed


class LayoutUnsupported(PreviewopsError):
    """A newer build has written the queue's data in a layout that this build does not know.

    It passes when this build is upgraded or the other one is rolled back, so a supervisor retries it.
    """

    exit_code = EXIT_TRY_AGAIN
    code = "newer-layout"

    def __init__(self, queue_name: str, found: int, supported: int) -> None:
        super().__init__(
            f"queue {queue_name}: found data of layout {found}, supported by this build is {supported}",
            hint="run the previewops version that the other hosts run, or a newer one",
        )
        self.found = found
        self.supported = supported


class DataDirUnavailable(PreviewopsError):
    """DATA_DIR cannot be used now, for example because its disk is full. A later start may succeed."""

    exit_code = EXIT_TRY_AGAIN
    code = "data-dir-unavailable"


_INVALID_FOLDER = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
)


def data_dir_error(data_dir: str, error: OSError) -> PreviewopsError:
    """Returns the error for a DATA_DIR that cannot be used: a wrong setting, or a cause that may pass."""
    message = f"DATA_DIR {data_dir} cannot be used: {error.strerror}"
    if error.errno in _INVALID_FOLDER:
        return UsageError(message, hint="set DATA_DIR to a folder that this user can write to")
    if error.errno == errno.EROFS:
        # Under a shipped unit every other folder is read-only.
        hint = "check its disk; to give the units another folder, run `previewops --data-dir DIR systemd install`"
        return DataDirUnavailable(message, hint=hint)
    return DataDirUnavailable(message, hint="check its disk, then start again")


class EmbeddedUnavailable(PreviewopsError):
    """The embedded Redis server of ``up`` cannot be started. ``log_tail`` holds its last log lines."""

    exit_code = EXIT_UNREACHABLE
    code = "embedded-unavailable"

    def __init__(self, message: str, *, hint: str, log_tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log_tail = log_tail


REINSTALL = "reinstall previewops with its dependencies: pip install --force-reinstall previewops"


class StartupFailed(PreviewopsError):
    """The program cannot run as installed, for example because a module is missing.

    A supervisor does not restart a worker that exits with this code.
    """

    exit_code = EXIT_CONFIG
    code = "cannot-boot"

    def __init__(self, reason: str, *, remedy: str = REINSTALL) -> None:
        super().__init__(f"{reason}; {remedy}")

    @classmethod
    def from_import_error(cls, error: ImportError) -> StartupFailed:
        """The error for a module that cannot be imported."""
        if isinstance(error, ModuleNotFoundError) and error.name:
            return cls(f"the module {error.name} is missing")
        return cls(f"a module cannot be imported: {error}")


class SupervisorRunning(PreviewopsError):
    """Another supervisor runs for this queue and DATA_DIR on this host. ``pid`` is 0 if unknown."""

    code = "supervisor-running"

    def __init__(self, queue_name: str, data_dir: str, pid: int) -> None:
        which = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{which} already supervises the workers of queue {queue_name} in {data_dir}",
            hint="`previewops workers` shows it, `previewops scale` resizes it; stop it to start another",
        )
        self.pid = pid


class CommandRejected(PreviewopsError):
    """A supervisor rejected a command, or none accepted it in time."""

    code = "order-refused"
