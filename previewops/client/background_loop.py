"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from previewops.client.errors import ClientClosed
from previewops.tasks import cancel_and_wait

T = TypeVar("T")

CLOSE_TIMEOUT_S = 5.0


class BackgroundLoop:
    """Runs coroutines of any thread in one loop. The thread ends with the process, whatever it is at."""

    def __init__(self, name: str, on_close: Callable[[], Awaitable[None]]) -> None:
        self._at_close = on_close
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Has the loop begin with ``work``.

        Raises:
            ClientClosed: the thread has ended, as it does before the process.
        """
        if not self._running():
            work.close()
            raise ClientClosed
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close_generator(self, steps: AsyncGenerator[Any, None]) -> None:
        """Ends ``steps`` without waiting for that: it is the garbage collector that may come by here."""
        if self._running():
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(_closed(steps)))

    def close(self) -> None:
        """Awaits ``at_close`` in the loop, cancels what is still at work, and ends the thread.

        Does nothing in a process that was forked off, where the thread is not.
        """
        if not self._running():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:  # the garbage collector may run anywhere
            self._thread.join(CLOSE_TIMEOUT_S)

    def _running(self) -> bool:
        return self._thread.is_alive() and not self._loop.is_closed()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._wind_up())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _wind_up(self) -> None:
        await cancel_and_wait(asyncio.all_tasks() - {cast("asyncio.Task[None]", asyncio.current_task())})
        await self._at_close()


async def _closed(steps: AsyncGenerator[Any, None]) -> None:
    await steps.aclose()
