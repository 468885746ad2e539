"""Bulk commands on all jobs that match a filter: count, list ids, cancel, run again.

Every call to Redis examines a bounded number of jobs, so that none blocks it for long, however many match. A cut-off
leaves jobs alone that were submitted after the operator has seen the count.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import RedisError

from previewops.disclosure import redact
from previewops.queue.job_selection import JobsChanged, JobSelection, MatchCount, MatchedJobs
from previewops.queue.keys import Keys
from previewops.queue.listing import decode_cursor, encode_cursor
from previewops.queue.pages import Cursor
from previewops.queue.scripts import ScriptName, Scripts
from previewops.settings import Settings
from previewops.states import JobState, ScriptResult
from previewops.tasks import shield_until_done

if TYPE_CHECKING:
    from redis.asyncio import Redis

EXAMINED_PER_CALL = 500
"""Jobs examined by one call."""

CANCELLED_PER_CALL = 50
"""Jobs cancelled by one call."""

RUN_AGAIN_PER_CALL = 10
"""Jobs that one call lets run again: each result is decoded, and may be large."""

ExaminedCallback = Callable[[int], Awaitable[None]]
"""Called with the number of jobs examined so far."""

ProgressCallback = Callable[[int], Awaitable[None]]
"""Called with the number of jobs changed so far."""


class _MatchPage(NamedTuple):
    """Reply of one call of ``match_jobs``."""

    cut_off_ms: int
    examined: int
    counts: dict[JobState, int]
    ids: tuple[tuple[JobState, str], ...]


class MatchingJobs:
    """The jobs of one queue that match a selection. Every method may raise redis-py's errors."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._settings = settings
        self._scripts = Scripts(redis, self.keys)

    async def count(
        self, selection: JobSelection, on_examined: ExaminedCallback | None = None, *, sample: int = 0
    ) -> MatchCount:
        """Counts the jobs that match now, by state, with the ids of up to ``sample`` of each, oldest first."""
        counts: Counter[JobState] = Counter()
        ids: dict[JobState, tuple[str, ...]] = {}
        examined = cut_off_ms = 0
        async for page in self._pages(selection, None, max_ids=sample):
            counts.update(page.counts)
            for state, job_id in page.ids:
                ids[state] = (*ids.get(state, ()), job_id)[:sample]
            cut_off_ms = page.cut_off_ms
            examined += page.examined
            if on_examined is not None:
                await on_examined(examined)
        return MatchCount(dict(counts), cut_off_ms, ids)

    async def ids(self, selection: JobSelection, *, cut_off_ms: int | None = None) -> AsyncIterator[str]:
        """Yields the id of every job that matches, oldest first, running jobs last."""
        async for page in self._pages(selection, cut_off_ms):
            for _, job_id in page.ids:
                yield job_id

    async def cancel(
        self,
        matched: MatchedJobs,
        *,
        who: str,
        reason: str = "",
        progress: ProgressCallback | None = None,
    ) -> JobsChanged:
        """Cancels all pending jobs that match and were accepted by the cut-off. A heartbeat kills running renders.

        The selection names pending states only. A cancellation of the caller takes effect after the current call.
        One event records what was done.
        """
        assert matched.selection.states, "the states that can be cancelled"
        assert all(state.pending for state in matched.selection.states)
        steps = self._cancel_steps(matched, who, redact(reason))
        return await self._run("cancelled", matched, steps, progress, who=who, why=redact(reason))

    async def run_again(
        self,
        matched: MatchedJobs,
        *,
        who: str,
        reason: str = "",
        progress: ProgressCallback | None = None,
    ) -> JobsChanged:
        """Runs all completed and cancelled jobs that match again, each as ``Queue.run_again``; else like ``cancel``.

        Jobs that ended after the cut-off are left alone, so each runs once.
        """
        steps = self._run_again_steps(matched)
        return await self._run("run-again", matched, steps, progress, who=who, why=redact(reason))

    async def _cancel_steps(self, matched: MatchedJobs, who: str, reason: str) -> AsyncGenerator[int, None]:
        """Yields the number of jobs cancelled by each call."""
        selection, cursor = matched.selection, None
        while True:
            call = self._scripts.run(
                ScriptName.CANCEL_MATCHING,
                selection.states_argument(),
                matched.count.cut_off_ms,
                CANCELLED_PER_CALL,
                EXAMINED_PER_CALL,
                *encode_cursor(cursor),
                who,
                reason,
                self._settings.result_ttl_s * 1000,
                *selection.query.script_arguments(),
            )
            (_, position, cancelled, _), stopped = await shield_until_done(call)
            yield int(cancelled)
            cursor = decode_cursor(position)
            if stopped:
                raise asyncio.CancelledError
            if cursor is None:
                return

    async def _run_again_steps(self, matched: MatchedJobs) -> AsyncGenerator[int, None]:
        """Yields the number of jobs that each call has let run again."""
        cut_off_ms = matched.count.cut_off_ms
        async for page in self._pages(matched.selection, cut_off_ms):
            ids = [job_id for _, job_id in page.ids]
            for start in range(0, len(ids), RUN_AGAIN_PER_CALL):
                chunk = ids[start : start + RUN_AGAIN_PER_CALL]
                call = self._scripts.run(ScriptName.RUN_AGAIN, cut_off_ms, "", "", "", *chunk)
                reply, stopped = await shield_until_done(call)
                yield sum(code == ScriptResult.OK for code in reply[::2])
                if stopped:
                    raise asyncio.CancelledError

    async def _run(
        self,
        kind: str,
        matched: MatchedJobs,
        steps: AsyncGenerator[int, None],
        progress: ProgressCallback | None,
        **event: str,
    ) -> JobsChanged:
        """Runs the steps to their end. Records what was done, also if they fail or are cancelled."""
        done = 0
        try:
            async with aclosing(steps):
                async for count in steps:
                    done += count
                    if progress is not None and count:
                        await progress(done)
        except BaseException:
            left = str(max(0, matched.count.total - done))
            with suppress(RedisError, OSError):
                await shield_until_done(self._record(kind, matched, done=str(done), left=left, **event))
            raise
        skipped = max(0, matched.count.total - done)  # they have changed meanwhile
        await self._record(kind, matched, done=str(done), skipped=str(skipped), **event)
        return JobsChanged(done, skipped)

    async def _record(self, kind: str, matched: MatchedJobs, **fields: str) -> None:
        await self._scripts.record_event(kind, {**fields, **matched.selection.event_fields()})

    async def _pages(
        self, selection: JobSelection, cut_off_ms: int | None, *, max_ids: int = EXAMINED_PER_CALL
    ) -> AsyncIterator[_MatchPage]:
        """Yields the reply of each call. Without a cut-off, it is the time of the first one.

        ``max_ids`` is the maximum of ids of one state in one reply.
        """
        cursor: Cursor | None = None
        while True:
            cut_off, examined, position, counts, ids, _ = await self._scripts.run(
                ScriptName.MATCH_JOBS,
                selection.states_argument(),
                "" if cut_off_ms is None else cut_off_ms,
                max_ids,
                EXAMINED_PER_CALL,
                *encode_cursor(cursor),
                *selection.query.script_arguments(),
            )
            cut_off_ms = int(cut_off)
            by_state = {state: int(count) for state, count in _pairs(counts)}
            texts = tuple((state, raw_id.decode("utf-8", "replace")) for state, raw_id in _pairs(ids))
            yield _MatchPage(cut_off_ms, int(examined), by_state, texts)
            cursor = decode_cursor(position)
            if cursor is None:
                return


def _pairs(flat: Sequence[bytes]) -> list[tuple[JobState, bytes]]:
    """Decodes a reply of alternating states and values."""
    return [(JobState(state.decode()), value) for state, value in zip(flat[::2], flat[1::2], strict=True)]
