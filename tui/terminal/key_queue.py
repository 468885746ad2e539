"""Delivers keys one at a time: the effects of a key are complete before the next one is delivered.

Textual passes each key to the focused widget at once and handles it later. On a slow connection several keys arrive
together: the second would reach the dialog that the first is about to close, or overtake it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual.events import Key, Paste

if TYPE_CHECKING:
    from textual.app import App
    from textual.message_pump import MessagePump

KEY_TIMEOUT_S = 1.0
"""Timeout in seconds for the effects of a key. A dialog that needs data from Redis first takes longer: it blocks no
keys, but keys that could answer it before it is visible are dropped."""

DIALOG_POLL_S = 0.01
"""Poll interval in seconds while a dialog is about to open."""


class KeyQueue:
    """Passes keys and pastes to ``deliver`` in order, each after the previous one is processed.

    ``asking`` returns whether a dialog is about to open.
    """

    def __init__(
        self, app: App[Any], deliver: Callable[[Key | Paste], Awaitable[None]], asking: Callable[[], bool]
    ) -> None:
        self._app = app
        self._deliver = deliver
        self._asking = asking
        self._waiting: deque[Key | Paste] = deque()
        self._at_work = False

    def put(self, event: Key | Paste) -> None:
        """Adds a key or a paste."""
        self._waiting.append(event)
        if not self._at_work:
            self._at_work = True
            self._app.run_worker(self._work(), name="keys", group="keys")

    async def _work(self) -> None:
        try:
            while self._waiting:
                event = self._waiting.popleft()
                if self._asking() and _could_answer(event):
                    continue
                await self._deliver(event)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._done(), KEY_TIMEOUT_S)
        finally:
            self._at_work = False

    async def _done(self) -> None:
        """Waits until all message queues are empty, all handlers have finished and no dialog is about to open."""
        while True:
            before = self._queued()
            await self._round()
            if self._asking():
                await asyncio.sleep(DIALOG_POLL_S)
            elif not before and not self._queued():
                return

    def _pumps(self) -> list[MessagePump]:
        return [self._app, *self._app.screen.walk_children(with_self=True)]

    def _queued(self) -> bool:
        return any(pump.message_queue_size for pump in self._pumps())

    async def _round(self) -> None:
        """Waits until every visible widget has processed its message queue."""
        left = 0
        over = asyncio.Event()

        def decrement() -> None:
            nonlocal left
            left -= 1
            if not left:
                over.set()

        for pump in self._pumps():
            left += pump.call_later(decrement)
        if left:
            await over.wait()


def _could_answer(event: Key | Paste) -> bool:
    """Whether the key could answer a dialog that is not visible yet."""
    return isinstance(event, Paste) or event.is_printable or event.key == "enter"
