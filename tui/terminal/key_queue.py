"""Keys go one at a time: what one opens or closes is done before the next goes anywhere.

Textual hands every key to whatever has the focus at that moment, and acts on it later. Over a slow line several come
at once, and the second of them would act on what the first is about to close, or overtake it.
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
"""So long a key is waited for. What takes longer, as a question that Redis has to be asked about first, holds no key
up: those that could answer the question unseen are forgotten then."""

DIALOG_POLL_S = 0.01
"""How often it is looked whether a question has come."""


class KeyQueue:
    """Passes keys and pastes to ``deliver`` in order, each when nothing of the one before is under way any more.

    ``asking`` says whether a question to the operator is on its way and not there yet.
    """

    def __init__(
        self,
        app: App[Any],
        deliver: Callable[[Key | Paste], Awaitable[None]],
        asking: Callable[[], bool],
    ) -> None:
        self._app = app
        self._deliver = deliver
        self._asking = asking
        self._waiting: deque[Key | Paste] = deque()
        self._at_work = False

    def put(self, event: Key | Paste) -> None:
        """Takes what was typed."""
        self._waiting.append(event)
        if not self._at_work:
            self._at_work = True
            self._app.run_worker(self._work(), name="keys", group="keys")

    async def _work(self) -> None:
        try:
            while self._waiting:
                event = self._waiting.popleft()
                if self._asking() and _answers(event):
                    continue
                await self._deliver(event)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._done(), KEY_TIMEOUT_S)
        finally:
            self._at_work = False

    async def _done(self) -> None:
        """Waits until nothing waits in any queue, nothing is worked at, and no question is on its way."""
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
        """Waits until everything in front has done what was in its queue."""
        left = 0
        over = asyncio.Event()

        def one_less() -> None:
            nonlocal left
            left -= 1
            if not left:
                over.set()

        for pump in self._pumps():
            left += pump.call_later(one_less)
        if left:
            await over.wait()


def _answers(event: Key | Paste) -> bool:
    """Whether it could answer a question that nobody has seen."""
    return isinstance(event, Paste) or event.is_printable or event.key == "enter"
