"""Event loop in its own thread, for callers without a loop."""

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
    """Runs coroutines from any thread in one loop. The thread is a daemon: it ends with the process."""

    def __init__(self, name: str, on_close: Callable[[], Awaitable[None]]) -> None:
        self._on_close = on_close
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts ``work`` in the loop.

        Raises:
            ClientClosed: the thread has ended.
        """
        if not self._running():
            work.close()
            raise ClientClosed
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close_generator(self, generator: AsyncGenerator[Any, None]) -> None:
        """Closes ``generator`` without waiting, as the garbage collector may be the caller."""
        if self._running():
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(_close(generator)))

    def close(self) -> None:
        """Awaits ``on_close`` in the loop, cancels remaining tasks and ends the thread.

        Does nothing in a forked child, which does not have the thread.
        """
        if not self._running():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        # The garbage collector may call this in any thread.
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _running(self) -> bool:
        return self._thread.is_alive() and not self._loop.is_closed()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._shut_down())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _shut_down(self) -> None:
        await cancel_and_wait(asyncio.all_tasks() - {cast("asyncio.Task[None]", asyncio.current_task())})
        await self._on_close()


async def _close(generator: AsyncGenerator[Any, None]) -> None:
    await generator.aclose()
