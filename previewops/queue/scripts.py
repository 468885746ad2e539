"""Loads the Lua scripts and calls them.

A script is one file in ``previewops/lua`` whose header names its KEYS, ARGV and results. A line
``-- @include NAME`` puts ``include/NAME.lua`` in its place. Redis keeps scripts by their SHA-1; a server that
does not know one (after a restart, say) is sent the text.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from previewops.queue.keys import Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis

_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)

ScriptArgument: TypeAlias = str | bytes | int | float


class ScriptName(StrEnum):
    """Every script there is."""

    SUBMIT = "submit"
    CLAIM = "claim"
    FINISH = "finish"
    RETRY = "retry"
    DEAD_LETTER = "bury"
    RELEASE_CLAIMS = "release"
    RENEW = "renew"
    HEARTBEAT = "heartbeat"
    MAINTAIN = "maintain"
    DEREGISTER_WORKER = "release_worker"
    RELEASE_UNKNOWN_CLAIMS = "reclaim"
    BUMP_FENCING_TOKEN = "advance"  # noqa: S105 - the name of a script
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    REQUEUE = "requeue"
    DISCARD = "discard"
    RECORD_EVENT = "record_event"
    READ_JOB = "read_job"
    LIST_JOBS = "list_jobs"
    LIST_DEAD_LETTERS = "list_dead"
    DEAD_LETTER_GROUPS = "dead_groups"
    REPLACE_PAYLOAD = "amend"
    SNAPSHOT = "snapshot"
    ACKNOWLEDGE_DATA_LOSS = "acknowledge_loss"
    SUPERVISOR_HEARTBEAT = "report"
    SEND_COMMAND = "order"
    ACKNOWLEDGE_COMMAND = "acknowledge"
    DEREGISTER_SUPERVISOR = "end_supervisor"


@cache
def script_text(name: ScriptName) -> str:
    """The text of a script with its includes put in."""
    folder = files("previewops.queue.lua")
    text = folder.joinpath(f"{name.value}.lua").read_text("utf-8")

    def put_in(match: re.Match[str]) -> str:
        return folder.joinpath("include", f"{match.group(1)}.lua").read_text("utf-8")

    return _INCLUDE.sub(put_in, text)


@dataclass(frozen=True, slots=True)
class LoadedScript:
    """A script as it is sent: its text, the SHA-1 that Redis knows it by, and its one key."""

    text: str
    sha: str
    key: str


class Scripts:
    """The scripts of one queue on one connection pool."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.schedule
        self._prelude = keys.lua_prelude()
        self._loaded: dict[ScriptName, LoadedScript] = {}

    def loaded(self, name: ScriptName) -> LoadedScript:
        """The script of that name for this queue."""
        script = self._loaded.get(name)
        if script is None:
            text = self._prelude + script_text(name)
            sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            script = self._loaded[name] = LoadedScript(text, sha, self._key)
        return script

    async def run(self, name: ScriptName, *args: ScriptArgument) -> Any:
        """Calls a script with the queue's keys.

        Raises:
            redis.exceptions.RedisError: whatever the connection or the server says.
        """
        from redis.exceptions import NoScriptError  # noqa: PLC0415 - start-up time of commands without Redis

        script = self.loaded(name)
        try:
            return await self._redis.execute_command("EVALSHA", script.sha, 1, script.key, *args)
        except NoScriptError:
            # A server that restarted does not know it; EVAL makes it known again.
            return await self._redis.execute_command("EVAL", script.text, 1, script.key, *args)
