"""Payloads, claims and a queue fixture for the queue's tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.asyncio import Redis

from previewops.contract import Payload, validate
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.filter_query import parse_filter
from previewops.queue.fingerprint import fingerprint, stored_template
from previewops.queue.keys import Keys
from previewops.queue.leases import Claim, CompletedJob, DeadLetterReason, Leases
from previewops.queue.listing import JobList
from previewops.queue.queue import Queue
from previewops.queue.records import JobRecord
from previewops.queue.retry import DeadLetterCause, FailureCounter
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.snapshot.reader import SnapshotReader
from previewops.states import JobState, ScriptResult

QUEUE = "preview-jobs"
HOUR_MS = 3_600_000


@cache
def payload(
    job_id: str, *, priority: str | None = None, project: str = "p", title: str = "", request: str = "r"
) -> Payload:
    """A valid payload: a title card."""
    raw: dict[str, Any] = {
        "jobId": job_id,
        "projectId": project,
        "requestId": request,
        "dryRun": False,
        "previewRequest": {"title": title, "steps": [], "assets": [], "audio": {}},
    }
    if priority is not None:
        raw["priority"] = priority
    return validate(raw)


async def wait_until_ended(queue: Queue, job_id: str, *, poll_interval_s: float = 1.0) -> JobState:
    """Waits until a job has ended, returns its state. Raises JobNotFound. The interval is as in ``Queue.watch``."""
    async with aclosing(queue.watch(job_id, poll_interval_s=poll_interval_s)) as records:
        async for record in records:
            state = record.state
    return state


def dead_letter_reason(
    code: str = "broken",
    message: str = "it broke",
    *,
    cause: DeadLetterCause = DeadLetterCause.PERMANENT,
    error_class: str = "BrokenError",
) -> DeadLetterReason:
    """Reason of a dead letter, with the fingerprint that the worker would compute."""
    template = stored_template(code, message, None)
    return DeadLetterReason(cause, error_class, code, message, fingerprint(error_class, code, template))


def attempt_json(worker: str = "w1", message: str = "it broke", at: int = 0) -> str:
    """One failed attempt as the worker records it."""
    return json.dumps(
        {
            "at": at,
            "durationMs": 5,
            "worker": worker,
            "kind": "permanent",
            "class": "BrokenError",
            "code": "broken",
            "message": message,
            "traceback": "Traceback: …",
        }
    )


def completed_job(claim: Claim, result: Any = None, run_ms: float = 3.0) -> CompletedJob:
    """A claim completed with a result."""
    return CompletedJob(claim, json.dumps({"ok": True} if result is None else result), run_ms)


class QueueFixture:
    """One queue with all its classes, over one client."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.settings = settings
        self.keys = Keys(settings.queue_name)
        self.queue = Queue(redis, settings)
        self.dead = DeadLetters(redis, settings)
        self.snapshots = SnapshotReader(redis, settings)
        self.list = JobList(redis, settings)

    def worker(self, name: str = "w1", **changes: Any) -> Leases:
        """Returns the worker's side; ``changes`` override settings."""
        from dataclasses import replace

        return Leases(self.redis, replace(self.settings, **changes), name)

    async def list_all(
        self, state: JobState | None = None, text: str = "", **options: Any
    ) -> tuple[JobRecord, ...]:
        """Lists all matching jobs of a state, page by page."""
        cursor, records = None, []
        while True:
            page = await self.list.page(state=state, query=parse_filter(text), cursor=cursor, **options)
            records += page.rows
            cursor = page.cursor
            if cursor is None:
                return tuple(records)

    async def claim_one(self, name: str = "w1") -> Claim:
        """Claims one job, which must exist."""
        (claim,) = (await self.worker(name).claim(1)).claims
        return claim

    async def add_dead_letter(
        self, job_id: str, reason: DeadLetterReason | None = None, **submit: Any
    ) -> Claim:
        """Submits a job and moves it to the dead letters."""
        await self.queue.submit(payload(job_id, **submit))
        claim = await self.claim_one()
        assert claim.job_id == job_id
        code = await self.worker().move_to_dead_letters(
            claim,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(),
            reason=reason or dead_letter_reason(),
        )
        assert code is ScriptResult.OK
        return claim

    async def expire_leases(self, *job_ids: str) -> None:
        """Expires leases, as the server's clock would after ``lease_ms``."""
        await self.redis.zadd(self.keys.active, dict.fromkeys(job_ids, 1), xx=True)
        await self.redis.delete(*(f"arq:in-progress:{job_id}" for job_id in job_ids))

    async def make_due(self, job_id: str) -> None:
        """Makes a delayed job due. 1 ms in the past, because arq rounds its clock up to 0.5 ms ahead."""
        await self.redis.zadd(self.keys.schedule, {job_id: await self.now_ms() - 1}, xx=True)

    async def make_older(self, *job_ids: str, by_ms: int) -> None:
        """Makes waiting jobs look older."""
        for priority in ("high", "normal", "low"):
            index = f"{self.keys.queue}:waiting:{priority}"
            for job_id in job_ids:
                if await self.redis.zscore(index, job_id) is not None:
                    await self.redis.zincrby(index, -by_ms * 1000, job_id)

    async def now_ms(self) -> int:
        """Returns the server's time in ms."""
        seconds, microseconds = await self.redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def wait_for_next_ms(self) -> int:
        """Waits for the next millisecond of the server; returns the one before. Later events have a later time."""
        before = now = await self.now_ms()
        while now == before:
            now = await self.now_ms()
        return before

    async def state(self, job_id: str) -> str:
        """Returns the stored state."""
        return str((await self.queue.status(job_id)).state.value)

    async def dump(self) -> dict[bytes, Any]:
        """Dumps every key except the wake list, to compare."""
        values: dict[bytes, Any] = {}
        for key in await self.redis.keys("*"):
            if not key.endswith(b":wake"):
                values[key] = await self.redis.dump(key)
        return values

    async def calls(self, reset: bool = False) -> dict[str, int]:
        """Returns how often each command ran, including calls within scripts."""
        stats = await self.redis.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(row["calls"]) for name, row in stats.items()}


async def add_dead_letters(
    b: QueueFixture, ids: list[str], reason: DeadLetterReason | None = None, **submit: Any
) -> None:
    """Submits jobs and moves all to the dead letters for one cause."""
    await b.queue.submit_many([payload(job_id, **submit) for job_id in ids])
    for claim in (await b.worker().claim(len(ids))).claims:
        await b.worker().move_to_dead_letters(
            claim,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(),
            reason=reason or dead_letter_reason(),
        )


@asynccontextmanager
async def queue_fixture(url: str, **settings: Any) -> AsyncIterator[QueueFixture]:
    """A queue on the server at ``url``; closes the client at the end."""
    redis = connect(url, role="test")
    try:
        yield QueueFixture(redis, Settings(**{"queue_max": 1_000_000, **settings}))
    finally:
        await redis.aclose()


def json_bytes(record: dict[str, Any]) -> bytes:
    """Job serializer for a stock arq client."""
    return json.dumps(record).encode()


@asynccontextmanager
async def stock_pool(url: str, **options: Any) -> AsyncIterator[ArqRedis]:
    """A stock arq client."""
    defaults = {"job_serializer": json_bytes, "job_deserializer": json.loads, "default_queue_name": QUEUE}
    pool = await create_pool(RedisSettings.from_dsn(url), **{**defaults, **options})
    try:
        yield pool
    finally:
        await pool.aclose(close_connection_pool=True)


def strict_json(raw: bytes) -> Any:
    """Parses JSON; rejects duplicate names."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        assert len(names) == len(set(names)), f"duplicate name: {names}"
        return dict(items)

    return json.loads(raw.decode("utf-8"), object_pairs_hook=pairs)
