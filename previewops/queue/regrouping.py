"""Groups stored dead letters by today's fingerprints, a bounded step at a time.

Earlier versions computed fingerprints from messages: one cause with file names of any shape made dozens of groups.
A worker compares all letters once, and later those that died since: a worker of an earlier version may store them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from previewops.queue.fingerprint import fingerprint, masked_fingerprint, stored_template
from previewops.queue.keys import Keys
from previewops.queue.records import parse_history
from previewops.queue.scripts import ScriptName, Scripts

if TYPE_CHECKING:
    from redis.asyncio import Redis

STEP_LETTERS = 200
"""Letters compared in one step: a few ms of Redis."""

_FIELDS = ("state", "class", "code", "reason", "fingerprint")


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """The stored fields of a dead letter that its group depends on, and its last attempt's traceback."""

    job_id: bytes
    error_class: str
    code: str
    reason: str
    fingerprint: str
    traceback: str | None

    @property
    def new_fingerprint(self) -> str:
        """Today's fingerprint of a letter of an earlier version; of another letter the stored one."""
        if self.fingerprint != masked_fingerprint(self.error_class, self.code, self.reason):
            return self.fingerprint
        template = stored_template(self.code, self.reason, self.traceback)
        return fingerprint(self.error_class, self.code, template)


class Regrouping:
    """The regrouping of one queue, as one worker does it."""

    def __init__(self, redis: Redis, keys: Keys, scripts: Scripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self.done = False
        """Whether every letter that was stored when the worker started has been compared."""

    async def step(self) -> int:
        """Compares the next letters, oldest first; returns how many moved to another group."""
        since = await self._redis.execute_command("HGET", self._keys.meta, "regrouped")
        lowest = since.decode() if since is not None and since.isdigit() else "-inf"
        found = await self._redis.zrangebyscore(
            self._keys.dead, lowest, "+inf", start=0, num=STEP_LETTERS, withscores=True
        )
        if not found:
            self.done = True
            return 0
        last_ms = int(found[-1][1])
        if len(found) < STEP_LETTERS:
            self.done = True
        elif str(last_ms) == lowest:
            last_ms += 1  # more letters of one ms than a step: the others keep their groups
        letters = await self._read([job_id for job_id, _ in found])
        args: list[Any] = [last_ms]
        for letter in letters:
            if letter.new_fingerprint != letter.fingerprint:
                args += (letter.job_id, letter.fingerprint, letter.new_fingerprint)
        return int(await self._scripts.run(ScriptName.REGROUP, *args))

    async def _read(self, job_ids: list[bytes]) -> list[StoredLetter]:
        keys = self._keys
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.execute_command("HMGET", keys.job_prefix.encode() + job_id, *_FIELDS)
                pipe.execute_command("LRANGE", keys.attempts_prefix.encode() + job_id, 0, -1)
            replies = await pipe.execute(raise_on_error=False)
        letters = []
        for job_id, fields, attempts in zip(job_ids, replies[::2], replies[1::2], strict=True):
            if isinstance(fields, Exception) or fields[0] != b"dead":
                continue
            error_class, code, reason, stored = (
                (value or b"").decode("utf-8", "replace") for value in fields[1:]
            )
            history = () if isinstance(attempts, Exception) else parse_history(attempts)
            traceback = history[-1].traceback if history else None
            letters.append(StoredLetter(job_id, error_class, code, reason, stored, traceback))
        return letters
