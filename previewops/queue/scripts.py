"""Loads and runs the Lua scripts.

A script is one file in ``previewops/queue/lua`` whose header documents ARGV and results. KEYS[1] is always the
queue; scripts use all keys by name (``Keys.lua_names``). A line ``-- @include NAME`` is replaced by
``include/NAME.lua``, once. Redis caches scripts by SHA-1; a server that does not have one (after a restart, for
example) receives the text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from previewops.queue.keys import ARQ_GUARD, ARQ_GUARD_SCORE, Keys
from previewops.redis_server.failures import needs_new_connection

if TYPE_CHECKING:
    from redis.asyncio import Redis

_INCLUDE = re.compile(r"^-- @include (\w+)\n", re.MULTILINE)
_KEY_NAME = re.compile(r"\b[KP]_[A-Z][A-Z_]*\b")

_GUARD = "".join(f"\\{byte}" for byte in ARQ_GUARD)
_PRELUDE = f"local ARQ_GUARD, ARQ_GUARD_SCORE = '{_GUARD}', '{ARQ_GUARD_SCORE}'\n"

ScriptArgument: TypeAlias = str | bytes | int | float


def decode_pairs(flat: Sequence[bytes]) -> dict[str, str]:
    """Decodes a reply of alternating names and values."""
    texts = [part.decode("utf-8", "replace") for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


class ScriptName(StrEnum):
    """All scripts, by file name."""

    CHECK_KEYS = auto()
    SUBMIT = auto()
    SUBMIT_WITH_OPTIONS = auto()
    CLAIM = auto()
    FINISH = auto()
    RETRY = auto()
    DEAD_LETTER = auto()
    RELEASE_CLAIMS = auto()
    RENEW = auto()
    HEARTBEAT = auto()
    MAINTAIN = auto()
    DEREGISTER_WORKER = auto()
    RELEASE_UNKNOWN_CLAIMS = auto()
    BUMP_FENCING_TOKEN = auto()
    CANCEL = auto()
    CANCEL_MATCHING = auto()
    MATCH_JOBS = auto()
    BEGIN_DELETION = auto()
    FINISH_DELETION = auto()
    RECORD_ERASURE = auto()
    RESCHEDULE = auto()
    RUN_AGAIN = auto()
    PAUSE = auto()
    RESUME = auto()
    REQUEUE = auto()
    DISCARD = auto()
    RECORD_EVENT = auto()
    READ_JOB = auto()
    LIST_JOBS = auto()
    LIST_DEAD_LETTERS = auto()
    DEAD_LETTER_GROUPS = auto()
    REPLACE_PAYLOAD = auto()
    SNAPSHOT = auto()
    BREAKDOWN = auto()
    ACKNOWLEDGE_DATA_LOSS = auto()
    SILENCE = auto()
    SUPERVISOR_HEARTBEAT = auto()
    SEND_COMMAND = auto()
    ACKNOWLEDGE_COMMAND = auto()
    DEREGISTER_SUPERVISOR = auto()
    INSPECT_JOBS = auto()
    REPAIR_JOB = auto()
    REPAIR_KEY = auto()
    REPAIR_FIELDS = auto()
    REPAIR_GROUP = auto()
    REPAIR_MEMBER = auto()
    CLAIM_WEBHOOKS = auto()
    FINISH_WEBHOOK = auto()
    LIST_WEBHOOKS = auto()
    WEBHOOK_BACKLOG = auto()
    RESEND_WEBHOOKS = auto()
    REPAIR_ACCOUNTING = auto()
    READ_BATCH = auto()
    CLOSE_BATCH = auto()
    CANCEL_BATCH = auto()
    LIST_BATCH_JOBS = auto()
    REPAIR_BATCH = auto()
    REGROUP = auto()
    RECORD_ENDED = auto()
    SET_PROJECT_LIMITS = auto()
    PROJECT_LOADS = auto()
    REPAIR_TURNS = auto()
    REPAIR_ACTIVE = auto()


@cache
def script_text(name: ScriptName) -> str:
    """Returns the text of a script with its includes, each of them once."""
    folder = files("previewops.queue.lua")
    included: set[str] = set()

    def expand(text: str) -> str:
        return _INCLUDE.sub(include, text)

    def include(match: re.Match[str]) -> str:
        if match[1] in included:
            return ""
        included.add(match[1])
        return expand(folder.joinpath("include", f"{match[1]}.lua").read_text("utf-8"))

    return expand(folder.joinpath(f"{name.value}.lua").read_text("utf-8"))


def text_with_keys(script: str, keys: Keys) -> str:
    """Returns the text of a script for one queue: with its keys in place of their names."""
    names = keys.lua_names()
    # settings.py limits queue names to 1 to 100 of A-Z a-z 0-9 - _ . so nothing needs escaping.
    return _PRELUDE + _KEY_NAME.sub(lambda match: f"'{names[match[0]]}'", script)


@dataclass(frozen=True, slots=True)
class LoadedScript:
    """A script as sent: its text, its SHA-1 and its one key."""

    text: str
    sha: str
    key: str


class Scripts:
    """The scripts of one queue on one connection pool."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.schedule
        self._keys = keys
        self._loaded: dict[ScriptName, LoadedScript] = {}

    def loaded(self, name: ScriptName) -> LoadedScript:
        """Returns the script for this queue."""
        if name not in self._loaded:
            text = text_with_keys(script_text(name), self._keys)
            sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            self._loaded[name] = LoadedScript(text, sha, self._key)
        return self._loaded[name]

    async def run(self, name: ScriptName, *args: ScriptArgument) -> Any:
        """Runs a script with the queue's keys.

        A server that is not the primary rejects it before its first write. The pool then drops its connections, and
        the call is repeated once over a new one, which may lead to another server.

        Raises:
            redis.exceptions.RedisError: the connection or the server failed.
        """
        from redis.exceptions import ResponseError  # noqa: PLC0415 - start-up time of commands without Redis

        try:
            return await self._call(name, *args)
        except ResponseError as error:
            if not needs_new_connection(error):
                raise
        return await self._call(name, *args)

    async def _call(self, name: ScriptName, *args: ScriptArgument) -> Any:
        from redis.exceptions import NoScriptError  # noqa: PLC0415 - start-up time of commands without Redis

        script = self.loaded(name)
        try:
            return await self._redis.execute_command("EVALSHA", script.sha, 1, script.key, *args)
        except NoScriptError:
            return await self._redis.execute_command("EVAL", script.text, 1, script.key, *args)

    async def record_event(self, kind: str, fields: Mapping[str, str]) -> None:
        """Adds one event to the queue's stream."""
        await self.run(ScriptName.RECORD_EVENT, kind, *(part for pair in fields.items() for part in pair))
