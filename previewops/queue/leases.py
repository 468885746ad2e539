"""The worker's side of the queue: claims under a lease with a fencing token, and transitions that end them.

Only the Redis server's clock times leases. The fencing token (M. Kleppmann, "How to do distributed locking",
2016) grows with every claim; scripts reject callers with an older one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from redis.exceptions import ResponseError

from previewops.queue.fingerprint import fingerprint
from previewops.queue.keys import Keys
from previewops.queue.regrouping import Regrouping
from previewops.queue.retry import DeadLetterCause, FailureCounter
from previewops.queue.scripts import ScriptArgument, ScriptName, Scripts
from previewops.redis_server.connection import is_wrong_type
from previewops.settings import Settings
from previewops.states import Priority, ScriptResult

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CLAIM_WIDTH = 10

_RESULTS = {result.value: result for result in ScriptResult}
_PRIORITIES = {priority.value.encode(): priority for priority in Priority}

WORKER_LOST_FINGERPRINT = fingerprint("WorkerLost", "worker-lost", "")
"""Fingerprint of jobs whose worker was lost, independent of the message."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One leased job. ``body`` is arq's job record, or None if it is gone. Times are server ms.

    ``wait_ms`` is the wait since the job was submitted, became due or was released. It excludes earlier runs.
    ``ahead``: claimed ahead of a free slot. Until it is reported as started, the loss of its worker counts no crash.
    ``project`` is the one as which the job takes turns.
    """

    job_id: str
    body: bytes | None
    token: str
    accepted_ms: int
    claimed_ms: int
    attempts: int
    crashes: int
    wait_ms: float
    priority: Priority
    ahead: bool = False
    project: str = ""


@dataclass(frozen=True, slots=True)
class ClaimReply:
    """Reply to a claim: the claimed jobs, and the ms until the next delayed job is due (None if there is none)."""

    claims: tuple[Claim, ...]
    next_due_ms: int | None


@dataclass(frozen=True, slots=True)
class CompletedJob:
    """A finished render: its claim, the result as JSON, its run time in ms, and whether it was a dry run."""

    claim: Claim
    result_json: str
    run_ms: float
    dry_run: bool = False


class EndedCount(NamedTuple):
    """Completed jobs of a project, priority and output format.

    ``field`` is ``w`` or ``r`` with the bin of their wait or run time (``previewops.snapshot.histogram``).
    """

    project_id: str
    priority: Priority
    output_format: str
    field: str
    amount: int


class FinishReply(NamedTuple):
    """Reply to a finish: one code per job (OK, ALREADY, or STALE if its lease was lost), and the new claims.

    ``paused``: the queue is paused, so jobs that are claimed ahead should not start.
    """

    codes: list[ScriptResult]
    claims: tuple[Claim, ...]
    paused: bool


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """Reply to a heartbeat: the ids whose lease is lost, and the queue's birth in server µs.

    ``previous_born_us`` is the birth that the previous heartbeat saw. It is None if that was the same queue,
    or if this is the first heartbeat. ``maintained_ms`` is the time since any worker of the queue ran a maintenance
    step; None if that is not known.
    """

    lost_job_ids: tuple[str, ...]
    queue_born_us: int
    previous_born_us: int | None
    maintained_ms: int | None


@dataclass(frozen=True, slots=True)
class MaintenanceResult:
    """Result of a maintenance step: counts, and the ms to the next due job and lease expiry (None: none)."""

    recovered: int
    admitted: int
    next_due_ms: int | None
    next_expiry_ms: int | None


@dataclass(frozen=True, slots=True)
class DeadLetterReason:
    """Why a job is a dead letter, as it is stored and grouped."""

    cause: DeadLetterCause
    error_class: str
    code: str
    message: str
    fingerprint: str


class ScriptRunner(Protocol):
    """Something that runs the queue's scripts."""

    async def run(self, name: ScriptName, *args: ScriptArgument) -> Any:
        """Runs a script with the queue's keys."""


class Leases:
    """The queue operations of one worker. ``claim`` and ``finish`` go through ``fast_runner``."""

    def __init__(
        self, redis: Redis, settings: Settings, worker_id: str, *, fast_runner: ScriptRunner | None = None
    ) -> None:
        self.keys = Keys(settings.queue_name)
        self.scripts = Scripts(redis, self.keys)
        self.fast_runner: ScriptRunner = fast_runner or self.scripts
        self._redis = redis
        self._settings = settings
        self._worker = worker_id
        self._queue_born = ""
        self._regrouping = Regrouping(redis, self.keys, self.scripts)

    async def wait_for_work(self, timeout_s: float) -> bool:
        """Blocks until a wake-up arrives or ``timeout_s`` (minimum 5 ms) has passed. Returns False if none arrived.

        While the list of wake-ups is damaged, it returns True after ``timeout_s``: jobs may wait.
        """
        # Redis before 7.0 rounds the timeout down to whole ms, and 0 blocks forever.
        wait_s = max(timeout_s, 0.005)
        try:
            # redis.blpop accepts whole seconds only.
            return await self._redis.execute_command("BLPOP", self.keys.wake, wait_s) is not None
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            # Without the list there are no wake-ups; the worker polls.
            await asyncio.sleep(wait_s)
            return True

    async def claim(self, max_claims: int, max_ahead: int = 0) -> ClaimReply:
        """Claims up to ``max_claims`` jobs, and up to ``max_ahead`` ahead; none while the queue is paused."""
        settings = self._settings
        reply = await self.fast_runner.run(
            ScriptName.CLAIM, self._worker, settings.lease_ms, settings.ageing_ms, max_claims, max_ahead
        )
        return ClaimReply(_claims(reply, 2), _optional(reply[1]))

    async def finish(
        self,
        completed: Sequence[CompletedJob],
        max_claims: int,
        *,
        max_ahead: int = 0,
        started: Iterable[Claim] = (),
    ) -> FinishReply:
        """Completes jobs and claims new ones in the same round trip, as ``claim`` does.

        ``started`` are claims ahead whose jobs run now.
        """
        settings = self._settings
        args: list[ScriptArgument] = [
            self._worker,
            settings.lease_ms,
            settings.ageing_ms,
            max_claims,
            max_ahead,
        ]
        args += (settings.keep_completed, settings.result_ttl_s * 1000, len(completed))
        for job in completed:
            args += (job.claim.job_id, job.claim.token, job.result_json, job.run_ms, int(job.dry_run))
        for claim in started:
            args += (claim.job_id, claim.token)
        reply = await self.fast_runner.run(ScriptName.FINISH, *args)
        end = 2 + len(completed)
        codes = [_RESULTS[code] for code in reply[2:end]]
        return FinishReply(codes, _claims(reply, end), paused=reply[1] == 1)

    async def retry(
        self,
        claim: Claim,
        *,
        delay_ms: int,
        counter: FailureCounter,
        attempt_json: str,
        message: str,
        traceback_json: str = "",
    ) -> ScriptResult:
        """Schedules a failed job for a retry in ``delay_ms``. The attempt is as in ``Attempt.as_redis``."""
        reply = await self.scripts.run(
            ScriptName.RETRY,
            claim.job_id,
            claim.token,
            delay_ms,
            counter.value,
            attempt_json,
            _text(message),
            traceback_json,
        )
        return ScriptResult(reply)

    async def move_to_dead_letters(
        self,
        claim: Claim,
        *,
        counter: FailureCounter,
        attempt_json: str,
        reason: DeadLetterReason,
        traceback_json: str = "",
    ) -> ScriptResult:
        """Moves a failed job to the dead-letter queue. The attempt is as in ``Attempt.as_redis``."""
        reply = await self.scripts.run(
            ScriptName.DEAD_LETTER,
            claim.job_id,
            claim.token,
            counter.value,
            attempt_json,
            reason.cause.value,
            _text(reason.error_class),
            reason.code,
            _text(reason.message),
            reason.fingerprint,
            traceback_json,
        )
        return ScriptResult(reply)

    async def release(self, claims: Iterable[Claim]) -> list[ScriptResult]:
        """Requeues claimed jobs without counting an attempt."""
        args: list[ScriptArgument] = [self._worker]
        for claim in claims:
            args += (claim.job_id, claim.token)
        reply = await self.scripts.run(ScriptName.RELEASE_CLAIMS, *args)
        return [ScriptResult(code) for code in reply]

    async def renew(self, claim: Claim) -> ScriptResult:
        """Renews one lease. The code shows whether the caller still holds it: call this right before publishing."""
        reply = await self.fast_runner.run(
            ScriptName.RENEW, claim.job_id, claim.token, self._settings.lease_ms
        )
        return ScriptResult(reply)

    async def heartbeat(
        self, info_json: str, running: Iterable[tuple[Claim, float, str]], ahead: Iterable[Claim] = ()
    ) -> HeartbeatReply:
        """Reports the worker as alive and renews its leases; ``running`` is (claim, progress 0..1, phase).

        ``ahead`` are claims whose jobs wait for a slot.

        A heartbeat that finds a new queue, as after FLUSHALL, raises the data-loss alarm of ``previewops
        health``. Only that heartbeat returns ``previous_born_us``.
        """
        args: list[ScriptArgument] = [self._worker, info_json, self._settings.lease_ms, self._queue_born]
        for claim, progress, phase in running:
            args += (claim.job_id, claim.token, round(progress, 3), phase)
        for claim in ahead:
            args += (claim.job_id, claim.token, "", "")
        reply = await self.scripts.run(ScriptName.HEARTBEAT, *args)
        knew, self._queue_born = self._queue_born, reply[1].decode()
        return HeartbeatReply(
            lost_job_ids=tuple(job_id.decode() for job_id in reply[3:]),
            queue_born_us=int(self._queue_born),
            previous_born_us=int(knew) if knew not in ("", self._queue_born) else None,
            maintained_ms=_optional(reply[2]),
        )

    async def record_ended(self, number: int, counts: Iterable[EndedCount]) -> None:
        """Adds completed jobs to the breakdown by project, format and priority.

        ``number`` grows with each report of this worker: a repeated one is counted once.
        """
        args: list[ScriptArgument] = [self._worker, number]
        for count in counts:
            args += (_text(count.project_id), count.priority.value, count.output_format)
            args += (count.field, count.amount)
        await self.scripts.run(ScriptName.RECORD_ENDED, *args)

    async def release_unknown_claims(self, held: Iterable[Claim]) -> list[str]:
        """Requeues claims of this worker whose reply was lost, all but ``held``. Returns the ids."""
        reply = await self.scripts.run(
            ScriptName.RELEASE_UNKNOWN_CLAIMS, self._worker, *(claim.token for claim in held)
        )
        return [job_id.decode("utf-8", "replace") for job_id in reply]

    async def bump_fencing_token(self, token: int) -> None:
        """Makes the next fencing token larger than ``token``."""
        await self.scripts.run(ScriptName.BUMP_FENCING_TOKEN, token)

    async def maintain(self) -> MaintenanceResult:
        """Runs one bounded maintenance step: expired leases, due jobs, aged records, history."""
        recovered, admitted, due, expiry = await self.scripts.run(
            ScriptName.MAINTAIN,
            self._settings.max_crashes,
            WORKER_LOST_FINGERPRINT,
            self._settings.result_ttl_s * 1000,
            max(60_000, self._settings.lease_ms * 3),
            self._settings.lease_ms,
            self._settings.keep_actions,
        )
        return MaintenanceResult(recovered, admitted, _optional(due), _optional(expiry))

    async def regroup(self) -> int:
        """Compares a bounded number of stored dead letters with today's fingerprints, until all have been compared.

        Returns how many moved to another group.
        """
        return 0 if self._regrouping.done else await self._regrouping.step()

    async def deregister_worker(self, worker_id: str, reason: str, *, lost: bool) -> list[str]:
        """Recovers all leases of an exited worker and removes its registration. Returns the ids."""
        reply = await self.scripts.run(
            ScriptName.DEREGISTER_WORKER,
            worker_id,
            self._settings.max_crashes,
            reason,
            WORKER_LOST_FINGERPRINT,
            "worker-lost" if lost else "worker-stopped",
        )
        return [job_id.decode("utf-8", "replace") for job_id in reply]

    async def active_attempts(self) -> frozenset[str]:
        """Returns "<jobId>.<token>" for every leased job of the queue."""
        prefix = self.keys.job_prefix.encode()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrange(self.keys.active, 0, -1)
            (ids,) = _readable(await pipe.execute(raise_on_error=False), default=[])
            for job_id in ids:
                pipe.hget(prefix + job_id, "token")
            tokens = _readable(await pipe.execute(raise_on_error=False), default=None)
        return frozenset(
            b".".join((job_id, token)).decode("utf-8", "replace")
            for job_id, token in zip(ids, tokens, strict=True)
            if token
        )


def _readable(replies: Sequence[Any], *, default: Any) -> list[Any]:
    """Returns the replies, with ``default`` for keys of another type."""
    for reply in replies:
        if isinstance(reply, Exception) and not is_wrong_type(reply):
            raise reply
    return [default if isinstance(reply, Exception) else reply for reply in replies]


def _text(message: str) -> bytes:
    """Encodes an error text as UTF-8. Undecodable bytes of a file name (``\\udcff``) become backslash escapes."""
    return message.encode("utf-8", "backslashreplace")


def _optional(raw: bytes) -> int | None:
    value = int(raw)
    return None if value < 0 else value


def _claims(reply: Sequence[Any], start: int) -> tuple[Claim, ...]:
    if len(reply) == start:
        return ()
    now_ms = int(reply[0])
    return tuple(
        Claim(
            job_id=reply[i].decode(),
            body=reply[i + 1],
            token=reply[i + 2].decode(),
            accepted_ms=int(reply[i + 3]),
            claimed_ms=now_ms,
            attempts=int(reply[i + 4]),
            crashes=int(reply[i + 5]),
            wait_ms=float(reply[i + 6]),
            priority=_PRIORITIES[reply[i + 7]],
            ahead=reply[i + 8] == 1,
            project=reply[i + 9].decode(),
        )
        for i in range(start, len(reply), _CLAIM_WIDTH)
    )
