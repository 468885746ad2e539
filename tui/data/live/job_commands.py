"""Executes commands on jobs: on named ones one after the other, or on all that match in bounded steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from previewops.errors import PreviewopsError
from previewops.states import JobState
from previewops.tui.commands.commands import Cancel, CommandOutcome, CommandProgress, Reschedule
from previewops.tui.data.live.connection import QueueConnection

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.queue.job_selection import MatchedJobs
    from previewops.queue.queue import Queue

JobCommand: TypeAlias = Cancel | Reschedule


class JobCommands:
    """Executes commands on jobs over an open connection."""

    def __init__(self, connection: QueueConnection, redis: Redis) -> None:
        self._settings = connection.settings
        self._who = connection.who
        self._redis = redis

    async def execute(self, command: JobCommand, progress: CommandProgress) -> CommandOutcome:
        if isinstance(command, Cancel) and command.matched is not None:
            return await self._cancel_matched(command.matched, command.reason, progress)
        return await self._change_named(command, progress)

    async def _cancel_matched(
        self, matched: MatchedJobs, reason: str, progress: CommandProgress
    ) -> CommandOutcome:
        from previewops.queue.matching_jobs import MatchingJobs

        total = matched.count.total

        async def report(done: int) -> None:
            await progress(done, max(done, total))

        result = await MatchingJobs(self._redis, self._settings).cancel(
            matched.selection,
            cut_off_ms=matched.count.cut_off_ms,
            expected=total,
            who=self._who,
            reason=reason,
            progress=report,
        )
        message = f"cancelled {result.done:,}, skipped {result.skipped:,}"
        return CommandOutcome(message, complete=not result.skipped)

    async def _change_named(self, command: JobCommand, progress: CommandProgress) -> CommandOutcome:
        from previewops.queue.queue import Queue

        queue = Queue(self._redis, self._settings)
        messages: list[str] = []
        errors: list[str] = []
        total = len(command.job_ids)
        for done, job_id in enumerate(command.job_ids, 1):
            try:
                messages.append(await self._change(job_id, command, queue))
            except PreviewopsError as error:
                errors.append(error.message)
            await progress(done, total)
        if total == 1:
            return CommandOutcome((errors or messages)[0], complete=not errors)
        verb = "cancelled" if isinstance(command, Cancel) else "changed"
        return CommandOutcome(f"{verb} {len(messages):,}, skipped {len(errors):,}", complete=not errors)

    async def _change(self, job_id: str, command: JobCommand, queue: Queue) -> str:
        if isinstance(command, Cancel):
            await queue.cancel(job_id, who=self._who, reason=command.reason)
            return f"{job_id} is cancelled."
        from previewops.queue.due_time import NOW

        due = NOW if command.now else None
        before = await queue.reschedule(
            job_id, priority=command.priority, due=due, who=self._who, reason=command.reason
        )
        if command.priority is not None:
            return f"{job_id} has priority {command.priority.value}."
        return f"{job_id} {'waits now' if before is JobState.DELAYED else 'was waiting already'}."
