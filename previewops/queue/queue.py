"""The producer's and the operator's side of the queue: submit, look, cancel, pause.

Every method may raise ``redis.exceptions.RedisError``; ``previewops.redis_server.connection`` turns those into
``RedisUnavailable`` at the doors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from previewops.clock import MAX_DATE_MS, iso_from_ms
from previewops.contract.payload import Payload
from previewops.errors import JobConflict, JobNotFound, PreviewopsError, QueueFull, WrongState
from previewops.queue.keys import ARQ_JOB_PREFIX, Keys
from previewops.queue.records import (
    RENDER_FUNCTION,
    JobRecord,
    extract_payload,
    record_from_redis,
    record_from_reply,
)
from previewops.queue.scripts import ScriptArgument, ScriptName, Scripts
from previewops.settings import Settings
from previewops.states import JobState, Priority, ScriptResult

if TYPE_CHECKING:
    from redis.asyncio import Redis

_BATCH_JOBS = 500
_BATCH_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a submit that was not refused.

    ``new`` is False when the very same job was there already; ``state`` is the job's state at that moment.
    ``free_from_ms`` is when a job that is completed or cancelled is forgotten at the latest, in server ms, by
    PREVIEW_RESULT_TTL_S of this process: from then on its id is a new job's. None where that is not known.
    """

    job_id: str
    state: JobState
    new: bool
    free_from_ms: int | None = None

    @property
    def hint(self) -> str | None:
        """What to do to have the payload rendered, where the job that has its id will not be; None where it will."""
        until = "" if self.free_from_ms is None else f" before {iso_from_ms(self.free_from_ms)}"
        match self.state:
            case JobState.CANCELLED:
                return (
                    f"nothing is rendered under this jobId{until}, as the job was cancelled; "
                    "give the payload another jobId"
                )
            case JobState.DEAD:
                return f"it is a dead letter: `previewops dlq requeue {self.job_id}` runs it again"
            case _:
                return None

    def as_json(self) -> dict[str, Any]:
        """The receipt as a JSON object, the same at every door."""
        body: dict[str, Any] = {"jobId": self.job_id, "status": self.state.value, "new": self.new}
        if self.free_from_ms is not None:
            body["freeFrom"] = iso_from_ms(self.free_from_ms)
        if self.hint is not None:
            body["hint"] = self.hint
        return body


@dataclass(frozen=True, slots=True)
class PauseState:
    """Whether claims are stopped, since when (server ms), by whom and why. ``changed`` tells of this act."""

    paused: bool
    changed: bool
    since_ms: int | None = None
    who: str = ""
    why: str = ""


class Queue:
    """One queue, seen from outside the workers."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self.redis = redis
        self.settings = settings
        self._scripts = Scripts(redis, self.keys)

    async def submit(self, payload: Payload) -> Receipt:
        """Submits one job.

        Raises:
            JobConflict: the id is taken by a job with another body.
            QueueFull: the backlog has reached PREVIEW_QUEUE_MAX.
        """
        (answer,) = await self.submit_many([payload])
        if isinstance(answer, PreviewopsError):
            raise answer
        return answer

    async def submit_many(
        self, payloads: Sequence[Payload], *, invalid: int = 0
    ) -> list[Receipt | JobConflict | QueueFull]:
        """Submits jobs, hundreds per round trip; one answer each, in order. A refused job stops no other.

        Rejections are counted by reason (``metrics.lifetime_counters.REFUSALS``). ``invalid``: submits the caller
        rejected because they break the contract; the same round trip counts them.
        """
        answers: list[Receipt | JobConflict | QueueFull] = []
        conflicts = 0
        for batch in _batches(payloads) or [[]]:
            if not batch and not invalid:
                break
            reply = await self._submit_batch(batch, invalid, conflicts)
            invalid = conflicts = 0
            for i, payload in zip(range(0, len(reply), 3), batch, strict=True):
                code = ScriptResult(reply[i])
                answers.append(self._answer(payload, code, reply[i + 1].decode(), reply[i + 2]))
                conflicts += code is ScriptResult.COMPARE and isinstance(answers[-1], JobConflict)
        if conflicts:  # a stock client's bodies, which only we can compare: too rare to mind the round trip
            await self._submit_batch([], 0, conflicts)
        return answers

    async def _submit_batch(self, batch: Sequence[Payload], invalid: int, conflicts: int) -> list[Any]:
        args: list[ScriptArgument] = [self.settings.queue_max, RENDER_FUNCTION, invalid, conflicts]
        for payload in batch:
            args += (payload.job_id, payload.priority.value, payload.project_id, payload.digest, payload.body)
        reply: list[Any] = await self._scripts.run(ScriptName.SUBMIT, *args)
        return reply

    def _answer(
        self, payload: Payload, code: ScriptResult, state: str, detail: bytes
    ) -> Receipt | JobConflict | QueueFull:
        job_id = payload.job_id
        if code is ScriptResult.FULL:
            return QueueFull(job_id, int(detail), self.settings.queue_max)
        if code is ScriptResult.COMPARE:
            code = ScriptResult.DUPLICATE if extract_payload(detail) == payload.raw else ScriptResult.CONFLICT
            detail = b""
        free_from_ms = (
            self._free_from_ms(state, detail)
            if code in (ScriptResult.DUPLICATE, ScriptResult.CONFLICT)
            else None
        )
        if code is ScriptResult.CONFLICT:
            return JobConflict(job_id, state, None if free_from_ms is None else iso_from_ms(free_from_ms))
        return Receipt(job_id, JobState(state), code is ScriptResult.OK, free_from_ms)

    def _free_from_ms(self, state: str, ended_ms: bytes) -> int | None:
        if state not in (JobState.COMPLETED, JobState.CANCELLED) or not ended_ms.isdigit():
            return None
        return int(ended_ms) + self.settings.result_ttl_s * 1000

    async def status(self, job_id: str) -> JobRecord:
        """Everything known of one job, payload, result and attempts included.

        Raises:
            JobNotFound: there is no record of it.
        """
        reply = await self._scripts.run(ScriptName.READ_JOB, job_id)
        record = record_from_reply(job_id, reply)
        if record is not None:
            return record
        _, body, _, _, due_ms, seconds, microseconds = reply
        if due_ms is None:
            raise JobNotFound(job_id, self.keys.queue)
        return _foreign(job_id, body, float(due_ms), (int(seconds), int(microseconds)))

    async def records(
        self, job_ids: Sequence[str], *, on_unreadable: Callable[[str, Exception], None] | None = None
    ) -> list[JobRecord]:
        """What is known of several jobs, without payloads. Unknown ones are left out.

        ``unreadable`` is told of each record that is there and makes no sense, and why; it is left out too. Without
        it, the first of them ends the whole.
        """
        async with self.redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(self.keys.job_prefix + job_id)
            rows = await pipe.execute()
        strangers = [job_id for job_id, raw in zip(job_ids, rows, strict=True) if not raw]
        known: dict[str, JobRecord] = {}
        for job_id, raw in zip(job_ids, rows, strict=True):
            if not raw:
                continue
            try:
                known[job_id] = record_from_redis(job_id, raw)
            except (ValueError, KeyError) as error:
                if on_unreadable is None:
                    raise
                on_unreadable(job_id, error)
        known |= await self._not_taken_in(strangers)
        return [known[job_id] for job_id in job_ids if job_id in known]

    async def _not_taken_in(self, job_ids: Sequence[str]) -> dict[str, JobRecord]:
        """Those of the ids that stock arq clients put there and that no worker has taken in yet."""
        if not job_ids:
            return {}
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for job_id in job_ids:
                pipe.zscore(self.keys.schedule, job_id)
                pipe.get(ARQ_JOB_PREFIX + job_id)
            now, *rows = await pipe.execute()
        return {
            job_id: replace(_foreign(job_id, body, due_ms, now), payload=None)
            for job_id, due_ms, body in zip(job_ids, rows[::2], rows[1::2], strict=True)
            if due_ms is not None
        }

    async def cancel(self, job_id: str, *, who: str, why: str = "") -> JobState:
        """Cancels a pending job; returns the state it was in. A running render is killed within a heartbeat.

        Raises:
            JobNotFound: there is no record of it.
            WrongState: it has ended already.
        """
        code, state = await self._scripts.run(
            ScriptName.CANCEL, job_id, who, why, self.settings.result_ttl_s * 1000
        )
        if code == ScriptResult.NOT_FOUND:
            raise JobNotFound(job_id, self.keys.queue)
        if code == ScriptResult.WRONG_STATE:
            raise WrongState(job_id, state.decode(), "cancel", "waiting, delayed or active")
        return JobState(state.decode())

    async def pause(self, *, who: str, why: str = "") -> PauseState:
        """Stops claims; jobs that run go on, submits are accepted. A second pause changes nothing."""
        code, by, reason, since = await self._scripts.run(ScriptName.PAUSE, who, why)
        return PauseState(True, code == ScriptResult.OK, int(since), by.decode(), reason.decode())

    async def resume(self, *, who: str, why: str = "") -> PauseState:
        """Lets claims go on."""
        (code,) = await self._scripts.run(ScriptName.RESUME, who, why)
        return PauseState(False, code == ScriptResult.OK)

    async def acknowledge_data_loss(self, *, who: str) -> bool:
        """Ends the alarm over lost data; False if there is none."""
        return ScriptResult(await self._scripts.run(ScriptName.ACKNOWLEDGE_DATA_LOSS, who)) is ScriptResult.OK

    async def record_event(self, kind: str, **fields: str) -> None:
        """Puts one event on the queue's stream."""
        pairs = [part for pair in fields.items() for part in pair]
        await self._scripts.run(ScriptName.RECORD_EVENT, kind, *pairs)

    async def watch(
        self, job_id: str, *, poll_interval_s: float = 1.0, timeout_s: float | None = None
    ) -> AsyncGenerator[JobRecord, None]:
        """Looks at a job until it has ended, and yields what each look finds, without the payload.

        The end is announced on a channel; the record is read again every ``look_every_s`` as well, because a
        message that is published while a connection is down is gone. After ``timeout_s`` there are no more looks,
        and the last of them tells of a job that is pending.

        Raises:
            JobNotFound: there is no record of it.
        """
        now = asyncio.get_running_loop().time
        deadline = None if timeout_s is None else now() + timeout_s
        pubsub = self.redis.pubsub()
        try:
            await pubsub.subscribe(self.keys.done_channel_prefix + job_id)
            known: JobRecord | None = None
            ended: JobState | None = None
            while True:
                found = await self.records([job_id])
                if found:
                    known = found[0]
                elif known is None or ended is None:
                    raise JobNotFound(job_id, self.keys.queue)
                else:
                    # Forgotten already: PREVIEW_KEEP_COMPLETED may be nought.
                    known = replace(known, state=ended)
                yield known
                pause_s = poll_interval_s if deadline is None else min(poll_interval_s, deadline - now())
                if not known.state.pending or pause_s <= 0:
                    return
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=pause_s)
                if message is not None:
                    ended = JobState(message["data"].decode())
        finally:
            await pubsub.aclose()

    async def wait_until_ended(self, job_id: str, *, poll_interval_s: float = 1.0) -> JobState:
        """Waits until a job has ended and returns its state; ``check_every_s`` is that of ``watch``.

        Raises:
            JobNotFound: there is no record of it.
        """
        async with aclosing(self.watch(job_id, poll_interval_s=poll_interval_s)) as looks:
            async for record in looks:
                state = record.state
        return state


def _foreign(job_id: str, body: bytes | None, due_ms: float, now: tuple[int, int]) -> JobRecord:
    """A job that a stock arq client put there and that no worker has taken in yet; ``now`` is Redis's TIME."""
    payload = extract_payload(body) or {}
    named = payload.get("priority")
    return JobRecord(
        job_id=job_id,
        state=JobState.DELAYED if due_ms > now[0] * 1000 + now[1] // 1000 else JobState.WAITING,
        priority=Priority(named) if named in tuple(Priority) else Priority.NORMAL,
        project_id=str(payload.get("projectId", "")),
        accepted_ms=abs(int(min(due_ms, MAX_DATE_MS))),
        claimed_ms=None,
        finished_ms=None,
        attempts=0,
        crashes=0,
        requeues=0,
        progress=None,
        phase=None,
        worker=None,
        reason=None,
        error_class=None,
        code=None,
        cause=None,
        fingerprint=None,
        payload=payload or None,
    )


def _batches(payloads: Sequence[Payload]) -> list[list[Payload]]:
    """Splits a submit so that no single script call holds Redis for long."""
    batches: list[list[Payload]] = []
    size = 0
    for payload in payloads:
        if not batches or len(batches[-1]) == _BATCH_JOBS or size + len(payload.body) > _BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(payload)
        size += len(payload.body)
    return batches
