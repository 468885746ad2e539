"""Releases the leases of workers that exited without doing so."""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from previewops.clock import Clock
from previewops.queue.leases import Leases
from previewops.redis_server.connection import describe_failure
from previewops.supervisor.actions import Action, LogAction

RELEASE_RETRY_S = 0.2
LATE_RETRY_S = 2.0
"""Interval once the leases have expired: then a heartbeat of any worker releases the jobs too."""


class LeaseReleaser:
    """Releases leases. ``may_retry`` is set to False when the supervisor stops: it does not wait for Redis then."""

    def __init__(self, leases: Leases, *, clock: Clock, log_action: LogAction) -> None:
        self.may_retry = True
        self._leases = leases
        self._clock = clock
        self._log_action = log_action

    async def release(self, worker_id: str, reason: str, lease_ms: int) -> None:
        """Requeues the jobs of a worker. While Redis is unavailable it retries: no other worker may be left."""
        deadline = self._clock.monotonic() + lease_ms / 1000
        late = False
        while True:
            try:
                await self._leases.deregister_worker(worker_id, f"the worker died: {reason}", lost=True)
            except (RedisError, OSError) as error:
                if not late and (self._clock.monotonic() >= deadline or not self.may_retry):
                    late = True
                    message = f"the leases of {worker_id} cannot be released ({describe_failure(error)})"
                    self._log_action(Action.LEASES_HELD, f"{message}; its jobs wait until they expire")
                if not self.may_retry:
                    return
                await asyncio.sleep(LATE_RETRY_S if late else RELEASE_RETRY_S)
                continue
            if late:
                self._log_action(Action.LEASES_RELEASED, f"the leases of {worker_id} are released")
            return
