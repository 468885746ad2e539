"""Runs the scripts of the hot path on connections of their own.

A claim or finish through redis-py's client costs more in the client than in Redis: a pool, a retry object, a check
for unread bytes, and a packer written in Python. Here each call has a redis-py ``Connection`` of its own and is
packed by hiredis. Measured at concurrency 2, see benchmarks/queue.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import hiredis
from redis.exceptions import NoScriptError, RedisError

from previewops.queue.scripts import LoadedScript, ScriptArgument, ScriptName, Scripts
from previewops.redis_server.connection import SOCKET_TIMEOUT_S
from previewops.redis_server.pool import PrimaryConnection, PrimaryPool


class FastScriptRunner:
    """Runs scripts for one queue. Calls may run concurrently; each uses its own connection."""

    def __init__(self, pool: PrimaryPool, scripts: Scripts, *, timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        self._pool = pool
        self._scripts = scripts
        self._timeout_s = timeout_s
        self._idle: list[PrimaryConnection] = []
        self._is_closed = False

    async def run(self, name: ScriptName, *args: ScriptArgument) -> Any:
        """Calls a script with the queue's keys.

        Raises:
            redis.exceptions.RedisError, OSError: from the connection or the server; TimeoutError after
                ``timeout_s``. The connection is then closed, so that no later call reads the late reply.
        """
        connection: PrimaryConnection = self._idle.pop() if self._idle else self._pool.make_connection()
        # One deadline around the call replaces one around each write and each read.
        connection.socket_timeout = None
        script = self._scripts.loaded(name)
        try:
            async with asyncio.timeout(self._timeout_s):
                if connection.is_stale or not connection.is_connected:
                    await connection.connect()
                reply = await self._evaluate(connection, script, args)
        except BaseException:
            await connection.disconnect(nowait=True)
            if connection.is_stale:
                await self._close_idle()
            raise
        if self._is_closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def _evaluate(
        self, connection: PrimaryConnection, script: LoadedScript, args: tuple[ScriptArgument, ...]
    ) -> Any:
        call = ("EVALSHA", script.sha, 1, script.key, *args)
        try:
            await connection.send_packed_command(_pack(call), check_health=False)
            return await connection.read_response()
        except NoScriptError:
            full_call = ("EVAL", script.text, *call[2:])
            await connection.send_packed_command(_pack(full_call), check_health=False)
            return await connection.read_response()

    async def close(self) -> None:
        """Closes the idle connections; a call that still runs closes its own."""
        self._is_closed = True
        await self._close_idle()

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect()


def _pack(command: tuple[ScriptArgument, ...]) -> bytes:
    # hiredis annotates a tuple of one element, and accepts any length.
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed
