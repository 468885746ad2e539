"""The dead-letter queue: list, group, count, requeue, discard, export.

A cut-off bounds every bulk operation: it skips jobs that died later, so it never handles a job twice. To
confirm with the operator first, take the cut-off with ``now_ms``, then pass it to the count and to the
operation. Each script call changes ten jobs, so that none blocks Redis for long. A bulk operation can
be cancelled between batches; its event records what was done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from previewops.contract.payload import Payload
from previewops.disclosure import redact
from previewops.errors import JobIdMismatch, JobNotFound, PayloadChanged, RecordUnreadable, WrongState
from previewops.queue.dead_letter_facets import MAX_COUNTED, DeadLetterFacets, FacetCounter
from previewops.queue.dead_letter_filter import BulkResult, DeadLetterFilter, DeadLetterGroup
from previewops.queue.dead_letter_search import DeadLetterSearch
from previewops.queue.keys import Keys
from previewops.queue.listing import decode_rows
from previewops.queue.pages import Cursor, ListPage
from previewops.queue.records import RENDER_FUNCTION, JobRecord, record_from_reply
from previewops.queue.scripts import ScriptName, Scripts
from previewops.queue.tolerant_values import (
    NO_UNREADABLE_KEYS,
    StoredFields,
    UnreadableCollector,
    UnreadableKeys,
    parse_score,
)
from previewops.settings import Settings
from previewops.states import JobState, Priority, ScriptResult
from previewops.tasks import shield_until_done

BATCH_SIZE = 10
"""Dead letters changed per script call, which takes about 2 ms: other clients of Redis wait that long."""

_NAMED_MAX = 100
"""Named dead letters that are changed without a search for them."""

ProgressCallback = Callable[[int, int], Awaitable[None]]
"""Called with the number of processed jobs and the total."""

UnreadableCallback = Callable[[UnreadableKeys], None]
"""Called with the keys of records that are damaged."""


@dataclass(frozen=True, slots=True)
class _BulkOperation:
    script: ScriptName
    kind: str
    options: tuple[str, ...]
    who: str
    reason: str


@dataclass(slots=True)
class _BulkTotals:
    """Progress within one filter: ``tried`` of ``ids`` were processed, ``done`` of them changed."""

    selection: DeadLetterFilter
    ids: Sequence[bytes]
    searched: bool = True
    tried: int = 0
    done: int = 0

    @property
    def skipped(self) -> int:
        return self.tried - self.done

    @property
    def left(self) -> int:
        return len(self.ids) - self.tried

    def add(self, batch: Sequence[bytes], codes: Sequence[int]) -> None:
        changed = [job_id for job_id, code in zip(batch, codes, strict=True) if code == ScriptResult.OK]
        self.done += len(changed)
        if self.searched:
            self.tried += len(batch)
        else:  # the others are not dead letters
            self.ids = [*self.ids[: self.tried], *changed, *self.ids[self.tried + len(batch) :]]
            self.tried += len(changed)


class DeadLetters:
    """The dead letters of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._scripts = Scripts(redis, self.keys)
        self._search = DeadLetterSearch(redis, self.keys, self._scripts)

    async def now_ms(self) -> int:
        """Returns the server's time in ms, to use as the cut-off of a count and of the following operation."""
        return await self._search.now_ms()

    async def count(
        self,
        selection: DeadLetterFilter,
        progress: ProgressCallback | None = None,
        *,
        cut_off_ms: int | None = None,
    ) -> int:
        """Counts matching dead letters that died by the cut-off (server ms, default now).

        ``progress`` receives the number examined and the total.
        """
        if selection.is_indexed:
            return await self._search.count_indexed(selection, cut_off_ms)
        total = 0
        if progress is not None:
            total = await self._search.count_indexed(
                DeadLetterFilter(fingerprint=selection.group), cut_off_ms
            )
        matching = examined = 0
        async for page in self._search.iter_matching(selection, "count", cut_off_ms):
            matching += page.matching
            examined += page.examined
            if progress is not None:
                await progress(min(examined, total), total)
        return matching

    async def facets(
        self, selection: DeadLetterFilter, *, limit: int = MAX_COUNTED, cut_off_ms: int | None = None
    ) -> DeadLetterFacets:
        """Returns how matching dead letters spread over projects, hosts and hours, of the newest ``limit``."""
        counter, examined = FacetCounter(), 0
        async for page in self._search.iter_matching(selection, "facets", cut_off_ms):
            projects, workers, hours = (_facet(pairs) for pairs in page.items)
            counter.add(page.matching, projects, workers, {int(hour): count for hour, count in hours.items()})
            examined += page.examined
            if page.cursor is None:
                return counter.facets(complete=True)
            if examined >= limit:
                break
        return counter.facets(complete=False)

    async def page(
        self,
        selection: DeadLetterFilter,
        *,
        cursor: Cursor | None = None,
        limit: int = 200,
        cut_off_ms: int | None = None,
    ) -> ListPage:
        """Returns the next page of matching dead letters without payloads, newest first, in one round trip.

        Changes since an earlier page do not shift later pages. A page may be empty and still have a cursor,
        because one call examines a bounded number of ids. ``cut_off_ms`` is as in ``count``.
        """
        page = await self._search.fetch_page(selection, "rows", cursor, cut_off_ms, limit)
        collector = UnreadableCollector()
        records = decode_rows(self.keys, page.items, collector)
        return ListPage(records, page.cursor, page.examined, collector.result(page.unreadable))

    async def newest(
        self,
        selection: DeadLetterFilter,
        *,
        limit: int,
        cut_off_ms: int | None = None,
        on_unreadable: UnreadableCallback | None = None,
    ) -> tuple[JobRecord, ...]:
        """Returns the newest matching dead letters without payloads. ``cut_off_ms`` is as in ``count``.

        ``on_unreadable`` receives the keys of records that were skipped or read in part, if there are any.
        """
        records: list[JobRecord] = []
        unreadable = NO_UNREADABLE_KEYS
        cursor: Cursor | None = None
        while len(records) < limit:
            missing = limit - len(records)
            page = await self.page(selection, cursor=cursor, limit=missing, cut_off_ms=cut_off_ms)
            records += page.rows
            unreadable += page.unreadable
            cursor = page.cursor
            if cursor is None:
                break
        if unreadable and on_unreadable is not None:
            on_unreadable(unreadable)
        return tuple(records)

    async def groups(self, *, limit: int = 100) -> tuple[DeadLetterGroup, ...]:
        """Returns the largest groups, largest first, in one round trip.

        A group whose newest dead letter has a damaged record is missing; ``page`` counts that one.
        """
        rows = await self._scripts.run(ScriptName.DEAD_LETTER_GROUPS, limit)
        collector = UnreadableCollector()
        return tuple(
            _group(self.keys, row, example, collector)
            for row in rows
            for example in decode_rows(self.keys, [row[4:]], collector)
        )

    async def requeue(
        self,
        selection: DeadLetterFilter,
        *,
        who: str,
        reason: str = "",
        other_filters: Sequence[DeadLetterFilter] = (),
        priority: Priority | None = None,
        max_jobs: int | None = None,
        cut_off_ms: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> BulkResult:
        """Requeues matching dead letters: counters restart at 0, the attempt history stays.

        PREVIEW_QUEUE_MAX does not apply. ``other_filters`` must not overlap; each filter gets an event of its
        own. Jobs that died after the cut-off (server ms, default now) are skipped. Above ``max_jobs``, the
        newest of each filter are taken, filter by filter. A cancellation takes effect after the current
        batch; events record what was done and what was left.
        """
        options = ("" if priority is None else priority.value,)
        operation = _BulkOperation(ScriptName.REQUEUE, "requeued", options, who, redact(reason))
        return await self._run_bulk(operation, (selection, *other_filters), max_jobs, cut_off_ms, progress)

    async def discard(
        self,
        selection: DeadLetterFilter,
        *,
        who: str,
        reason: str = "",
        other_filters: Sequence[DeadLetterFilter] = (),
        max_jobs: int | None = None,
        cut_off_ms: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> BulkResult:
        """Deletes matching dead letters permanently, with payload and history. Otherwise like ``requeue``."""
        operation = _BulkOperation(ScriptName.DISCARD, "discarded", (), who, redact(reason))
        return await self._run_bulk(operation, (selection, *other_filters), max_jobs, cut_off_ms, progress)

    async def requeue_with_payload(
        self,
        job_id: str,
        payload: Payload,
        *,
        who: str,
        reason: str = "",
        priority: Priority | None = None,
        expected_digest: str | None = None,
    ) -> None:
        """Replaces a dead letter's payload and requeues it in one step; the attempt history stays.

        ``priority`` defaults to the payload's. ``expected_digest`` is the ``digest`` of the record that was
        edited; None skips the check. The event has the digests of both payloads.

        Raises:
            JobIdMismatch: the payload has another jobId.
            JobNotFound: the job has no record.
            WrongState: the job is not a dead letter (any more).
            PayloadChanged: the stored payload differs from the one that was edited.
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
            redact(reason),
            "" if expected_digest is None else f"={expected_digest}",
        )
        if code == ScriptResult.NOT_FOUND:
            raise JobNotFound(job_id, self.keys.queue)
        if code == ScriptResult.CONFLICT:
            raise PayloadChanged(job_id)
        if code == ScriptResult.WRONG_STATE:
            raise WrongState(job_id, state.decode(), "requeue", "dead letters")

    async def export(
        self, selection: DeadLetterFilter, *, on_unreadable: UnreadableCallback | None = None
    ) -> AsyncIterator[JobRecord]:
        """Yields every matching dead letter with payload and attempts, newest first.

        ``on_unreadable`` receives the keys of records that were skipped, if there are any.
        """
        unreadable = UnreadableCollector()
        async for page in self._search.iter_matching(selection, "ids"):
            for raw_id in page.items:
                job_id = raw_id.decode("utf-8", "replace")
                reply = await self._scripts.run(ScriptName.READ_JOB, job_id)
                try:
                    record = record_from_reply(job_id, reply, key=self.keys.job_prefix + job_id)
                except RecordUnreadable:
                    record = None
                if record is None:
                    unreadable.add(self.keys.job_prefix + job_id)
                elif record.state is JobState.DEAD:
                    yield record
        if on_unreadable is not None and (keys := unreadable.result()):
            on_unreadable(keys)

    async def _run_bulk(
        self,
        operation: _BulkOperation,
        filters: Sequence[DeadLetterFilter],
        max_jobs: int | None,
        cut_off_ms: int | None,
        progress: ProgressCallback | None,
    ) -> BulkResult:
        # A few named jobs need no search: the script skips those that are not dead letters.
        named = _NAMED_MAX if max_jobs is None else min(_NAMED_MAX, max_jobs)
        direct = len(filters) == 1 and filters[0].only_names(named)
        if cut_off_ms is None and not direct:
            cut_off_ms = await self.now_ms()
        totals = [await self._totals(one, cut_off_ms, direct) for one in filters]
        matching = sum(len(part.ids) for part in totals)
        limit = remaining = matching if max_jobs is None else min(max_jobs, matching)
        unrecorded = deque(totals)

        async def report() -> None:
            if progress is not None:
                await progress(sum(part.tried for part in totals), limit)

        try:
            while unrecorded:
                await self._run_batches(operation, unrecorded[0], remaining, cut_off_ms, report)
                remaining -= unrecorded[0].tried
                await self._record(operation, unrecorded.popleft())
        except BaseException:
            # Filters that were not reached are recorded too, as left.
            with suppress(RedisError, OSError):
                for part in unrecorded:
                    await shield_until_done(self._record(operation, part))
            raise
        counts = [(part.done, part.skipped, part.left) for part in totals]
        done, skipped, left = map(sum, zip(*counts, strict=True))
        missing = (
            part.selection.missing_ids({i.decode("utf-8", "replace") for i in part.ids}) for part in totals
        )
        return BulkResult(done, skipped, left, tuple(chain.from_iterable(missing)))

    async def _totals(self, selection: DeadLetterFilter, cut_off_ms: int | None, direct: bool) -> _BulkTotals:
        if direct:
            names = dict.fromkeys(selection.job_ids)
            return _BulkTotals(selection, [job_id.encode() for job_id in names], searched=False)
        pages = self._search.iter_matching(selection, "ids", cut_off_ms)
        return _BulkTotals(selection, [job_id async for page in pages for job_id in page.items])

    async def _run_batches(
        self,
        operation: _BulkOperation,
        totals: _BulkTotals,
        limit: int,
        cut_off_ms: int | None,
        report: Callable[[], Awaitable[None]],
    ) -> None:
        ids = totals.ids[:limit]
        options = ("" if cut_off_ms is None else cut_off_ms, *operation.options)
        for start in range(0, len(ids), BATCH_SIZE):
            batch = ids[start : start + BATCH_SIZE]
            codes, cancelled = await shield_until_done(self._scripts.run(operation.script, *options, *batch))
            totals.add(batch, codes)
            if cancelled:
                raise asyncio.CancelledError
            await report()

    async def _record(self, operation: _BulkOperation, totals: _BulkTotals) -> None:
        fields = {"who": operation.who, "why": operation.reason}
        fields |= {"done": str(totals.done), "skipped": str(totals.skipped)}
        if totals.left:
            fields["left"] = str(totals.left)
        await self._scripts.record_event(operation.kind, fields | totals.selection.event_fields())


def _facet(pairs: Sequence[Any]) -> dict[str, int]:
    names = (name.decode("utf-8", "replace") for name in pairs[::2])
    return dict(zip(names, pairs[1::2], strict=True))


def _group(
    keys: Keys, row: Sequence[Any], example: JobRecord, unreadable: UnreadableCollector
) -> DeadLetterGroup:
    fingerprint, count, first, last, *_ = row
    name = fingerprint.decode("utf-8", "replace")
    scores = StoredFields(keys.dead_group_prefix + name, {}, unreadable)
    return DeadLetterGroup(name, int(count), parse_score(first, scores), parse_score(last, scores), example)
