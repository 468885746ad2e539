"""Operator commands as plain values, and the interface that executes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from previewops.errors import PreviewopsError

if TYPE_CHECKING:
    from previewops.contract.payload import Payload
    from previewops.queue.dead_letter_filter import DeadLetterFilter
    from previewops.queue.job_selection import MatchedJobs
    from previewops.snapshot.fleet import WorkerCountRange
    from previewops.states import Priority


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop claims. Running jobs continue."""

    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Allow claims again."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class _JobsCommand:
    """A command on jobs: those with ``job_ids``, or all that ``matched``."""

    job_ids: tuple[str, ...]
    reason: str = ""
    matched: MatchedJobs | None = None

    @property
    def count(self) -> int:
        return len(self.job_ids) if self.matched is None else self.matched.count.total


class Cancel(_JobsCommand):
    """Cancel pending jobs."""


class RunAgain(_JobsCommand):
    """Render completed or cancelled jobs again, with their stored payloads."""


class Delete(_JobsCommand):
    """Delete completed or cancelled jobs permanently, with their bundles."""


@dataclass(frozen=True, slots=True)
class Reschedule:
    """Give waiting or delayed jobs another priority, or with ``now`` let delayed ones run now."""

    job_ids: tuple[str, ...]
    priority: Priority | None = None
    now: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Requeue dead letters, with another priority if one is given.

    ``other_filters`` match none of the same jobs. ``count`` is how many all filters matched at
    ``cut_off_ms`` (server time, None for the start of the command): later deaths are left alone.
    """

    dead_filter: DeadLetterFilter
    count: int
    priority: Priority | None = None
    reason: str = ""
    other_filters: tuple[DeadLetterFilter, ...] = ()
    cut_off_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """Delete dead letters permanently. ``other_filters``, ``count`` and ``cut_off_ms`` as for ``Requeue``."""

    dead_filter: DeadLetterFilter
    count: int
    reason: str = ""
    other_filters: tuple[DeadLetterFilter, ...] = ()
    cut_off_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RequeueWithPayload:
    """Replace the payload of one dead letter and requeue it.

    ``expected_digest`` is the digest of the payload that was shown: a payload edited since then is left alone.
    """

    job_id: str
    payload: Payload
    expected_digest: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """Write dead letters to a file, one JSON object per line. Changes nothing in the queue.

    ``other_filters`` and ``count`` as for ``Requeue``.
    """

    dead_filter: DeadLetterFilter
    count: int
    path: Path
    other_filters: tuple[DeadLetterFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """Set the range of worker counts of one host."""

    supervisor_id: str
    bounds: WorkerCountRange
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FleetActionCommand:
    """Drain, restart or reset (``kind``) one worker, or all workers of a host where ``worker_id`` is ""."""

    kind: str
    supervisor_id: str
    worker_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AcknowledgeDataLoss:
    """End the alarm about lost data."""


@dataclass(frozen=True, slots=True)
class SilenceCheck:
    """Silence a health check for ``for_ms``, up to the status ``level``."""

    check: str
    for_ms: int
    level: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndSilence:
    """End the silence of a health check."""

    check: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResendWebhooks:
    """Send the webhooks that failed again, the oldest first, up to ``count``."""

    count: int


@dataclass(frozen=True, slots=True)
class SetProjectLimits:
    """Set a project's weight or maximum of active jobs, where it is not None. ``max_active`` 0: no maximum."""

    project: str
    weight: int | None = None
    max_active: int | None = None


OperatorCommand: TypeAlias = (
    Pause
    | Resume
    | Cancel
    | RunAgain
    | Delete
    | Reschedule
    | Requeue
    | Discard
    | RequeueWithPayload
    | Export
    | Scale
    | FleetActionCommand
    | AcknowledgeDataLoss
    | SilenceCheck
    | EndSilence
    | ResendWebhooks
    | SetProjectLimits
)


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """Result of a command as a sentence; ``complete`` is False when part of it was not done."""

    message: str
    complete: bool = True


CommandProgress: TypeAlias = Callable[[int, int], Awaitable[None]]
"""Called with (done, total) after each batch."""


class CommandExecutor(Protocol):
    """Executes commands. Errors are ``PreviewopsError``."""

    async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        """Executes a command and returns its result. May be cancelled between batches.

        Raises:
            PreviewopsError: the command was rejected or failed; the message is for the operator.
        """
        ...


class ReadOnly(PreviewopsError):
    """The screen was opened read-only."""

    code = "read-only"

    def __init__(self) -> None:
        super().__init__(
            "the screen is read-only: not executed", hint="open it without --read-only to run commands"
        )


class NotConnected(PreviewopsError):
    """The connection to Redis is lost: the display is stale and the result of a command would not arrive."""

    code = "nobody-answers"

    def __init__(self) -> None:
        super().__init__(
            "Redis does not answer: not executed", hint="repeat the command once the display is live again"
        )


class ReadOnlyExecutor:
    """An executor that rejects every command except an export."""

    def __init__(self, executor: CommandExecutor) -> None:
        self._executor = executor

    async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        """Exports; rejects everything else with ``ReadOnly``."""
        if isinstance(command, Export):
            return await self._executor.execute(command, progress)
        raise ReadOnly
