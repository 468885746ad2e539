"""Loads the Lua scripts and calls them.

A script is one file in ``previewops/lua`` whose header names its KEYS, ARGV and results. A line
``-- @include NAME`` puts ``include/NAME.lua`` in its place. Redis keeps scripts by their SHA-1; redis-py
sends the text again when a server does not know it (after a restart, say).
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from previewops.keys import Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)

Argument: TypeAlias = str | bytes | int | float


class ScriptName(StrEnum):
    """Every script there is."""

    SUBMIT = "submit"
    CLAIM = "claim"
    FINISH = "finish"
    RETRY = "retry"
    BURY = "bury"
    RELEASE = "release"
    RENEW = "renew"
    HEARTBEAT = "heartbeat"
    MAINTAIN = "maintain"
    RELEASE_WORKER = "release_worker"
    RECLAIM = "reclaim"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    REQUEUE = "requeue"
    DISCARD = "discard"
    RECORD_EVENT = "record_event"
    SNAPSHOT = "snapshot"


@cache
def script_text(name: ScriptName) -> str:
    """The text of a script with its includes put in."""
    folder = files("previewops.lua")
    text = folder.joinpath(f"{name.value}.lua").read_text("utf-8")

    def put_in(match: re.Match[str]) -> str:
        return folder.joinpath("include", f"{match.group(1)}.lua").read_text("utf-8")

    return _INCLUDE.sub(put_in, text)


class Scripts:
    """The scripts of one queue on one connection pool."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = [keys.schedule]
        self._prelude = keys.lua_prelude()
        self._scripts: dict[ScriptName, AsyncScript] = {}

    async def run(self, name: ScriptName, *args: Argument) -> Any:
        """Calls a script with the queue's keys.

        Raises:
            redis.exceptions.RedisError: whatever the connection or the server says.
        """
        script = self._scripts.get(name)
        if script is None:
            text = self._prelude + script_text(name)
            script = self._scripts[name] = self._redis.register_script(text)
        return await script(keys=self._keys, args=args)
