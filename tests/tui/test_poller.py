"""Polling a source that does not reply: the call is cancelled, and has ended before the next one."""

from __future__ import annotations

import asyncio

import pytest
from textual.message import Message

from previewops.errors import EXIT_TRY_AGAIN, LayoutUnsupported
from previewops.snapshot.model import Snapshot
from previewops.tui.data import poller as module
from previewops.tui.data.poller import Poller, SnapshotMissed, SourceRejected
from previewops.tui.protocols import SnapshotQuery
from tests.tui.screen_support import FakeSource


class HangingSource(FakeSource):
    """Never replies, and takes a while to end when it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.requested = asyncio.Event()

    async def collect(self, query: SnapshotQuery) -> Snapshot:
        self.log.append("asked")
        self.requested.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            self.log.append("ended")
        raise AssertionError("it was never cancelled")


class Impatient:
    """A receiver that polls again at once, three times."""

    def __init__(self) -> None:
        self.poller: Poller | None = None
        self.missed: list[SnapshotMissed] = []
        self.enough = asyncio.Event()

    def post_message(self, message: Message) -> bool:
        assert isinstance(message, SnapshotMissed)
        self.missed.append(message)
        if len(self.missed) == 3:
            self.enough.set()
        elif self.poller is not None:
            self.poller.poll_now()
        return True


class RejectingSource(FakeSource):
    """Holds data of a newer layout."""

    async def collect(self, query: SnapshotQuery) -> Snapshot:
        raise LayoutUnsupported("preview-jobs", 2, 1)


async def test_a_newer_layout_ends_the_polls() -> None:
    messages: list[Message] = []

    class Receiver:
        def post_message(self, message: Message) -> bool:
            messages.append(message)
            return True

    async with asyncio.timeout(60):
        await Poller(RejectingSource(), Receiver(), SnapshotQuery, interval_s=60.0).run()
    (message,) = messages
    assert isinstance(message, SourceRejected)
    assert message.error.exit_code == EXIT_TRY_AGAIN


async def test_a_call_without_a_reply_is_cancelled_and_ends_before_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.0)
    source, receiver = HangingSource(), Impatient()
    receiver.poller = Poller(source, receiver, SnapshotQuery, interval_s=60.0)
    polling = asyncio.ensure_future(receiver.poller.run())
    await receiver.enough.wait()
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    assert source.log == ["asked", "ended"] * 3
    assert [(failure.reason, failure.tries) for failure in receiver.missed] == [
        ("no answer within 0 s", number) for number in (1, 2, 3)
    ]


async def test_cancelling_the_poller_cancels_the_running_call() -> None:
    source = HangingSource()
    polling = asyncio.ensure_future(Poller(source, Impatient(), SnapshotQuery, interval_s=60.0).run())
    await source.requested.wait()
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    assert polling.cancelled()
    assert source.log == ["asked", "ended"]
