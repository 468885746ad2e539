"""Releases the leases of workers that exited without doing so."""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from previewops.clock import Clock
from previewops.queue.leases import Leases
from previewops.supervisor.pool import LogAction

RELEASE_RETRY_S = 0.2


class LeaseReleaser:
    """Releases leases. ``may_retry`` is set to False when the supervisor stops: it does not wait for Redis then."""

    def __init__(self, leases: Leases, *, clock: Clock, log_action: LogAction) -> None:
        self.may_retry = True
        self._leases = leases
        self._clock = clock
        self._log_action = log_action

    async def release(self, worker_id: str, reason: str, lease_ms: int) -> None:
        """Requeues the jobs of a worker. While Redis is unavailable it retries until their leases have expired."""
        deadline = self._clock.monotonic() + lease_ms / 1000
        while True:
            try:
                await self._leases.deregister_worker(worker_id, f"the worker died: {reason}", lost=True)
            except (RedisError, OSError) as error:
                if self._clock.monotonic() < deadline and self.may_retry:
                    await asyncio.sleep(RELEASE_RETRY_S)
                    continue
                self._log_action(
                    f"the leases of {worker_id} could not be released ({error}); its jobs wait until they expire"
                )
            return
