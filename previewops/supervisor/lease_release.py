"""Gives the jobs of dead workers back."""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from previewops.clock import Clock
from previewops.queue.leases import Leases
from previewops.supervisor.pool import LogAction

RELEASE_RETRY_S = 0.2


class LeaseReleaser:
    """``patient`` False: who stops does not wait for Redis."""

    def __init__(self, leases: Leases, *, clock: Clock, log_action: LogAction) -> None:
        self.may_retry = True
        self._leases = leases
        self._clock = clock
        self._tell = log_action

    async def release(self, worker_id: str, why: str, lease_ms: int) -> None:
        """Gives the jobs of a dead worker back. While Redis is away it keeps at it until the leases have ended."""
        deadline = self._clock.monotonic() + lease_ms / 1000
        while True:
            try:
                await self._leases.deregister_worker(worker_id, f"the worker died: {why}", lost=True)
            except (RedisError, OSError) as error:
                if self._clock.monotonic() < deadline and self.may_retry:
                    await asyncio.sleep(RELEASE_RETRY_S)
                    continue
                self._tell(f"the jobs of {worker_id} could not be given back ({error}); their leases end")
            return
