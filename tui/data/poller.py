"""Polls snapshots one after the other, never two at a time, and posts each result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from textual.message import Message

from previewops.backoff import Backoff
from previewops.errors import LayoutUnsupported, PreviewopsError
from previewops.snapshot.model import Snapshot
from previewops.tui.protocols import DataSource, SnapshotQuery

TIMEOUT_S = 4.0
RETRY_BACKOFF_S = Backoff(0.25, 2.0)


@dataclass
class SnapshotArrived(Message):
    """A snapshot arrived. ``poller`` has posted it: after a switch of queues, messages of the old one may arrive."""

    snapshot: Snapshot
    poller: Poller | None = None


@dataclass
class SnapshotMissed(Message):
    """A poll failed: the reason, and the number of failures in a row."""

    reason: str
    tries: int
    poller: Poller | None = None


@dataclass
class SourceRejected(Message):
    """No later poll can succeed: a newer build wrote the queue's data."""

    error: PreviewopsError
    poller: Poller | None = None


class Receiver(Protocol):
    """Receiver of the poller's messages."""

    def post_message(self, message: Message) -> bool:
        """Puts a message into the queue."""
        ...


class Poller:
    """Polls ``source`` and posts to ``receiver``. Calls ``query`` before each snapshot."""

    def __init__(
        self, source: DataSource, receiver: Receiver, query: Callable[[], SnapshotQuery], *, interval_s: float
    ) -> None:
        self._source = source
        self._receiver = receiver
        self._query = query
        self._interval_s = interval_s
        self._wake = asyncio.Event()

    @property
    def interval_s(self) -> float:
        """Interval between two snapshots, in seconds."""
        return self._interval_s

    @interval_s.setter
    def interval_s(self, seconds: float) -> None:
        self._interval_s = seconds
        self._wake.set()

    def poll_now(self) -> None:
        """Takes the next snapshot immediately."""
        self._wake.set()

    async def run(self) -> None:
        """Polls until it is cancelled, or until it is certain that no poll can succeed."""
        tries = 0
        while True:
            self._wake.clear()
            try:
                reason = await self._take()
            except LayoutUnsupported as error:
                self._receiver.post_message(SourceRejected(error, self))
                return
            tries = tries + 1 if reason else 0
            if reason:
                self._receiver.post_message(SnapshotMissed(reason, tries, self))
            pause = RETRY_BACKOFF_S.longest(tries) if tries else self._interval_s
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def _take(self) -> str:
        """Takes one snapshot; returns the error message, or "". Raises LayoutUnsupported."""
        call = asyncio.ensure_future(self._source.collect(self._query()))
        try:
            # Not wait_for: the cancelled call must end before the next one starts, or two would overlap.
            done, _ = await asyncio.wait({call}, timeout=TIMEOUT_S)
            if not done:
                return f"no answer within {TIMEOUT_S:.0f} s"
            snapshot = call.result()
        except LayoutUnsupported:
            raise
        except PreviewopsError as error:
            return error.message
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            if not call.done():
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
        self._receiver.post_message(SnapshotArrived(snapshot, self))
        return ""
