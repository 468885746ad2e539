"""The dead-letter queue: list, group, requeue, discard, export.

A bulk act walks the index in pages with a cut-off taken when it starts, and changes jobs a hundred at a time,
so that no script holds Redis for long, and a job that dies again meanwhile is not touched twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from previewops.fingerprint import FINGERPRINT_DIGITS
from previewops.keys import Keys
from previewops.records import JobRecord, record_from_redis, record_from_reply
from previewops.scripts import ScriptName, Scripts
from previewops.settings import Settings
from previewops.states import Code, JobState, Priority

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PAGE = 500
_BATCH = 100


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead letters are meant. Every condition that is given has to hold; none given means all.

    ``error`` matches the error class or code exactly, or a part of the message; ``older_than_ms`` is an age.
    """

    job_ids: tuple[str, ...] = ()
    error: str | None = None
    project: str | None = None
    fingerprint: str | None = None
    older_than_ms: int | None = None

    def matches(self, record: JobRecord, now_ms: int) -> bool:
        """Whether a dead letter is meant; ``now_ms`` is the server's time."""
        if self.job_ids and record.job_id not in self.job_ids:
            return False
        if self.project is not None and record.project_id != self.project:
            return False
        if self.fingerprint is not None and not (record.fingerprint or "").startswith(self.fingerprint):
            return False
        if self.older_than_ms is not None and now_ms - (record.finished_ms or now_ms) < self.older_than_ms:
            return False
        return self.error is None or _speaks_of(record, self.error)


def _speaks_of(record: JobRecord, error: str) -> bool:
    return error in (record.error_class, record.code) or error.lower() in (record.reason or "").lower()


@dataclass(frozen=True, slots=True)
class DeadGroup:
    """Dead letters of one cause: how many, first and last death (server ms), and the newest as an example."""

    fingerprint: str
    count: int
    first_ms: int
    last_ms: int
    example: JobRecord


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What a bulk act did. Skipped are jobs that had left the dead-letter queue, or died again, meanwhile."""

    done: int
    skipped: int


class DeadLetters:
    """The dead-letter queue of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._redis = redis
        self._scripts = Scripts(redis, self.keys)

    async def count(self, chosen: DeadFilter) -> int:
        """How many dead letters a filter means."""
        return len(await self._ids(chosen, await self._now_ms()))

    async def newest(self, chosen: DeadFilter, *, limit: int) -> tuple[JobRecord, ...]:
        """The newest dead letters that a filter means, without payloads."""
        found: list[JobRecord] = []
        async for record in self._walk(chosen, await self._now_ms()):
            if len(found) == limit:
                break
            found.append(record)
        return tuple(found)

    async def groups(self, *, limit: int = 100) -> tuple[DeadGroup, ...]:
        """The largest groups by cause, largest first."""
        counts: dict[bytes, bytes] = await self._redis.execute_command("HGETALL", self.keys.dead_groups)
        largest = sorted(counts.items(), key=lambda item: (-int(item[1]), item[0]))[:limit]
        groups = []
        for raw, count in largest:
            index = self.keys.dead_group_prefix + raw.decode()
            # No MULTI, which Redis refuses at maxmemory: a group may change between the two.
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zrange(index, 0, 0, withscores=True)
                pipe.zrange(index, -1, -1, withscores=True)
                first, last = await pipe.execute()
            records = await self._records([job_id.decode() for job_id, _ in last])
            if records and first:
                groups.append(
                    DeadGroup(raw.decode(), int(count), int(first[0][1]), int(last[0][1]), records[0])
                )
        return tuple(groups)

    async def requeue(
        self,
        chosen: DeadFilter,
        *,
        who: str,
        why: str = "",
        priority: Priority | None = None,
        progress: Callable[[int], Awaitable[None]] | None = None,
    ) -> BulkOutcome:
        """Gives the chosen dead letters a new life: attempts start from nought, the history stays.

        An operator's requeue is not bounded by PREVIEW_QUEUE_MAX. ``progress`` is told how many are through.
        """
        outcome = await self._in_batches(
            ScriptName.REQUEUE, chosen, ("" if priority is None else priority.value,), progress
        )
        await self._record("requeued", outcome, chosen, who, why)
        return outcome

    async def discard(
        self,
        chosen: DeadFilter,
        *,
        who: str,
        why: str = "",
        progress: Callable[[int], Awaitable[None]] | None = None,
    ) -> BulkOutcome:
        """Deletes the chosen dead letters for good, payload and history included."""
        outcome = await self._in_batches(ScriptName.DISCARD, chosen, (), progress)
        await self._record("discarded", outcome, chosen, who, why)
        return outcome

    async def export(self, chosen: DeadFilter) -> AsyncIterator[JobRecord]:
        """Every chosen dead letter whole, payload and attempts included, newest first."""
        now_ms = await self._now_ms()
        async for record in self._walk(chosen, now_ms):
            whole = record_from_reply(
                record.job_id, await self._scripts.run(ScriptName.READ_JOB, record.job_id)
            )
            if whole is not None:
                yield whole

    async def _in_batches(
        self,
        script: ScriptName,
        chosen: DeadFilter,
        options: tuple[str, ...],
        progress: Callable[[int], Awaitable[None]] | None,
    ) -> BulkOutcome:
        cut_off_ms = await self._now_ms()
        ids = await self._ids(chosen, cut_off_ms)
        done = 0
        for start in range(0, len(ids), _BATCH):
            codes = await self._scripts.run(script, cut_off_ms, *options, *ids[start : start + _BATCH])
            done += sum(code == Code.OK for code in codes)
            if progress is not None:
                await progress(min(start + _BATCH, len(ids)))
        return BulkOutcome(done, len(ids) - done)

    async def _record(self, kind: str, outcome: BulkOutcome, chosen: DeadFilter, who: str, why: str) -> None:
        fields = {"who": who, "why": why, "done": str(outcome.done), "skipped": str(outcome.skipped)}
        if len(chosen.job_ids) == 1:
            fields["job"] = chosen.job_ids[0]
        if chosen.fingerprint is not None:
            fields["fingerprint"] = chosen.fingerprint
        pairs = [part for pair in fields.items() for part in pair]
        await self._scripts.run(ScriptName.RECORD_EVENT, kind, *pairs)

    async def _ids(self, chosen: DeadFilter, cut_off_ms: int) -> list[str]:
        return [record.job_id async for record in self._walk(chosen, cut_off_ms)]

    async def _walk(self, chosen: DeadFilter, cut_off_ms: int) -> AsyncIterator[JobRecord]:
        """Dead letters up to the cut-off that the filter means, newest first."""
        if chosen.job_ids:
            for record in await self._records(tuple(dict.fromkeys(chosen.job_ids))):
                if chosen.matches(record, cut_off_ms):
                    yield record
            return
        newest = cut_off_ms
        if chosen.older_than_ms is not None:
            newest -= chosen.older_than_ms
        index = self.keys.dead
        if chosen.fingerprint is not None and len(chosen.fingerprint) == FINGERPRINT_DIGITS:
            index = self.keys.dead_group_prefix + chosen.fingerprint
        async for page in self._pages(index, newest):
            for record in await self._records(page):
                if chosen.matches(record, cut_off_ms):
                    yield record

    async def _pages(self, index: str, newest_ms: int) -> AsyncIterator[list[str]]:
        """Pages of ids from the newest on. By score, not by position, so that what dies or leaves meanwhile
        shifts nothing; within one ms by position."""
        score, seen_at_score = float(newest_ms), 0
        while True:
            page = await self._redis.zrevrangebyscore(
                index, score, "-inf", start=seen_at_score, num=_PAGE, withscores=True
            )
            if not page:
                return
            yield [job_id.decode() for job_id, _ in page]
            last = page[-1][1]
            at_last = sum(1 for _, found in page if found == last)
            seen_at_score = at_last + (seen_at_score if last == score else 0)
            score = last

    async def _records(self, job_ids: Sequence[str]) -> list[JobRecord]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(self.keys.job_prefix + job_id)
            rows = await pipe.execute()
        records = (record_from_redis(job_id, raw) for job_id, raw in zip(job_ids, rows, strict=True) if raw)
        return [record for record in records if record.state is JobState.DEAD]

    async def _now_ms(self) -> int:
        seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000
