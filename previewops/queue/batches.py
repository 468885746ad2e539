"""Batches: jobs of one project that are followed, cancelled and reported as one thing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from previewops.clock import iso_from_ms, optional_iso
from previewops.disclosure import redact
from previewops.queue.batch_errors import BatchConflict, BatchNotFound, InvalidBatchId
from previewops.queue.keys import Keys
from previewops.queue.listing import decode_rows, encode_projects
from previewops.queue.pages import Cursor, ListPage
from previewops.queue.scripts import ScriptName, Scripts, decode_pairs
from previewops.queue.tolerant_values import StoredFields, UnreadableCollector, UnreadableKeys
from previewops.settings import Settings
from previewops.states import JobState, ScriptResult
from previewops.tasks import shield_until_done

if TYPE_CHECKING:
    from redis.asyncio import Redis

_BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_MAX_ROWS, _LIST_EXAMINED = 500, 2_000
"""Maximum number of jobs of a page, and ids that it examines."""

_CANCEL_EXAMINED, _CANCEL_JOBS = 200, 10
"""Ids that one script call examines, and jobs that it cancels: other clients of Redis wait for about 2 ms."""


def check_batch_id(batch_id: str, *, name: str = "batchId") -> str:
    """Returns ``batch_id``. ``name`` is that of the argument in errors.

    Raises:
        InvalidBatchId: it has other characters, or too many.
    """
    if not _BATCH_ID.fullmatch(batch_id):
        raise InvalidBatchId(name, batch_id)
    return batch_id


class BatchState(StrEnum):
    """States of a batch."""

    OPEN = "open"  # jobs may join
    RUNNING = "running"  # closed, and jobs are pending
    COMPLETED = "completed"  # closed, and all jobs have ended, in whatever state


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. Times are server ms since the epoch; None means "not yet".

    ``pending`` counts the jobs that have not ended, the other counts those that have, by state. Jobs whose records
    have expired are counted; deleted ones and discarded dead letters are not. ``ended_ms`` is the end of the last.
    """

    batch_id: str
    project_id: str
    created_ms: int
    closed_ms: int | None
    ended_ms: int | None
    pending: int
    completed: int
    dead: int
    cancelled: int

    @property
    def total(self) -> int:
        """The number of jobs."""
        return self.pending + self.ended

    @property
    def ended(self) -> int:
        """The number of jobs that have ended."""
        return self.completed + self.dead + self.cancelled

    @property
    def fraction(self) -> float:
        """The part of the jobs that has ended, 0 to 1; without any job 1 if the batch has ended, else 0."""
        if not self.total:
            return float(self.state is BatchState.COMPLETED)
        return self.ended / self.total

    @property
    def state(self) -> BatchState:
        """Whether jobs may join, are pending, or have all ended."""
        if self.ended_ms is not None:
            return BatchState.COMPLETED
        return BatchState.OPEN if self.closed_ms is None else BatchState.RUNNING

    def as_json(self) -> dict[str, Any]:
        """The batch as JSON, the same on the command line, in the API, in the client and in webhooks."""
        return {
            "batchId": self.batch_id,
            "projectId": self.project_id,
            "status": self.state.value,
            "total": self.total,
            "counts": {
                "pending": self.pending,
                "completed": self.completed,
                "dead": self.dead,
                "cancelled": self.cancelled,
            },
            "progress": round(self.fraction, 4),
            "createdAt": iso_from_ms(self.created_ms),
            "closedAt": optional_iso(self.closed_ms),
            "finishedAt": optional_iso(self.ended_ms),
        }

    @classmethod
    def from_stored(cls, batch_id: str, row: StoredFields) -> Batch:
        """Builds a batch from its stored fields. Damaged ones become 0."""
        return cls(
            batch_id=batch_id,
            project_id=row.text("project"),
            created_ms=row.integer("created"),
            closed_ms=row.optional_integer("closed"),
            ended_ms=row.optional_integer("ended"),
            pending=row.integer("pending"),
            completed=row.integer("completed"),
            dead=row.integer("dead"),
            cancelled=row.integer("cancelled"),
        )


class Batches:
    """The batches of one queue.

    Every method with ``projects``, those that the caller may see (None for all), hides the batches of others.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._settings = settings
        self._scripts = Scripts(redis, self.keys)

    async def status(self, batch_id: str, *, projects: Collection[str] | None = None) -> Batch:
        """Returns a batch.

        Raises:
            BatchNotFound: there is none.
        """
        flat, _ = await self._scripts.run(ScriptName.READ_BATCH, batch_id)
        fields = decode_pairs(flat)
        if "project" not in fields or (projects is not None and fields["project"] not in projects):
            raise BatchNotFound(batch_id, self.keys.queue)
        key = self.keys.batch_prefix + batch_id
        return Batch.from_stored(batch_id, StoredFields(key, fields, UnreadableCollector()))

    async def close(
        self, batch_id: str, *, project_id: str = "", projects: Collection[str] | None = None
    ) -> Batch:
        """Closes a batch and returns it; one that was closed stays as it is.

        Args:
            project_id: project that the batch has to have. A batch is created without any job if there is none; ""
                permits every project and creates none.

        Raises:
            BatchNotFound: there is none.
            BatchConflict: it belongs to another project than ``project_id``.
        """
        code = await self._scripts.run(
            ScriptName.CLOSE_BATCH, batch_id, encode_projects(projects), project_id
        )
        if code == ScriptResult.NOT_FOUND:
            raise BatchNotFound(batch_id, self.keys.queue)
        if code == ScriptResult.BATCH:
            raise BatchConflict(None, batch_id)
        return await self.status(batch_id, projects=projects)

    async def cancel(
        self, batch_id: str, *, who: str, reason: str = "", projects: Collection[str] | None = None
    ) -> int:
        """Closes a batch and cancels its pending jobs, some per script call. Returns the number of cancelled jobs.

        One event records what was done, also if it fails or is cancelled.

        Raises:
            BatchNotFound: there is none.
        """
        event = {"batch": batch_id, "who": who, "why": redact(reason)}
        cancelled = 0
        try:
            async with aclosing(self._cancel_steps(batch_id, projects, who, redact(reason))) as steps:
                async for count in steps:
                    cancelled += count
        except BaseException:
            from redis.exceptions import RedisError  # noqa: PLC0415 - start-up time of commands without Redis

            if cancelled:
                with suppress(RedisError, OSError):
                    await shield_until_done(self._record_cancelled(cancelled, event))
            raise
        if cancelled:
            await self._record_cancelled(cancelled, event)
        return cancelled

    async def _cancel_steps(
        self, batch_id: str, projects: Collection[str] | None, who: str, reason: str
    ) -> AsyncGenerator[int, None]:
        """Yields the number of jobs cancelled by each call."""
        ttl_ms = self._settings.result_ttl_s * 1000
        cursor, is_first = b"", True
        while True:
            call = self._scripts.run(
                ScriptName.CANCEL_BATCH,
                batch_id,
                encode_projects(projects),
                cursor,
                _CANCEL_EXAMINED,
                _CANCEL_JOBS,
                who,
                reason,
                ttl_ms,
            )
            (code, count, cursor), stopped = await shield_until_done(call)
            if code == ScriptResult.NOT_FOUND and is_first:
                raise BatchNotFound(batch_id, self.keys.queue)
            is_first = False
            yield int(count)
            if stopped:
                raise asyncio.CancelledError
            if not cursor:
                return

    async def _record_cancelled(self, cancelled: int, event: Mapping[str, str]) -> None:
        await self._scripts.record_event("cancelled", {"done": str(cancelled), **event})

    async def page(
        self,
        batch_id: str,
        *,
        state: JobState | None = None,
        projects: Collection[str] | None = None,
        newest_first: bool = True,
        cursor: Cursor | None = None,
        limit: int = 200,
    ) -> ListPage:
        """Returns the next page of the jobs of a batch whose records are kept; empty for an unknown batch.

        They are in the order in which they joined the batch. Changes since an earlier page do not shift the page.
        """
        examined, position, rows, unreadable = await self._scripts.run(
            ScriptName.LIST_BATCH_JOBS,
            batch_id,
            encode_projects(projects),
            "" if state is None else state.value,
            int(newest_first),
            min(limit, _MAX_ROWS),
            _LIST_EXAMINED,
            b"" if cursor is None else cursor.score,
        )
        collector = UnreadableCollector()
        records = decode_rows(self.keys, rows, collector)
        following = Cursor("0", position, b"") if position else None
        reported = UnreadableKeys.from_reply(unreadable)
        return ListPage(records, following, int(examined), collector.result(reported))
