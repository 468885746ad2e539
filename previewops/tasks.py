"""Cancels asyncio tasks and waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

RETRY_INTERVAL_S = 0.1

T = TypeVar("T")


async def cancel_and_wait(
    tasks: Iterable[asyncio.Task[Any]], *, max_rounds: int | None = None
) -> set[asyncio.Task[Any]]:
    """Cancels tasks until they have ended, at most ``max_rounds`` times, and returns those still running.

    One cancellation is not enough: ``asyncio.wait_for`` of Python 3.11, which redis-py uses to send, swallows a
    cancellation that arrives just as the awaited result is ready. Exceptions of the tasks are dropped.
    """
    pending = set(tasks)
    while pending and max_rounds != 0:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=RETRY_INTERVAL_S)
        for task in done:
            if not task.cancelled():
                # Retrieve it, or asyncio reports it as never retrieved.
                task.exception()
        max_rounds = None if max_rounds is None else max_rounds - 1
    return pending


async def shield_until_done(call: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """Awaits a call to its end despite cancellation. Returns its result and whether a cancellation came."""
    task = asyncio.ensure_future(call)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            cancelled = True
    return task.result(), cancelled
