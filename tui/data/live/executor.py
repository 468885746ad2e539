"""Executes commands on a live queue. Every command is recorded with operator, time, kind and reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError
from previewops.formatting import pluralize
from previewops.tui.commands.commands import (
    AcknowledgeDataLoss,
    Cancel,
    CommandOutcome,
    CommandProgress,
    Discard,
    Export,
    FleetActionCommand,
    OperatorCommand,
    Pause,
    Requeue,
    RequeueWithPayload,
    Resume,
    Scale,
)
from previewops.tui.data.live.connection import QueueConnection

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.queue.dead_letters import DeadLetters
    from previewops.queue.pages import BulkResult
    from previewops.queue.queue import Queue
    from previewops.supervisor.commands import FleetControl


class LiveExecutor:
    """``CommandExecutor`` over a Redis connection."""

    def __init__(self, link: QueueConnection) -> None:
        self._link = link

    async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        """Executes a command. Errors are ``PreviewopsError``."""
        async with self._link.redis() as redis:
            way = self._ways()[type(command)]
            return await way(command, redis, progress)

    def _ways(self) -> dict[type, Callable[..., Awaitable[CommandOutcome]]]:
        return {
            Pause: self._pause,
            Resume: self._resume,
            AcknowledgeDataLoss: self._acknowledge,
            Cancel: self._cancel,
            Requeue: self._requeue,
            Discard: self._discard,
            RequeueWithPayload: self._requeue_edited,
            Export: self._export,
            Scale: self._scale,
            FleetActionCommand: self._fleet_act,
        }

    async def _pause(self, command: Pause, redis: Redis, _progress: CommandProgress) -> CommandOutcome:
        state = await self._queue(redis).pause(who=self._link.who, why=command.why)
        return CommandOutcome(
            "The queue is paused." if state.changed else f"The queue was paused already, by {state.who}."
        )

    async def _resume(self, command: Resume, redis: Redis, _progress: CommandProgress) -> CommandOutcome:
        state = await self._queue(redis).resume(who=self._link.who, why=command.why)
        return CommandOutcome("The queue is resumed." if state.changed else "The queue was not paused.")

    async def _acknowledge(
        self, _intent: AcknowledgeDataLoss, redis: Redis, _progress: CommandProgress
    ) -> CommandOutcome:
        ended = await self._queue(redis).acknowledge_data_loss(who=self._link.who)
        return CommandOutcome("The alarm is acknowledged." if ended else "There was no alarm.")

    async def _cancel(self, command: Cancel, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        queue = self._queue(redis)
        refused: list[str] = []
        for done, job_id in enumerate(command.job_ids, 1):
            try:
                await queue.cancel(job_id, who=self._link.who, why=command.why)
            except PreviewopsError as error:
                refused.append(error.message)
            await progress(done, len(command.job_ids))
        done = len(command.job_ids) - len(refused)
        if len(command.job_ids) == 1 and refused:
            return CommandOutcome(refused[0], complete=False)
        return CommandOutcome(f"cancelled {done:,}, skipped {len(refused):,}", complete=not refused)

    async def _requeue(self, command: Requeue, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        outcome = await self._letters(redis).requeue(
            command.chosen,
            other_filters=command.also,
            who=self._link.who,
            why=command.why,
            priority=command.priority,
            cut_off_ms=command.cut_off_ms,
            progress=progress,
        )
        return _told("requeued", outcome, command.count)

    async def _discard(self, command: Discard, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        outcome = await self._letters(redis).discard(
            command.chosen,
            other_filters=command.also,
            who=self._link.who,
            why=command.why,
            cut_off_ms=command.cut_off_ms,
            progress=progress,
        )
        return _told("discarded", outcome, command.count)

    async def _requeue_edited(
        self, command: RequeueWithPayload, redis: Redis, _progress: CommandProgress
    ) -> CommandOutcome:
        await self._letters(redis).requeue_with_payload(
            command.job_id,
            command.payload,
            who=self._link.who,
            why=command.why,
            expected_digest=command.expected_digest,
        )
        return CommandOutcome(f"{command.job_id} is requeued with its new payload.")

    async def _export(self, command: Export, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        from previewops.atomic_files import open_jsonl_atomically

        count = 0
        with open_jsonl_atomically(command.path) as write:
            for chosen in (command.chosen, *command.also):
                async for record in self._letters(redis).export(chosen):
                    write({**record.as_json(), "payload": record.payload})
                    count += 1
                    if count % 100 == 0:
                        await progress(count, max(count, command.count))
        return CommandOutcome(f"exported {pluralize(count, 'dead letter')} to {command.path}")

    async def _scale(self, command: Scale, redis: Redis, _progress: CommandProgress) -> CommandOutcome:
        answer = await self._fleet(redis).scale(command.bounds, host=command.supervisor_id, why=command.why)
        return CommandOutcome(f"{answer.supervisor_id}: {answer.message}")

    async def _fleet_act(
        self, command: FleetActionCommand, redis: Redis, _progress: CommandProgress
    ) -> CommandOutcome:
        from previewops.supervisor.commands import FleetCommandKind

        answer = await self._fleet(redis).send(
            FleetCommandKind(command.kind),
            worker=command.worker_id or None,
            host=None if command.worker_id else command.supervisor_id,
            why=command.why,
        )
        return CommandOutcome(f"{answer.supervisor_id}: {answer.message}")

    def _queue(self, redis: Redis) -> Queue:
        from previewops.queue.queue import Queue

        return Queue(redis, self._link.settings)

    def _letters(self, redis: Redis) -> DeadLetters:
        from previewops.queue.dead_letters import DeadLetters

        return DeadLetters(redis, self._link.settings)

    def _fleet(self, redis: Redis) -> FleetControl:
        from previewops.supervisor.commands import FleetControl

        return FleetControl(redis, self._link.settings, who=self._link.who)


def _told(done_word: str, outcome: BulkResult, counted: int) -> CommandOutcome:
    # Some of the counted ones may have been requeued, discarded or died again since.
    skipped = max(outcome.skipped, counted - outcome.done)
    return CommandOutcome(f"{done_word} {outcome.done:,}, skipped {skipped:,}", complete=not skipped)
