"""Executes commands on a live queue. Every command is recorded with operator, time, kind and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from previewops.formatting import pluralize
from previewops.tui.commands.commands import (
    AcknowledgeDataLoss,
    Cancel,
    CommandOutcome,
    CommandProgress,
    Delete,
    Discard,
    EndSilence,
    Export,
    FleetActionCommand,
    OperatorCommand,
    Pause,
    Requeue,
    RequeueWithPayload,
    Reschedule,
    ResendWebhooks,
    Resume,
    RunAgain,
    Scale,
    SetProjectLimits,
    SilenceCheck,
)
from previewops.tui.data.live.connection import QueueConnection
from previewops.tui.data.live.job_commands import JobCommands
from previewops.tui.viewmodel.durations import format_minute

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.queue.dead_letters import DeadLetters
    from previewops.queue.queue import Queue

_QueueCommand: TypeAlias = (
    Pause | Resume | AcknowledgeDataLoss | SilenceCheck | EndSilence | ResendWebhooks | SetProjectLimits
)


class LiveExecutor:
    """``CommandExecutor`` over a Redis connection."""

    def __init__(self, connection: QueueConnection) -> None:
        self._settings = connection.settings
        self._connection = connection
        self._who = connection.who

    async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        async with self._connection.redis() as redis:
            match command:
                case (
                    Pause()
                    | Resume()
                    | AcknowledgeDataLoss()
                    | SilenceCheck()
                    | EndSilence()
                    | ResendWebhooks()
                    | SetProjectLimits()
                ):
                    return await self._change_queue(command, redis)
                case Cancel() | RunAgain() | Delete() | Reschedule():
                    return await JobCommands(self._connection, redis).execute(command, progress)
                case Requeue() | Discard():
                    return await self._requeue_or_discard(command, redis, progress)
                case RequeueWithPayload():
                    return await self._requeue_with_payload(command, redis)
                case Export():
                    return await self._export(command, redis, progress)
                case Scale() | FleetActionCommand():
                    return await self._send_to_supervisor(command, redis)

    async def _change_queue(
        self,
        command: _QueueCommand,
        redis: Redis,
    ) -> CommandOutcome:
        queue = self._queue(redis)
        match command:
            case SetProjectLimits():
                return await self._set_project_limits(command, redis)
            case ResendWebhooks():
                return await self._resend_webhooks(command, redis)
            case SilenceCheck() | EndSilence():
                return await self._change_silence(command, queue)
            case AcknowledgeDataLoss():
                ended = await queue.acknowledge_data_loss(who=self._who)
                return CommandOutcome("The alarm is acknowledged." if ended else "There was no alarm.")
            case Resume():
                state = await queue.resume(who=self._who, reason=command.reason)
                return CommandOutcome(
                    "The queue is resumed." if state.changed else "The queue was not paused."
                )
            case Pause():
                state = await queue.pause(who=self._who, reason=command.reason)
                return CommandOutcome(
                    "The queue is paused."
                    if state.changed
                    else f"The queue was paused already, by {state.who}."
                )

    async def _change_silence(self, command: SilenceCheck | EndSilence, queue: Queue) -> CommandOutcome:
        check = command.check
        if isinstance(command, EndSilence):
            ended = await queue.end_silence(check, who=self._who, reason=command.reason)
            return CommandOutcome(f"{check} counts again." if ended else f"{check} was not silenced.")
        until_ms = await queue.silence(
            check, for_ms=command.for_ms, level=command.level, who=self._who, reason=command.reason
        )
        return CommandOutcome(f"{check} is silenced up to {command.level} until {format_minute(until_ms)}.")

    async def _requeue_or_discard(
        self, command: Requeue | Discard, redis: Redis, progress: CommandProgress
    ) -> CommandOutcome:
        dead_letters, requeues = self._dead_letters(redis), isinstance(command, Requeue)
        options: dict[str, Any] = {"priority": command.priority} if isinstance(command, Requeue) else {}
        result = await (dead_letters.requeue if requeues else dead_letters.discard)(
            command.dead_filter,
            other_filters=command.other_filters,
            who=self._who,
            reason=command.reason,
            cut_off_ms=command.cut_off_ms,
            progress=progress,
            **options,
        )
        # Some of the counted ones may have been requeued, discarded or died again since.
        skipped = max(result.skipped, command.count - result.done)
        message = f"{'requeued' if requeues else 'discarded'} {result.done:,}, skipped {skipped:,}"
        return CommandOutcome(message, complete=not skipped)

    async def _requeue_with_payload(self, command: RequeueWithPayload, redis: Redis) -> CommandOutcome:
        await self._dead_letters(redis).requeue_with_payload(
            command.job_id,
            command.payload,
            who=self._who,
            reason=command.reason,
            expected_digest=command.expected_digest,
        )
        return CommandOutcome(f"{command.job_id} is requeued with its new payload.")

    async def _resend_webhooks(self, command: ResendWebhooks, redis: Redis) -> CommandOutcome:
        from previewops.queue.webhooks import MAX_LISTED, Webhooks

        webhooks, done = Webhooks(redis, self._settings), 0
        while done < command.count:
            batch = min(MAX_LISTED, command.count - done)
            resent = await webhooks.resend([], who=self._who, limit=batch)
            done += resent
            if resent < batch:  # another operator was quicker
                break
        return CommandOutcome(f"{pluralize(done, 'webhook')} queued again.")

    async def _export(self, command: Export, redis: Redis, progress: CommandProgress) -> CommandOutcome:
        from previewops.atomic_files import open_jsonl_atomically

        count, dead_letters = 0, self._dead_letters(redis)
        with open_jsonl_atomically(command.path) as write:
            for dead_filter in (command.dead_filter, *command.other_filters):
                async for record in dead_letters.export(dead_filter):
                    write({**record.as_json(), "payload": record.payload})
                    count += 1
                    if count % 100 == 0:
                        await progress(count, max(count, command.count))
        return CommandOutcome(f"exported {pluralize(count, 'dead letter')} to {command.path}")

    async def _set_project_limits(self, command: SetProjectLimits, redis: Redis) -> CommandOutcome:
        from previewops.queue.projects import set_project_limits

        limits = await set_project_limits(
            redis,
            self._settings,
            command.project,
            weight="keep" if command.weight is None else command.weight,
            max_active="keep" if command.max_active is None else command.max_active,
            who=self._who,
        )
        most = "no maximum" if limits.max_active is None else f"at most {limits.max_active:,} active"
        return CommandOutcome(f"{command.project} has weight {limits.weight}, {most}.")

    async def _send_to_supervisor(self, command: Scale | FleetActionCommand, redis: Redis) -> CommandOutcome:
        from previewops.supervisor.commands import FleetCommandKind, FleetControl

        fleet = FleetControl(redis, self._settings, who=self._who)
        if isinstance(command, Scale):
            result = await fleet.scale(command.bounds, host=command.supervisor_id, reason=command.reason)
        else:
            result = await fleet.send(
                FleetCommandKind(command.kind),
                worker=command.worker_id or None,
                host=None if command.worker_id else command.supervisor_id,
                reason=command.reason,
            )
        return CommandOutcome(f"{result.supervisor_id}: {result.message}")

    def _queue(self, redis: Redis) -> Queue:
        from previewops.queue.queue import Queue

        return Queue(redis, self._settings)

    def _dead_letters(self, redis: Redis) -> DeadLetters:
        from previewops.queue.dead_letters import DeadLetters

        return DeadLetters(redis, self._settings)
