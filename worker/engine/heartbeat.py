"""The worker's heartbeat: renews its leases, does the queue's upkeep, and lets go of what is no longer its own.

A lease is timed by the Redis server. A worker that cannot reach the server times, by its own monotonic clock and
from before the last renewal was sent, when its leases have ended for all it knows, and stops those jobs.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from previewops.clock import Rng, iso_from_ms
from previewops.queue.leases import Leases
from previewops.settings import Settings
from previewops.tasks import cancel_and_wait
from previewops.worker.engine.execution import JobRun, StopReason
from previewops.worker.engine.redis_retry import is_temporary, retry_delay_s

log = structlog.get_logger()


class Heartbeat:
    """Beats for one worker. ``runs`` is the worker's own mapping, by token; ``about`` what it says of itself."""

    def __init__(
        self,
        leases: Leases,
        settings: Settings,
        runs: Mapping[str, JobRun],
        read_status: Callable[[], dict[str, Any]],
        rng: Rng,
    ) -> None:
        self._leases = leases
        self._runs = runs
        self._read_status = read_status
        self._rng = rng
        self._interval_s = settings.heartbeat_ms / 1000
        self._lease_s = settings.lease_ms / 1000
        self.renewed_at = time.monotonic()

    async def run(self) -> None:
        """Renews the leases and does upkeep, every PREVIEW_HEARTBEAT_MS; lets go of jobs whose lease is lost.

        Raises:
            Exception: an error that trying again cannot heal.
        """
        failures = 0
        while True:
            try:
                await self._await_upkeep(asyncio.create_task(self._upkeep()))
                failures = 0
            except Exception as error:
                if not is_temporary(error):
                    raise
                failures += 1
                self.stop_expired_runs()
            interval_s = self._interval_s
            await asyncio.sleep(min(interval_s, retry_delay_s(failures, self._rng)) if failures else interval_s)

    async def send(self) -> None:
        """Says that the worker lives and how it is, renews its leases, and lets go of those that are lost.

        It logs when the queue is not the one that it knew.
        """
        # By token, so by age: of two claims of one job at most the later one holds.
        running = sorted(
            (run for run in self._runs.values() if run.stop_reason is None),
            key=lambda run: int(run.claim.token),
        )
        by_id: dict[str, deque[JobRun]] = defaultdict(deque)
        for run in running:
            by_id[run.claim.job_id].append(run)
        reply = await self._leases.heartbeat(
            json.dumps(self._read_status()), [(run.claim, run.progress, run.phase) for run in running]
        )
        if reply.previous_born_us is not None:
            log.error(
                "queue.replaced",
                knew=iso_from_ms(reply.previous_born_us // 1000),
                found=iso_from_ms(reply.queue_born_us // 1000),
                jobs=len(reply.lost_job_ids),
            )
        for job_id in reply.lost_job_ids:
            # One that has ended meanwhile is settling, and so is left alone.
            by_id[job_id].popleft().stop(StopReason.LEASE_LOST)

    async def _upkeep(self) -> None:
        sent = time.monotonic()
        await self.send()
        self.renewed_at = sent
        await self._leases.maintain()

    async def _await_upkeep(self, upkeep: asyncio.Task[None]) -> None:
        """Waits for the upkeep, and lets go of jobs whose leases end meanwhile for all we know.

        The calls are left to their own timeouts: a connection that is given up in its handshake would later
        answer the wrong call.
        """
        try:
            while not (await asyncio.wait({upkeep}, timeout=self._interval_s))[0]:
                self.stop_expired_runs()
            await upkeep
        finally:
            await cancel_and_wait([upkeep])

    def stop_expired_runs(self) -> None:
        """Stops the jobs that were neither claimed nor renewed within a lease's time."""
        expired_before = time.monotonic() - self._lease_s
        if self.renewed_at > expired_before:
            return
        for run in list(self._runs.values()):
            if run.started <= expired_before:
                run.stop(StopReason.LEASE_LOST)
