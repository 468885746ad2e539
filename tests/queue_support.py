"""Payloads, claims and looks into Redis for the tests of the queue."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.asyncio import Redis

from previewops.contract import Payload, validate
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.filter_query import parse_filter
from previewops.queue.fingerprint import fingerprint
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


def dead_letter_reason(
    code: str = "broken",
    message: str = "it broke",
    *,
    cause: DeadLetterCause = DeadLetterCause.PERMANENT,
    error_class: str = "BrokenError",
) -> DeadLetterReason:
    """Why a job is dead, with the fingerprint that the worker would compute."""
    return DeadLetterReason(cause, error_class, code, message, fingerprint(error_class, code, message))


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
    """A claim as finished with a result."""
    return CompletedJob(claim, json.dumps({"ok": True} if result is None else result), run_ms)


class QueueFixture:
    """One queue with everything that acts on it, over one client."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.settings = settings
        self.keys = Keys(settings.queue_name)
        self.queue = Queue(redis, settings)
        self.dead = DeadLetters(redis, settings)
        self.snapshots = SnapshotReader(redis, settings)
        self.list = JobList(redis, settings)

    def worker(self, name: str = "w1", **changes: Any) -> Leases:
        """The worker's side; ``changes`` are settings that differ for this one."""
        from dataclasses import replace

        return Leases(self.redis, replace(self.settings, **changes), name)

    async def list_all(
        self, state: JobState | None = None, text: str = "", **options: Any
    ) -> tuple[JobRecord, ...]:
        """All jobs of a state that a filter means, page by page."""
        cursor, found = None, []
        while True:
            page = await self.list.page(state=state, query=parse_filter(text), cursor=cursor, **options)
            found += page.rows
            cursor = page.cursor
            if cursor is None:
                return tuple(found)

    async def claim_one(self, name: str = "w1") -> Claim:
        """Claims one job that has to be there."""
        (claim,) = (await self.worker(name).claim(1)).claims
        return claim

    async def add_dead_letter(self, job_id: str, why: DeadLetterReason | None = None, **submit: Any) -> Claim:
        """Submits a job and makes it a dead letter."""
        await self.queue.submit(payload(job_id, **submit))
        claim = await self.claim_one()
        assert claim.job_id == job_id
        code = await self.worker().move_to_dead_letters(
            claim,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(),
            reason=why or dead_letter_reason(),
        )
        assert code is ScriptResult.OK
        return claim

    async def expire_leases(self, *job_ids: str) -> None:
        """Lets leases run out: what the server's clock would do in ``lease_ms``."""
        await self.redis.zadd(self.keys.active, dict.fromkeys(job_ids, 1), xx=True)
        await self.redis.delete(*(f"arq:in-progress:{job_id}" for job_id in job_ids))

    async def make_due(self, job_id: str) -> None:
        """Lets a job's delay pass. Also what arq calls due at once: it rounds its clock, up to 0.5 ms ahead."""
        await self.redis.zadd(self.keys.schedule, {job_id: await self.now_ms() - 1}, xx=True)

    async def make_older(self, *job_ids: str, by_ms: int) -> None:
        """Lets waiting jobs have waited longer."""
        for priority in ("high", "normal", "low"):
            index = f"{self.keys.queue}:waiting:{priority}"
            for job_id in job_ids:
                if await self.redis.zscore(index, job_id) is not None:
                    await self.redis.zincrby(index, -by_ms * 1000, job_id)

    async def now_ms(self) -> int:
        """The server's clock."""
        seconds, microseconds = await self.redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def wait_for_next_ms(self) -> int:
        """The server's clock, once it has gone on: what happens from now on is later."""
        before = now = await self.now_ms()
        while now == before:
            now = await self.now_ms()
        return before

    async def state(self, job_id: str) -> str:
        """The state that is on record."""
        return str((await self.queue.status(job_id)).state.value)

    async def dump(self) -> dict[bytes, Any]:
        """Every key with its value but the wake list, to see that nothing changed."""
        found: dict[bytes, Any] = {}
        for key in await self.redis.keys("*"):
            if not key.endswith(b":wake"):
                found[key] = await self.redis.dump(key)
        return found

    async def calls(self, reset: bool = False) -> dict[str, int]:
        """How often each command ran, within scripts too."""
        stats = await self.redis.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(row["calls"]) for name, row in stats.items()}


async def add_dead_letters(
    b: QueueFixture, ids: list[str], why: DeadLetterReason | None = None, **submit: Any
) -> None:
    """Submits jobs and makes all of them dead letters of one cause."""
    await b.queue.submit_many([payload(job_id, **submit) for job_id in ids])
    for claim in (await b.worker().claim(len(ids))).claims:
        await b.worker().move_to_dead_letters(
            claim,
            counter=FailureCounter.ATTEMPTS,
            attempt_json=attempt_json(),
            reason=why or dead_letter_reason(),
        )


@asynccontextmanager
async def queue_fixture(url: str, **settings: Any) -> AsyncIterator[QueueFixture]:
    """A queue on the server at ``url``; the client is closed at the end."""
    redis = connect(url, role="test")
    try:
        yield QueueFixture(redis, Settings(**{"queue_max": 1_000_000, **settings}))
    finally:
        await redis.aclose()


def json_bytes(record: dict[str, Any]) -> bytes:
    """The serializer that a stock arq client is given."""
    return json.dumps(record).encode()


@asynccontextmanager
async def stock_pool(url: str, **options: Any) -> AsyncIterator[ArqRedis]:
    """arq's own client, as a producer would make it."""
    given = {"job_serializer": json_bytes, "job_deserializer": json.loads, "default_queue_name": QUEUE}
    pool = await create_pool(RedisSettings.from_dsn(url), **{**given, **options})
    try:
        yield pool
    finally:
        await pool.aclose(close_connection_pool=True)


def strict_json(raw: bytes) -> Any:
    """JSON that names nothing twice."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        assert len(names) == len(set(names)), f"a name is given twice: {names}"
        return dict(items)

    return json.loads(raw.decode("utf-8"), object_pairs_hook=pairs)
