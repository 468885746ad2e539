"""What an operator can want, as plain values. A screen posts one; the layer below carries it out, or refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from previewops.errors import PreviewopsError

if TYPE_CHECKING:
    from previewops.contract.payload import Payload
    from previewops.queue.dead_letter_filter import DeadLetterFilter
    from previewops.snapshot.fleet import WorkerCountRange
    from previewops.states import Priority


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop claims; what runs goes on."""

    why: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Let claims go on."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel pending jobs."""

    job_ids: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Give dead letters a new life, with another priority if one is given.

    ``also`` are further filters, which mean none of the same jobs; ``count`` is how many all of them meant at
    ``cut_off_ms`` (server): what died later was not counted and is left. None is when the act begins.
    """

    chosen: DeadLetterFilter
    count: int
    priority: Priority | None = None
    why: str = ""
    also: tuple[DeadLetterFilter, ...] = ()
    cut_off_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """Delete dead letters for good. ``also``, ``count`` and ``cut_off_ms`` as for ``Requeue``."""

    chosen: DeadLetterFilter
    count: int
    why: str = ""
    also: tuple[DeadLetterFilter, ...] = ()
    cut_off_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RequeueWithPayload:
    """Replace the payload of one dead letter and give it a new life.

    ``instead_of`` is the digest of the payload that was shown: one that somebody has edited since is left.
    """

    job_id: str
    payload: Payload
    expected_digest: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """Write dead letters into a file, one JSON object a line. Changes nothing in the queue.

    ``also`` and ``count`` as for ``Requeue``.
    """

    chosen: DeadLetterFilter
    count: int
    path: Path
    also: tuple[DeadLetterFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """Have one host run as many workers as the bounds say."""

    supervisor_id: str
    bounds: WorkerCountRange
    why: str = ""


@dataclass(frozen=True, slots=True)
class FleetActionCommand:
    """``act`` is drain, restart or reset; of one worker, or of all of a host where ``worker_id`` is ""."""

    kind: str
    supervisor_id: str
    worker_id: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class AcknowledgeDataLoss:
    """End the alarm over lost data."""


OperatorCommand: TypeAlias = (
    Pause
    | Resume
    | Cancel
    | Requeue
    | Discard
    | RequeueWithPayload
    | Export
    | Scale
    | FleetActionCommand
    | AcknowledgeDataLoss
)


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What became of an intent, in a sentence; ``whole`` is False when part of it could not be done."""

    message: str
    complete: bool = True


CommandProgress: TypeAlias = Callable[[int, int], Awaitable[None]]
"""Told (done, total) after each batch."""


class CommandExecutor(Protocol):
    """Carries intents out. Errors are ``PreviewopsError``."""

    async def execute(self, intent: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        """Does it, and says what was done. May be cancelled between batches.

        Raises:
            PreviewopsError: it was refused or failed; the message is for the operator.
        """
        ...


class ReadOnly(PreviewopsError):
    """The screen was opened to look only."""

    code = "read-only"

    def __init__(self) -> None:
        super().__init__(
            "this screen is read-only: nothing was changed", hint="open it without --read-only to act"
        )


class NotConnected(PreviewopsError):
    """The connection to Redis is lost: what is on the screen is old, and nobody would hear of an act."""

    code = "nobody-answers"

    def __init__(self) -> None:
        super().__init__(
            "Redis does not answer: nothing was done", hint="act again when the picture is live again"
        )


class ReadOnlyExecutor:
    """A desk that changes nothing: whatever reaches it is refused, except an export."""

    def __init__(self, desk: CommandExecutor) -> None:
        self._desk = desk

    async def execute(self, intent: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        """Exports; refuses everything else with ``ReadOnly``."""
        if isinstance(intent, Export):
            return await self._desk.execute(intent, progress)
        raise ReadOnly
