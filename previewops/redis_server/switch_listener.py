"""Listens to one Sentinel for a change of the primary, which closes connections to the old one.

In a planned hand-over the old primary lives on, and accepts writes until its Sentinel demotes it, which takes up to
ten seconds. Those writes are lost. The Sentinel that carries out the hand-over names the new primary as soon as that
is promoted, but sends ``+switch-master`` a second later, when the other replicas follow. Other Sentinels send it at
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from redis.asyncio.connection import Connection
from redis.exceptions import NoPermissionError, RedisError

START_DELAY_S = 1.0
"""A command that ends before needs no listener."""

CHECK_INTERVAL_S = 10.0
"""Time without a message after which the Sentinel is asked whether it is still there."""

RETRY_PAUSE_S = 1.0

_CHANNEL = "+switch-master"
_EARLY_CHANNEL = "+promoted-slave"


class SwitchListener:
    """Task that subscribes to a Sentinel, and to another one when that one fails.

    Args:
        connection: returns a connection to the Sentinel that replied last, not yet connected.
        check: asks the Sentinels for the primary; called before and after each subscription, and after each message
            with the connection that it came from: that Sentinel knows more than the others. Raises redis-py's errors.
    """

    def __init__(
        self, connection: Callable[[], Connection], check: Callable[[Connection | None], Awaitable[None]]
    ) -> None:
        self._connection = connection
        self._check = check
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the task if it does not run in this event loop."""
        if self._task is None or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.create_task(self._run(), name="sentinel-listener")

    async def stop(self) -> None:
        """Stops the task and closes its connection."""
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        await asyncio.sleep(START_DELAY_S)
        while True:
            try:
                # Finds a Sentinel that replies, for the subscription.
                await self._check(None)
                await self._listen()
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _listen(self) -> None:
        connection = self._connection()
        try:
            await connection.connect()
            await _subscribe(connection, _CHANNEL)
            # A user of Sentinel may lack the permission: the change is noticed later.
            with suppress(NoPermissionError):
                await _subscribe(connection, _EARLY_CHANNEL)
            await self._check(None)
            while True:
                message = await connection.read_response(timeout=CHECK_INTERVAL_S)
                if message is None:
                    await connection.send_command("PING")
                    await connection.read_response()
                await self._check(connection if message else None)
        finally:
            await connection.disconnect(nowait=True)


async def _subscribe(connection: Connection, channel: str) -> None:
    await connection.send_command("SUBSCRIBE", channel)
    await connection.read_response()
