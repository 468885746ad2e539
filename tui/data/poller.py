"""Takes snapshots one after the other, never two at a time, and says what came of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from textual.message import Message

from previewops.clock import Clock
from previewops.errors import PreviewopsError
from previewops.snapshot.model import Snapshot
from previewops.tui.protocols import DataSource, SnapshotQuery

TIMEOUT_S = 4.0
RETRY_AFTER_S = (0.25, 0.5, 1.0, 2.0)
"""Pauses after the first, second, … failure in a row; the last one from then on."""


@dataclass
class SnapshotArrived(Message):
    """A snapshot has come, ``took_ms`` after it was asked for."""

    snapshot: Snapshot
    took_ms: float


@dataclass
class SnapshotMissed(Message):
    """A snapshot has not come: why, and how many in a row have not."""

    reason: str
    tries: int


class Receiver(Protocol):
    """Whom the poller tells."""

    def post_message(self, message: Message) -> bool:
        """Puts a message into its queue."""
        ...


class Poller:
    """Polls ``source`` for ``receiver``. ``want`` is asked before each snapshot."""

    def __init__(
        self,
        source: DataSource,
        receiver: Receiver,
        want: Callable[[], SnapshotQuery],
        clock: Clock,
        *,
        every_s: float,
    ) -> None:
        self._source = source
        self._receiver = receiver
        self._want = want
        self._clock = clock
        self._every_s = every_s
        self._hurry = asyncio.Event()

    @property
    def every_s(self) -> float:
        """Pause between two snapshots, in seconds."""
        return self._every_s

    @every_s.setter
    def every_s(self, seconds: float) -> None:
        self._every_s = seconds
        self._hurry.set()

    def poll_now(self) -> None:
        """Takes the next snapshot at once."""
        self._hurry.set()

    async def run(self) -> None:
        """Polls until it is cancelled."""
        tries = 0
        while True:
            self._hurry.clear()
            started = self._clock.monotonic()
            reason = await self._take(started)
            tries = tries + 1 if reason else 0
            if reason:
                self._receiver.post_message(SnapshotMissed(reason, tries))
            pause = RETRY_AFTER_S[min(tries, len(RETRY_AFTER_S)) - 1] if tries else self._every_s
            await self._rest(pause)

    async def _take(self, started: float) -> str:
        """Takes one snapshot; returns why it has not come, or ""."""
        asking = asyncio.ensure_future(self._source.collect(self._want()))
        try:
            # Not wait_for: a call that is given up has to end before the next begins, or two would overlap.
            done, _ = await asyncio.wait({asking}, timeout=TIMEOUT_S)
            if not done:
                return f"no answer within {TIMEOUT_S:.0f} s"
            snapshot = asking.result()
        except PreviewopsError as error:
            return error.message
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        self._receiver.post_message(SnapshotArrived(snapshot, (self._clock.monotonic() - started) * 1000))
        return ""

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._hurry.wait(), seconds)
        except TimeoutError:
            return
