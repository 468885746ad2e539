"""The dead-letter queue: list, group, requeue, discard, export.

A bulk act is bound by a cut-off: what died later is neither meant nor touched, so a job that dies again meanwhile is
not touched twice. Who asks a person first takes it by ``now_ms`` before counting, and hands it to the count and to
the act. Jobs are changed a hundred at a time, so that no script holds Redis for long. An act can be stopped between
two batches, and leaves an event of what was done by then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import RedisError

from previewops.contract.payload import Payload
from previewops.errors import JobIdMismatch, JobNotFound, PayloadChanged, WrongState
from previewops.queue.keys import Keys
from previewops.queue.listing import decode_cursor, decode_rows, encode_cursor
from previewops.queue.pages import BulkResult, Cursor, DeadLetterFilter, DeadLetterGroup, ListPage
from previewops.queue.records import RENDER_FUNCTION, JobRecord, record_from_reply
from previewops.queue.scripts import ScriptName, Scripts
from previewops.settings import Settings
from previewops.states import JobState, Priority, ScriptResult

if TYPE_CHECKING:
    from redis.asyncio import Redis

_T = TypeVar("_T")

BATCH_SIZE = 100
"""Dead letters that one call changes."""
_LOOKED_AT = 500
"""Dead letters that one call looks at."""
_NAMED = "named"

ProgressCallback = Callable[[int, int], Awaitable[None]]
"""Is told how many are through, and of how many."""


@dataclass(frozen=True, slots=True)
class _Act:
    """What is done to each batch, and as what it goes on record."""

    script: ScriptName
    kind: str
    options: tuple[str, ...]
    who: str
    why: str


@dataclass(slots=True)
class _Account:
    """How far a bulk act is with what a filter means: ``through`` of ``ids`` were tried, ``done`` of them changed."""

    chosen: DeadLetterFilter
    ids: Sequence[bytes]
    through: int = 0
    done: int = 0


class DeadLetters:
    """The dead-letter queue of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._redis = redis
        self._scripts = Scripts(redis, self.keys)

    async def now_ms(self) -> int:
        """The server's time, as the cut-off of a count and of the act that goes by it."""
        seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def count(
        self,
        chosen: DeadLetterFilter,
        progress: ProgressCallback | None = None,
        *,
        cut_off_ms: int | None = None,
    ) -> int:
        """How many dead letters a filter means, of those that had died by the cut-off (server ms, now by default).

        ``progress`` is told how many were looked at, of how many.
        """
        if chosen.is_indexed:
            return await self._indexed(chosen, cut_off_ms)
        total = (
            0
            if progress is None
            else await self._indexed(DeadLetterFilter(fingerprint=chosen.group), cut_off_ms)
        )
        found = examined = 0
        async for looked_at, matching, _ in self._walk(chosen, "count", cut_off_ms):
            found += matching
            examined += looked_at
            if progress is not None:
                await progress(min(examined, total), total)
        return found

    async def page(
        self,
        chosen: DeadLetterFilter,
        *,
        cursor: Cursor | None = None,
        limit: int = 200,
        cut_off_ms: int | None = None,
    ) -> ListPage:
        """The next page of what a filter means, newest first and without payloads, in one round trip.

        What has died, gone or come back since an earlier page shifts nothing. A page of a narrow filter may be
        empty and have a cursor all the same: one call looks at so many only. ``cut_off_ms`` as for ``count``.
        """
        if not chosen.job_ids:
            examined, _, rows, following, _ = await self._look(
                chosen, "rows", cursor, cut_off_ms=cut_off_ms, limit=limit
            )
            return ListPage(decode_rows(rows), following, examined)
        start = 0 if cursor is None else int(cursor.score)
        end = start + max(1, min(limit, _LOOKED_AT))
        named = tuple(dict.fromkeys(chosen.job_ids))
        examined, _, rows, _, _ = await self._look(
            chosen, "rows", None, cut_off_ms=cut_off_ms, named=named[start:end]
        )
        following = Cursor(_NAMED, str(end).encode(), b"") if end < len(named) else None
        return ListPage(decode_rows(rows), following, examined)

    async def newest(
        self, chosen: DeadLetterFilter, *, limit: int, cut_off_ms: int | None = None
    ) -> tuple[JobRecord, ...]:
        """The newest dead letters that a filter means, without payloads. ``cut_off_ms`` as for ``count``."""
        found: list[JobRecord] = []
        cursor: Cursor | None = None
        while len(found) < limit:
            some = min(limit - len(found), _LOOKED_AT)
            page = await self.page(chosen, cursor=cursor, limit=some, cut_off_ms=cut_off_ms)
            found += page.rows
            cursor = page.cursor
            if cursor is None:
                break
        return tuple(found)

    async def groups(self, *, limit: int = 100) -> tuple[DeadLetterGroup, ...]:
        """The largest groups by cause, largest first, in one round trip."""
        rows = await self._scripts.run(ScriptName.DEAD_LETTER_GROUPS, limit)
        return tuple(
            DeadLetterGroup(
                fingerprint.decode(),
                int(count),
                int(float(first)),
                int(float(last)),
                decode_rows([(job_id, values)])[0],
            )
            for fingerprint, count, first, last, job_id, values in rows
        )

    async def requeue(
        self,
        chosen: DeadLetterFilter,
        *,
        who: str,
        why: str = "",
        other_filters: Sequence[DeadLetterFilter] = (),
        priority: Priority | None = None,
        max_jobs: int | None = None,
        cut_off_ms: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> BulkResult:
        """Gives the chosen dead letters a new life: attempts start from nought, the history stays.

        An operator's requeue is not bounded by PREVIEW_QUEUE_MAX. ``also`` are further filters, which mean none of
        the same jobs; each has an event of its own. What died after the cut-off (server ms, now by default) is left.
        Of more than ``most`` the newest of each filter are taken, one filter after the other.
        Cancelled, it ends with the batch under way, and the events tell what was done and how many were left.
        """
        options = ("" if priority is None else priority.value,)
        act = _Act(ScriptName.REQUEUE, "requeued", options, who, why)
        return await self._in_batches(act, (chosen, *other_filters), max_jobs, cut_off_ms, progress)

    async def discard(
        self,
        chosen: DeadLetterFilter,
        *,
        who: str,
        why: str = "",
        other_filters: Sequence[DeadLetterFilter] = (),
        max_jobs: int | None = None,
        cut_off_ms: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> BulkResult:
        """Deletes the chosen dead letters for good, payload and history included; otherwise like ``requeue``."""
        act = _Act(ScriptName.DISCARD, "discarded", (), who, why)
        return await self._in_batches(act, (chosen, *other_filters), max_jobs, cut_off_ms, progress)

    async def requeue_with_payload(
        self,
        job_id: str,
        payload: Payload,
        *,
        who: str,
        why: str = "",
        priority: Priority | None = None,
        expected_digest: str | None = None,
    ) -> None:
        """Gives a dead letter another body and a new life, in one step; the history of its attempts stays.

        ``priority`` None is the payload's own. ``instead_of`` is the ``digest`` of the record whose body was shown to
        be edited, None for whichever it has. The event has the digests of both bodies.

        Raises:
            OtherJob: the payload names another jobId.
            JobNotFound: there is no record of the job.
            WrongState: it is no dead letter (any more).
            BodyChanged: it has another body than the one that was shown.
        """
        if payload.job_id != job_id:
            raise JobIdMismatch(job_id, payload.job_id)
        code, state = await self._scripts.run(
            ScriptName.REPLACE_PAYLOAD,
            job_id,
            (priority or payload.priority).value,
            payload.project_id,
            payload.digest,
            payload.body,
            RENDER_FUNCTION,
            who,
            why,
            "" if expected_digest is None else f"={expected_digest}",
        )
        if code == ScriptResult.NOT_FOUND:
            raise JobNotFound(job_id, self.keys.queue)
        if code == ScriptResult.CONFLICT:
            raise PayloadChanged(job_id)
        if code == ScriptResult.WRONG_STATE:
            raise WrongState(job_id, state.decode(), "requeue", "dead letters")

    async def export(self, chosen: DeadLetterFilter) -> AsyncIterator[JobRecord]:
        """Every chosen dead letter whole, payload and attempts included, newest first."""
        async for _, _, ids in self._walk(chosen, "ids"):
            for raw_id in ids:
                job_id = raw_id.decode()
                whole = record_from_reply(job_id, await self._scripts.run(ScriptName.READ_JOB, job_id))
                if whole is not None and whole.state is JobState.DEAD:
                    yield whole

    async def _in_batches(
        self,
        act: _Act,
        filters: Sequence[DeadLetterFilter],
        most: int | None,
        cut_off_ms: int | None,
        progress: ProgressCallback | None,
    ) -> BulkResult:
        if cut_off_ms is None:
            cut_off_ms = await self.now_ms()
        accounts = [_Account(each, await self._ids(each, cut_off_ms)) for each in filters]
        total = sum(len(account.ids) for account in accounts)
        room = total if most is None else min(most, total)
        to_try = room
        unrecorded = deque(accounts)

        async def tell() -> None:
            if progress is not None:
                await progress(sum(account.through for account in accounts), to_try)

        try:
            while unrecorded:
                await self._work_off(act, unrecorded[0], room, cut_off_ms, tell)
                room -= unrecorded[0].through
                await self._record(act, unrecorded.popleft())
        except BaseException:
            # Those that it did not come to are left as well.
            with suppress(RedisError, OSError):
                for account in unrecorded:
                    await _to_its_end(self._record(act, account))
            raise
        done = sum(account.done for account in accounts)
        missing = tuple(
            job_id
            for account in accounts
            for job_id in account.chosen.missing_ids({*map(bytes.decode, account.ids)})
        )
        return BulkResult(done, to_try - done, total - to_try, missing)

    async def _ids(self, chosen: DeadLetterFilter, cut_off_ms: int) -> list[bytes]:
        return [job_id async for _, _, found in self._walk(chosen, "ids", cut_off_ms) for job_id in found]

    async def _work_off(
        self, act: _Act, account: _Account, room: int, cut_off_ms: int, tell: Callable[[], Awaitable[None]]
    ) -> None:
        taken = account.ids[:room]
        for start in range(0, len(taken), BATCH_SIZE):
            batch = taken[start : start + BATCH_SIZE]
            codes, cancelled = await _to_its_end(
                self._scripts.run(act.script, cut_off_ms, *act.options, *batch)
            )
            account.through += len(batch)
            account.done += sum(code == ScriptResult.OK for code in codes)
            if cancelled:
                raise asyncio.CancelledError
            await tell()

    async def _record(self, act: _Act, account: _Account) -> None:
        skipped, left = account.through - account.done, len(account.ids) - account.through
        fields = {"who": act.who, "why": act.why, "done": str(account.done), "skipped": str(skipped)}
        if left:
            fields["left"] = str(left)
        fields |= account.chosen.event_fields()
        pairs = [part for pair in fields.items() for part in pair]
        await self._scripts.run(ScriptName.RECORD_EVENT, act.kind, *pairs)

    async def _indexed(self, chosen: DeadLetterFilter, cut_off_ms: int | None) -> int:
        """How many the index of all, or of a group, holds up to the cut-off, or to the age that is asked for."""
        index = self.keys.dead if chosen.group is None else self.keys.dead_group_prefix + chosen.group
        if cut_off_ms is None and chosen.older_than_ms is not None:
            cut_off_ms = await self.now_ms()
        newest = "+inf" if cut_off_ms is None else cut_off_ms - (chosen.older_than_ms or 0)
        return int(await self._redis.zcount(index, "-inf", newest))

    async def _walk(
        self, chosen: DeadLetterFilter, mode: str, cut_off_ms: int | None = None
    ) -> AsyncIterator[tuple[int, int, Sequence[Any]]]:
        """(examined, matching, ids) of one call after the other, up to the cut-off, which is now by default."""
        if chosen.job_ids:
            named = tuple(dict.fromkeys(chosen.job_ids))
            for start in range(0, len(named), _LOOKED_AT):
                some = named[start : start + _LOOKED_AT]
                examined, found, ids, _, cut_off_ms = await self._look(
                    chosen, mode, None, cut_off_ms=cut_off_ms, named=some
                )
                yield examined, found, ids
            return
        cursor: Cursor | None = None
        while True:
            examined, found, ids, cursor, cut_off_ms = await self._look(
                chosen, mode, cursor, cut_off_ms=cut_off_ms
            )
            yield examined, found, ids
            if cursor is None:
                return

    async def _look(
        self,
        chosen: DeadLetterFilter,
        mode: str,
        cursor: Cursor | None,
        *,
        cut_off_ms: int | None = None,
        limit: int = _LOOKED_AT,
        named: Sequence[str] = (),
    ) -> tuple[int, int, Sequence[Any], Cursor | None, int]:
        """One call: (examined, matching, ids or rows, where it ended, the cut-off that it went by)."""
        error = chosen.error or ""
        cut_off, examined, place, found, listed = await self._scripts.run(
            ScriptName.LIST_DEAD_LETTERS,
            mode,
            chosen.group or "",
            "" if cut_off_ms is None else cut_off_ms,
            chosen.older_than_ms or 0,
            min(limit, _LOOKED_AT),
            _LOOKED_AT,
            *encode_cursor(cursor),
            "" if chosen.project is None else f"={chosen.project}",
            error,
            error.lower(),
            "" if chosen.group and not named else chosen.fingerprint or "",
            len(named),
            *named,
            *chosen.query.script_arguments(),
        )
        return int(examined), int(found), listed, decode_cursor(place), int(cut_off)


async def _to_its_end(call: Coroutine[Any, Any, _T]) -> tuple[_T, bool]:
    """The result of a call that a cancellation does not cut short, and whether there was one."""
    task = asyncio.ensure_future(call)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            cancelled = True
    return task.result(), cancelled
