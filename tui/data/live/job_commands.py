"""Executes commands on jobs: on named ones one after the other, or on all that match in bounded steps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from previewops.errors import PreviewopsError
from previewops.states import JobState
from previewops.stores.selection import open_store
from previewops.tui.commands.commands import (
    Cancel,
    CommandOutcome,
    CommandProgress,
    Delete,
    Reschedule,
    RunAgain,
)
from previewops.tui.data.live.connection import QueueConnection

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.queue.job_selection import MatchedJobs
    from previewops.queue.queue import Queue
    from previewops.stores.port import BundleStore

JobCommand: TypeAlias = Cancel | RunAgain | Delete | Reschedule

_DONE = {Cancel: "cancelled", RunAgain: "run again", Delete: "deleted", Reschedule: "changed"}


class JobCommands:
    """Executes commands on jobs over an open connection."""

    def __init__(self, connection: QueueConnection, redis: Redis) -> None:
        self._settings = connection.settings
        self._who = connection.who
        self._redis = redis

    @cached_property
    def _store(self) -> BundleStore:
        return open_store(self._settings)

    async def execute(self, command: JobCommand, progress: CommandProgress) -> CommandOutcome:
        matched = None if isinstance(command, Reschedule) else command.matched
        if matched is None:
            return await self._change_named(command, progress)
        if isinstance(command, Delete):
            return await self._delete_matched(command, matched, progress)
        assert not isinstance(command, Reschedule)
        return await self._change_matched(command, matched, progress)

    async def _change_matched(
        self, command: Cancel | RunAgain, matched: MatchedJobs, progress: CommandProgress
    ) -> CommandOutcome:
        from previewops.queue.matching_jobs import MatchingJobs

        total = matched.count.total

        async def report(done: int) -> None:
            await progress(done, max(done, total))

        jobs = MatchingJobs(self._redis, self._settings)
        change = jobs.cancel if isinstance(command, Cancel) else jobs.run_again
        result = await change(matched, who=self._who, reason=command.reason, progress=report)
        return _outcome(command, result.done, result.skipped)

    async def _delete_matched(
        self, command: Delete, matched: MatchedJobs, progress: CommandProgress
    ) -> CommandOutcome:
        """Deletes one job after the other: each has files. Every deletion records an event."""
        from previewops.queue.matching_jobs import MatchingJobs

        jobs, total = MatchingJobs(self._redis, self._settings), matched.count.total
        job_ids = jobs.ids(matched.selection, cut_off_ms=matched.count.cut_off_ms)
        return await self._change_each(command, job_ids, total, progress)

    async def _change_named(self, command: JobCommand, progress: CommandProgress) -> CommandOutcome:
        async def named() -> AsyncIterator[str]:
            for job_id in command.job_ids:
                yield job_id

        return await self._change_each(command, named(), len(command.job_ids), progress)

    async def _change_each(
        self, command: JobCommand, job_ids: AsyncIterator[str], total: int, progress: CommandProgress
    ) -> CommandOutcome:
        from previewops.queue.queue import Queue

        queue = Queue(self._redis, self._settings)
        messages: list[str] = []
        errors: list[str] = []
        async for job_id in job_ids:
            try:
                messages.append(await self._change(job_id, command, queue))
            except PreviewopsError as error:
                errors.append(error.message)
            done = len(messages) + len(errors)
            await progress(done, max(done, total))
        if total == 1 and messages + errors:
            return CommandOutcome((errors or messages)[0], complete=not errors)
        return _outcome(command, len(messages), max(len(errors), total - len(messages)))

    async def _change(self, job_id: str, command: JobCommand, queue: Queue) -> str:
        match command:
            case Cancel():
                await queue.cancel(job_id, who=self._who, reason=command.reason)
                return f"{job_id} is cancelled."
            case RunAgain():
                await queue.run_again(job_id, who=self._who, reason=command.reason)
                return f"{job_id} waits, and is rendered again."
            case Delete():
                return await self._delete(job_id, command, queue)
            case Reschedule():
                return await self._reschedule(job_id, command, queue)

    async def _delete(self, job_id: str, command: Delete, queue: Queue) -> str:
        from previewops.stores.job_deletion import delete_job

        deleted = await delete_job(queue, self._store, job_id, who=self._who, reason=command.reason)
        return f"{job_id} is deleted; {'its bundle too' if deleted.bundle else 'it had no bundle'}."

    async def _reschedule(self, job_id: str, command: Reschedule, queue: Queue) -> str:
        from previewops.queue.due_time import NOW

        due = NOW if command.now else None
        before = await queue.reschedule(
            job_id, priority=command.priority, due=due, who=self._who, reason=command.reason
        )
        if command.priority is not None:
            return f"{job_id} has priority {command.priority.value}."
        return f"{job_id} {'waits now' if before is JobState.DELAYED else 'was waiting already'}."


def _outcome(command: JobCommand, done: int, skipped: int) -> CommandOutcome:
    message = f"{_DONE[type(command)]} {done:,}, skipped {skipped:,}"
    return CommandOutcome(message, complete=not skipped)
