"""The producer's and operator's side of the queue: submit, status, watch, cancel, pause.

Every method may raise ``redis.exceptions.RedisError``. ``previewops.redis_server.connection`` maps those to
``RedisUnavailable`` for the command line, the API and the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from previewops.clock import MAX_DATE_MS, iso_from_ms, optional_iso
from previewops.contract.payload import Payload
from previewops.disclosure import redact
from previewops.errors import (
    JobConflict,
    JobNotFound,
    PayloadExpired,
    PreviewopsError,
    QueueFull,
    QuotaExceeded,
    RecordUnreadable,
    WrongState,
)
from previewops.queue.batch_errors import BatchClosed, BatchConflict
from previewops.queue.due_time import DueTime
from previewops.queue.keys import ARQ_JOB_PREFIX, Keys
from previewops.queue.listing import encode_projects
from previewops.queue.pending_quota import PendingQuota
from previewops.queue.records import (
    RENDER_FUNCTION,
    JobRecord,
    extract_payload,
    record_from_redis,
    record_from_reply,
)
from previewops.queue.scripts import ScriptArgument, ScriptName, Scripts
from previewops.queue.shared_watch import SharedWatch
from previewops.queue.submit_options import NO_OPTIONS, SubmitOptions
from previewops.redis_server.connection import is_wrong_type
from previewops.settings import Settings
from previewops.states import JobState, Priority, ScriptResult

if TYPE_CHECKING:
    from redis.asyncio import Redis

_STATES = {state.value: state for state in JobState}
_BATCH_JOBS = 500
_BATCH_BYTES = 4_000_000
_EVENTS_PER_CALL = 1_000
_NO_PROJECT = ("",)
"""Names no project, as a script argument."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Reply to an accepted submit.

    ``new`` is False when an identical job existed already; ``state`` is the job's state at that moment.
    ``free_from_ms`` (server ms) is the latest time at which the record of a completed or cancelled job
    expires, by this process's PREVIEW_RESULT_TTL_S. The id is reusable from then on. None if unknown.
    ``replaced`` is the state of the job whose payload this one has replaced; None if it replaced none.
    """

    job_id: str
    state: JobState
    new: bool
    free_from_ms: int | None = None
    replaced: JobState | None = None

    @property
    def hint(self) -> str | None:
        """What to do when this submit will not render the payload; None when it will."""
        until = "" if self.free_from_ms is None else f" before {iso_from_ms(self.free_from_ms)}"
        if self.state is JobState.DEAD:
            return f"the job is a dead letter: `previewops dlq requeue {self.job_id}` runs it again"
        if self.state is JobState.CANCELLED:
            problem = f"the job was cancelled, so its jobId renders nothing{until}"
            return f"{problem}; submit the payload under another jobId"
        return None

    def as_json(self) -> dict[str, Any]:
        """The receipt as JSON, the same on the command line, in the API and in the client."""
        body: dict[str, Any] = {"jobId": self.job_id, "status": self.state.value, "new": self.new}
        if self.replaced is not None:
            body["replaced"] = self.replaced.value
        if self.free_from_ms is not None:
            body["freeFrom"] = iso_from_ms(self.free_from_ms)
        if self.hint is not None:
            body["hint"] = self.hint
        return body


@dataclass(frozen=True, slots=True)
class PauseState:
    """Pause of claims: since when (server ms), operator and reason. ``changed``: this call changed it."""

    paused: bool
    changed: bool
    since_ms: int | None = None
    who: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion that has begun: the state before, "" without a record, and the project.

    ``token`` is above the fencing tokens of all attempts until then.
    """

    job_id: str
    state: str
    project_id: str
    token: int


@dataclass(slots=True)
class _Submit:
    """One submit of a batch. ``compared``: as in ``SubmitOptions.script_argument``."""

    payload: Payload
    quota: PendingQuota | None
    options: SubmitOptions
    compared: bool = False

    def script_arguments(self, *, with_options: bool) -> tuple[ScriptArgument, ...]:
        payload = self.payload
        options = (self.options.script_argument(compared=self.compared),) if with_options else ()
        return (
            payload.job_id,
            payload.priority.value,
            payload.project_id,
            payload.digest,
            payload.body,
            "" if self.quota is None else self.quota.script_argument(),
            *options,
        )


SubmitResult: TypeAlias = (
    Receipt | JobConflict | QueueFull | QuotaExceeded | RecordUnreadable | BatchClosed | BatchConflict
)
"""What became of one of several submits."""


class Queue:
    """One queue as producers and operators use it."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self.redis = redis
        self.settings = settings
        self._scripts = Scripts(redis, self.keys)
        self._watch = SharedWatch(redis, self.keys.done_channel_prefix, self._records_for_watch)

    async def submit(self, payload: Payload, options: SubmitOptions = NO_OPTIONS) -> Receipt:
        """Submits one job.

        Raises:
            JobConflict: another job with a different payload has this id.
            QueueFull: the backlog has reached PREVIEW_QUEUE_MAX.
            RecordUnreadable: the record of the same job is damaged.
            BatchClosed, BatchConflict: the job cannot join the batch of the options.
        """
        (result,) = await self.submit_many([payload], options=[options])
        if isinstance(result, PreviewopsError):
            raise result
        return result

    async def submit_many(
        self,
        payloads: Sequence[Payload],
        *,
        invalid: int = 0,
        quotas: Sequence[PendingQuota | None] | None = None,
        options: Sequence[SubmitOptions] | None = None,
    ) -> list[SubmitResult]:
        """Submits jobs in batches of hundreds per round trip. Returns one result per payload, in order.

        A rejected job does not affect the others. The script counts rejections by reason
        (``previewops.metrics.lifetime_counters.REJECTION_REASONS``). ``invalid`` is the number of submits that the
        caller rejected for breaking the contract; the same round trip counts them. ``quotas`` has the quota of each
        payload, and ``options`` its options; without them none has any.
        """
        results: list[SubmitResult] = []
        conflicts = 0
        remaining = zip(
            quotas or [None] * len(payloads), options or [NO_OPTIONS] * len(payloads), strict=True
        )
        for batch in _batches(payloads) or [[]]:
            if not batch and not invalid:
                break
            submits = [_Submit(payload, *next(remaining)) for payload in batch]
            reply = await self._submit_batch(submits, invalid, conflicts)
            invalid = conflicts = 0
            for i, submit in zip(range(0, len(reply), 3), submits, strict=True):
                result = self._decode_result(submit, reply[i : i + 3])
                compared = reply[i] == ScriptResult.COMPARE and isinstance(result, JobConflict)
                if compared and submit.options.replaced_by is not None:
                    submit.compared = True
                    result = self._decode_result(submit, await self._submit_batch([submit], 0, 0))
                else:
                    conflicts += compared
                results.append(result)
        if conflicts:  # with a body of a stock arq client, which only Python can compare
            await self._submit_batch([], 0, conflicts)
        return results

    async def _submit_batch(self, batch: Sequence[_Submit], invalid: int, conflicts: int) -> list[Any]:
        args: list[ScriptArgument] = [self.settings.queue_max, RENDER_FUNCTION, invalid, conflicts]
        with_options = any(submit.options is not NO_OPTIONS for submit in batch)
        for submit in batch:
            args += submit.script_arguments(with_options=with_options)
        script = ScriptName.SUBMIT_WITH_OPTIONS if with_options else ScriptName.SUBMIT
        reply: list[Any] = await self._scripts.run(script, *args)
        return reply

    def _decode_result(self, submit: _Submit, reply: Sequence[Any]) -> SubmitResult:
        payload, quota = submit.payload, submit.quota
        code, state, detail = ScriptResult(reply[0]), reply[1].decode("utf-8", "replace"), reply[2]
        job_id = payload.job_id
        if code in (ScriptResult.FULL, ScriptResult.BATCH):
            return self._rejection(submit, code, detail)
        if code is ScriptResult.QUOTA and quota is not None:
            return QuotaExceeded(job_id, quota.holder, int(detail), quota.limit)
        if code is ScriptResult.COMPARE:
            code = ScriptResult.DUPLICATE if extract_payload(detail) == payload.raw else ScriptResult.CONFLICT
            detail = b""
        existing = code in (ScriptResult.DUPLICATE, ScriptResult.CONFLICT)
        free_from_ms = self._free_from_ms(state, detail) if existing else None
        if code is ScriptResult.CONFLICT:
            replacing = submit.options.replaced_by is not None
            return JobConflict(job_id, state, optional_iso(free_from_ms), replacing=replacing)
        if state not in _STATES:
            return RecordUnreadable(job_id, self.keys.job_prefix + job_id, f"the state {state[:40]!r}")
        if code is ScriptResult.REPLACED:
            return Receipt(job_id, _STATES[state], new=True, replaced=JobState(detail.decode()))
        return Receipt(job_id, _STATES[state], code is ScriptResult.OK, free_from_ms)

    def _rejection(self, submit: _Submit, code: ScriptResult, detail: bytes) -> SubmitResult:
        job_id = submit.payload.job_id
        if code is ScriptResult.FULL:
            return QueueFull(job_id, int(detail), self.settings.queue_max)
        error = BatchClosed if detail == b"closed" else BatchConflict
        return error(job_id, submit.options.batch or "")

    def _free_from_ms(self, state: str, ended_ms: bytes) -> int | None:
        if state not in (JobState.COMPLETED, JobState.CANCELLED) or not ended_ms.isdigit():
            return None
        return int(ended_ms) + self.settings.result_ttl_s * 1000

    async def status(self, job_id: str) -> JobRecord:
        """Returns the record of one job with payload, result and attempts.

        Raises:
            JobNotFound: the job has no record.
            RecordUnreadable: the record is damaged.
        """
        reply = await self._scripts.run(ScriptName.READ_JOB, job_id)
        record = record_from_reply(job_id, reply, key=self.keys.job_prefix + job_id)
        if record is not None:
            return record
        _, body, _, _, due_ms, seconds, microseconds, _ = reply
        if due_ms is None:
            raise JobNotFound(job_id, self.keys.queue)
        return _unadmitted_record(job_id, body, float(due_ms), (int(seconds), int(microseconds)))

    async def records(
        self, job_ids: Sequence[str], *, on_unreadable: Callable[[str, Exception], None] | None = None
    ) -> list[JobRecord]:
        """Returns the records of several jobs without payloads. Skips unknown ids.

        ``on_unreadable`` receives the id and the error of each corrupt record, which is skipped too. Without
        it, the first corrupt record raises.
        """
        async with self.redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(self.keys.job_prefix + job_id)
            rows = await pipe.execute(raise_on_error=False)
        raw_by_id = dict(zip(job_ids, rows, strict=True))
        known = await self._unadmitted([job_id for job_id, raw in raw_by_id.items() if not raw])
        for job_id, raw in raw_by_id.items():
            if not raw:
                continue
            try:
                known[job_id] = self._decode_record(job_id, raw)
            except RecordUnreadable as error:
                if on_unreadable is None:
                    raise
                on_unreadable(job_id, error)
        return [known[job_id] for job_id in job_ids if job_id in known]

    def _decode_record(self, job_id: str, raw: Mapping[bytes, bytes] | Exception) -> JobRecord:
        key = self.keys.job_prefix + job_id
        if isinstance(raw, Exception):
            if not is_wrong_type(raw):
                raise raw
            raise RecordUnreadable(job_id, key, "a key of another type")
        return record_from_redis(job_id, raw, key=key)

    async def _records_for_watch(
        self, job_ids: Sequence[str], on_unreadable: Callable[[str, Exception], None]
    ) -> list[JobRecord]:
        return await self.records(job_ids, on_unreadable=on_unreadable)

    async def _unadmitted(self, job_ids: Sequence[str]) -> dict[str, JobRecord]:
        """Returns records for those ids that stock arq clients enqueued and no worker has admitted yet."""
        if not job_ids:
            return {}
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for job_id in job_ids:
                pipe.zscore(self.keys.schedule, job_id)
                pipe.get(ARQ_JOB_PREFIX + job_id)
            now, *rows = await pipe.execute(raise_on_error=False)
        for reply in (now, *rows):
            if isinstance(reply, Exception) and not is_wrong_type(reply):
                raise reply
        return {
            job_id: replace(
                _unadmitted_record(job_id, body if isinstance(body, bytes) else None, due_ms, now),
                payload=None,
            )
            for job_id, due_ms, body in zip(job_ids, rows[::2], rows[1::2], strict=True)
            if isinstance(due_ms, float)
        }

    async def cancel(
        self, job_id: str, *, who: str, reason: str = "", projects: Collection[str] | None = None
    ) -> JobState:
        """Cancels a pending job and returns its previous state. A heartbeat kills a running render.

        ``projects`` are those whose jobs the caller may cancel; None for all.

        Raises:
            JobNotFound: the job has no record, or is in another project.
            WrongState: the job has already ended.
        """
        ttl_ms = self.settings.result_ttl_s * 1000
        code, state = await self._scripts.run(
            ScriptName.CANCEL, job_id, who, redact(reason), ttl_ms, *_project_arguments(projects)
        )
        if code == ScriptResult.NOT_FOUND:
            raise JobNotFound(job_id, self.keys.queue)
        if code == ScriptResult.WRONG_STATE:
            raise WrongState(job_id, state.decode("utf-8", "replace"), "cancel", "waiting, delayed or active")
        return JobState(state.decode())

    async def begin_deletion(
        self, job_id: str, *, who: str, reason: str = "", projects: Collection[str] | None = None
    ) -> Deletion:
        """Cancels a job that is pending, so that its bundle can be deleted. Its record stays.

        ``projects`` are those whose jobs the caller may delete; None for all.
        """
        ttl_ms = self.settings.result_ttl_s * 1000
        _, state, project, token = await self._scripts.run(
            ScriptName.BEGIN_DELETION, job_id, who, redact(reason), ttl_ms, *_project_arguments(projects)
        )
        return Deletion(
            job_id, state.decode("utf-8", "replace"), project.decode("utf-8", "replace"), int(token)
        )

    async def finish_deletion(self, deletion: Deletion, *, who: str, reason: str = "") -> bool:
        """Deletes all that is stored about a job. Returns False if it was requeued or submitted again meanwhile."""
        code = await self._scripts.run(
            ScriptName.FINISH_DELETION, deletion.job_id, deletion.token, deletion.state, who, redact(reason)
        )
        if code == ScriptResult.WRONG_STATE:
            return False
        await self._delete_events(deletion.job_id)
        return True

    async def _delete_events(self, job_id: str) -> None:
        """Deletes the events of a job, which may contain its errors. Those that name an operator stay."""
        raw_id, after = job_id.encode(), "-"
        while True:
            entries = await self.redis.xrange(self.keys.events, min=after, count=_EVENTS_PER_CALL)
            ids = [
                event_id
                for event_id, fields in entries
                if fields.get(b"job") == raw_id and not fields.get(b"who")
            ]
            if ids:
                await self.redis.xdel(self.keys.events, *ids)
            if len(entries) < _EVENTS_PER_CALL:
                return
            after = f"({entries[-1][0].decode()}"

    async def run_again(
        self, job_id: str, *, who: str, reason: str = "", projects: Collection[str] | None = None
    ) -> JobState:
        """Runs a completed or cancelled job again with its stored payload, and returns its previous state.

        It is rendered even if a worker has an equal result in its cache. Readers see the bundle of a completed job
        until the new one is published. Attempts count from 0; PREVIEW_QUEUE_MAX does not apply. ``projects`` are
        those whose jobs the caller may run; None for all.

        Raises:
            JobNotFound: the job has no record, or is in another project.
            PayloadExpired: its payload is not stored any more.
            WrongState: the job has not ended, or is a dead letter.
        """
        code, raw_state = await self._scripts.run(
            ScriptName.RUN_AGAIN, "", who, redact(reason), encode_projects(projects), job_id
        )
        state = raw_state.decode("utf-8", "replace")
        if code == ScriptResult.NOT_FOUND:
            raise PayloadExpired(job_id) if state else JobNotFound(job_id, self.keys.queue)
        if code == ScriptResult.WRONG_STATE:
            raise WrongState(job_id, state, "run again", "completed or cancelled; dead letters are requeued")
        return JobState(state)

    async def reschedule(
        self,
        job_id: str,
        *,
        priority: Priority | None = None,
        due: DueTime | None = None,
        who: str,
        reason: str = "",
        projects: Collection[str] | None = None,
    ) -> JobState:
        """Changes the priority or the earliest start of a waiting or delayed job. Returns the state before.

        A waiting job keeps its place by age in its new priority. ``due`` in the past ends a delay. ``projects`` are
        those whose jobs the caller may reschedule; None for all.

        Raises:
            JobNotFound: the job has no record, or is in another project.
            WrongState: the job runs or has ended.
        """
        new = "" if priority is None else priority.value
        code, state = await self._scripts.run(
            ScriptName.RESCHEDULE,
            job_id,
            new,
            "" if due is None else due.script_argument(),
            who,
            redact(reason),
            *_project_arguments(projects),
        )
        if code == ScriptResult.NOT_FOUND:
            raise JobNotFound(job_id, self.keys.queue)
        if code == ScriptResult.WRONG_STATE:
            raise WrongState(job_id, state.decode("utf-8", "replace"), "reschedule", "waiting or delayed")
        return JobState(state.decode())

    async def pause(self, *, who: str, reason: str = "") -> PauseState:
        """Pauses claims. Running jobs continue, and submits are accepted. A second pause changes nothing."""
        code, by, first_reason, since = await self._scripts.run(ScriptName.PAUSE, who, redact(reason))
        texts = ((part or b"").decode("utf-8", "replace") for part in (by, first_reason))
        return PauseState(True, code == ScriptResult.OK, int(since) if since.isdigit() else None, *texts)

    async def resume(self, *, who: str, reason: str = "") -> PauseState:
        """Resumes claims."""
        (code,) = await self._scripts.run(ScriptName.RESUME, who, redact(reason))
        return PauseState(False, code == ScriptResult.OK)

    async def acknowledge_data_loss(self, *, who: str) -> bool:
        """Acknowledges the data-loss alarm. Returns False if there is none."""
        return ScriptResult(await self._scripts.run(ScriptName.ACKNOWLEDGE_DATA_LOSS, who)) is ScriptResult.OK

    async def silence(self, check: str, *, for_ms: int, level: str, who: str, reason: str) -> int:
        """Silences a health check for ``for_ms``, up to the status ``level``, and returns the end in server ms."""
        _, until_ms = await self._scripts.run(ScriptName.SILENCE, check, for_ms, level, who, redact(reason))
        return int(until_ms)

    async def end_silence(self, check: str, *, who: str, reason: str = "") -> bool:
        """Ends the silence of a health check. Returns False if it was not silenced."""
        code, _ = await self._scripts.run(ScriptName.SILENCE, check, 0, "", who, redact(reason))
        return ScriptResult(code) is ScriptResult.OK

    async def record_event(self, kind: str, **fields: str) -> None:
        """Adds one event to the queue's stream."""
        await self._scripts.record_event(kind, fields)

    async def watch(
        self, job_id: str, *, poll_interval_s: float = 1.0, timeout_s: float | None = None
    ) -> AsyncGenerator[JobRecord, None]:
        """Yields the record of a job, without payload, on every poll until the job has ended.

        Redis publishes the end on a channel. A message published during a disconnect is lost, so the record
        is also read every ``poll_interval_s``. Polling stops after ``timeout_s``; the last record then shows
        a pending job. All watches of one queue object share two connections.

        Raises:
            JobNotFound: the job has no record.
        """
        now = asyncio.get_running_loop().time
        deadline = None if timeout_s is None else now() + timeout_s
        record: JobRecord | None = None
        ended: JobState | None = None
        async with self._watch.subscribe(job_id) as end:
            while True:
                latest = await self._watch.read(job_id)
                if latest is not None:
                    record = latest
                elif record is None or ended is None:
                    raise JobNotFound(job_id, self.keys.queue)
                else:
                    # The record may be gone already: PREVIEW_KEEP_COMPLETED can be 0.
                    record = replace(record, state=ended)
                yield record
                pause_s = poll_interval_s if deadline is None else min(poll_interval_s, deadline - now())
                if not record.state.pending or pause_s <= 0:
                    return
                ended = await end.wait(pause_s) or ended


def _project_arguments(projects: Collection[str] | None) -> tuple[str, ...]:
    """Returns projects as the last arguments of a script, for which none means all."""
    return () if projects is None else tuple(projects) or _NO_PROJECT


def _unadmitted_record(job_id: str, body: bytes | None, due_ms: float, now: tuple[int, int]) -> JobRecord:
    """Builds the record of a job that no worker has admitted. ``now`` is Redis TIME."""
    payload = extract_payload(body) or {}
    priority, project = payload.get("priority"), str(payload.get("projectId", ""))
    due_later = due_ms > now[0] * 1000 + now[1] // 1000
    fields = {
        b"state": (JobState.DELAYED if due_later else JobState.WAITING).encode(),
        b"priority": (priority if priority in tuple(Priority) else Priority.NORMAL).encode(),
        b"project": project.encode("utf-8", "replace"),
        b"accepted": str(int(min(abs(due_ms), MAX_DATE_MS))).encode(),
        b"due": str(int(min(abs(due_ms), MAX_DATE_MS))).encode(),
    }
    return record_from_redis(job_id, fields, body=body)


def _batches(payloads: Sequence[Payload]) -> list[list[Payload]]:
    """Splits a submit into batches, so that no script call blocks Redis for long."""
    batches: list[list[Payload]] = []
    size = 0
    for payload in payloads:
        if not batches or len(batches[-1]) == _BATCH_JOBS or size + len(payload.body) > _BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(payload)
        size += len(payload.body)
    return batches
