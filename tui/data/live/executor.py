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

    async def execute(self, intent: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        """Executes a command. Errors are ``PreviewopsError``."""
        async with self._link.redis() as redis:
            way = self._ways()[type(intent)]
            return await way(intent, redis, progress)

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

    async def _pause(self, intent: Pause, redis: Redis, _progress: CommandProgress) -> CommandOutcome:
        state = await self._queue(redis).pause(who=self._link.who, why=intent.why)
        return CommandOutcome(
            "The queue is paused." if state.changed else f"The queue was paused already, by {state.who}."
        )

    async def _resume(self, intent: Resume, redis: Redis, _progress: CommandProgress) -> CommandOutcome:
        state = await self._queue(redis).resume(who=self._link.who, why=intent.why)
        return CommandOutcome("The queue is resumed." if state.changed else "The queue was not paused.")

    async def _acknowledge(
        self, _intent: AcknowledgeDataLoss, redis: Redis, _progress: CommandProgress
    ) -> CommandOutcome:
        ended = await self._queue(redis).acknowledge_data_loss(who=self._link.who)
        return CommandOutcome("The alarm is acknowledged." if ended else "There was no alarm.")

    async def _cancel(self, intent: Cancel, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        queue = self._queue(redis)
        refused: list[str] = []
        for done, job_id in enumerate(intent.job_ids, 1):
            try:
                await queue.cancel(job_id, who=self._link.who, why=intent.why)
            except PreviewopsError as error:
                refused.append(error.message)
            await progress(done, len(intent.job_ids))
        done = len(intent.job_ids) - len(refused)
        if len(intent.job_ids) == 1 and refused:
            return CommandOutcome(refused[0], complete=False)
        return CommandOutcome(f"cancelled {done:,}, skipped {len(refused):,}", complete=not refused)

    async def _requeue(self, intent: Requeue, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        outcome = await self._letters(redis).requeue(
            intent.chosen,
            other_filters=intent.also,
            who=self._link.who,
            why=intent.why,
            priority=intent.priority,
            cut_off_ms=intent.cut_off_ms,
            progress=progress,
        )
        return _told("requeued", outcome, intent.count)

    async def _discard(self, intent: Discard, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        outcome = await self._letters(redis).discard(
            intent.chosen,
            other_filters=intent.also,
            who=self._link.who,
            why=intent.why,
            cut_off_ms=intent.cut_off_ms,
            progress=progress,
        )
        return _told("discarded", outcome, intent.count)

    async def _requeue_edited(
        self, intent: RequeueWithPayload, redis: Redis, _progress: CommandProgress
    ) -> CommandOutcome:
        await self._letters(redis).requeue_with_payload(
            intent.job_id,
            intent.payload,
            who=self._link.who,
            why=intent.why,
            expected_digest=intent.expected_digest,
        )
        return CommandOutcome(f"{intent.job_id} is requeued with its new payload.")

    async def _export(self, intent: Export, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        from previewops.atomic_files import open_jsonl_atomically

        count = 0
        with open_jsonl_atomically(intent.path) as write:
            for chosen in (intent.chosen, *intent.also):
                async for record in self._letters(redis).export(chosen):
                    write({**record.as_json(), "payload": record.payload})
                    count += 1
                    if count % 100 == 0:
                        await progress(count, max(count, intent.count))
        return CommandOutcome(f"exported {pluralize(count, 'dead letter')} to {intent.path}")

    async def _scale(self, intent: Scale, redis: Redis, _progress: CommandProgress) -> CommandOutcome:
        answer = await self._fleet(redis).scale(intent.bounds, host=intent.supervisor_id, why=intent.why)
        return CommandOutcome(f"{answer.supervisor_id}: {answer.message}")

    async def _fleet_act(
        self, intent: FleetActionCommand, redis: Redis, _progress: CommandProgress
    ) -> CommandOutcome:
        from previewops.supervisor.commands import FleetCommandKind

        answer = await self._fleet(redis).send(
            FleetCommandKind(intent.kind),
            worker=intent.worker_id or None,
            host=None if intent.worker_id else intent.supervisor_id,
            why=intent.why,
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
