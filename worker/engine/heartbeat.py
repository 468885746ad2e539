"""The worker's heartbeat: renews its leases, maintains the queue, and stops runs whose lease was lost.

The Redis server times leases. A worker that cannot reach it stops a run, by its own monotonic clock, once a lease's
duration has passed since it sent the last answered renewal.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from previewops.clock import Rng, iso_from_ms
from previewops.queue.leases import HeartbeatReply, Leases
from previewops.redis_server.connection import stored_data_error
from previewops.settings import Settings
from previewops.tasks import cancel_and_wait
from previewops.worker.engine.execution import JobRun, StopReason
from previewops.worker.engine.redis_retry import REDIS_BACKOFF_S, FailureLog, is_survivable, is_temporary

log = structlog.get_logger()


IDLE_MAINTENANCE = 1.9
"""Heartbeat intervals without a maintenance step of any worker, after which a worker without runs does one.

Below 2, so that a worker alone runs it at each second heartbeat although clocks round.
"""


class Heartbeat:
    """Heartbeat of one worker. ``runs`` is the worker's mapping, by token; ``read_status`` returns its status.

    ``report_ended`` reports what the worker has completed since the last call.
    """

    def __init__(
        self,
        leases: Leases,
        settings: Settings,
        runs: Mapping[str, JobRun],
        read_status: Callable[[], dict[str, Any]],
        *,
        rng: Rng,
        report_ended: Callable[[], Awaitable[None]],
    ) -> None:
        self._leases = leases
        self._runs = runs
        self._read_status = read_status
        self._rng = rng
        self._report_ended = report_ended
        self._interval_s = settings.heartbeat_ms / 1000
        self._lease_s = settings.lease_ms / 1000
        self.renewed_at = time.monotonic()

    async def run(self) -> None:
        """Renews leases, maintains the queue and stops lost runs, every PREVIEW_HEARTBEAT_MS.

        Raises:
            Exception: an error that a retry cannot fix.
        """
        failures = 0
        failed_calls = FailureLog()
        # Workers that start together would find maintenance due at the same moment, and all run it.
        await asyncio.sleep(self._rng.uniform(0, self._interval_s))
        while True:
            try:
                await self._await_maintenance(asyncio.create_task(self._renew_and_maintain()))
                failures = 0
                failed_calls.reset()
            except Exception as error:
                if not is_survivable(error):
                    raise
                failures += 1
                # The claim loop logs that Redis is unavailable. While the worker is idle, it reads no damaged key.
                if not is_temporary(error) or stored_data_error(error) is not None:
                    failed_calls.add(error)
                self.stop_expired_runs()
            interval_s = self._interval_s
            await asyncio.sleep(
                min(interval_s, REDIS_BACKOFF_S.delay(failures, self._rng)) if failures else interval_s
            )

    async def send(self) -> HeartbeatReply:
        """Sends one heartbeat with the worker's status, renews its leases, and stops runs whose lease was lost.

        Logs when the queue was replaced by another one of the same name.
        """
        # By token, hence by age: of two claims of one job, only the later one can hold.
        running = sorted(
            (run for run in self._runs.values() if run.stop_reason is None),
            key=lambda run: int(run.claim.token),
        )
        by_id: dict[str, deque[JobRun]] = defaultdict(deque)
        for run in running:
            by_id[run.claim.job_id].append(run)
        reply = await self._leases.heartbeat(
            json.dumps(self._read_status()),
            [(run.claim, run.progress, run.phase) for run in running if not run.waits_for_slot],
            [run.claim for run in running if run.waits_for_slot],
        )
        if reply.previous_born_us is not None:
            log.error(
                "queue.replaced",
                knew=iso_from_ms(reply.previous_born_us // 1000),
                found=iso_from_ms(reply.queue_born_us // 1000),
                jobs=len(reply.lost_job_ids),
            )
        for job_id in reply.lost_job_ids:
            # A run that has ended in between is being recorded, and ignores this.
            by_id[job_id].popleft().stop(StopReason.LEASE_LOST)
        return reply

    async def _renew_and_maintain(self) -> None:
        sent = time.monotonic()
        reply = await self.send()
        self.renewed_at = sent
        await self._report_ended()
        # Idle workers share maintenance: its cost does not grow with their number.
        idle_limit_ms = IDLE_MAINTENANCE * self._interval_s * 1000
        if self._runs or reply.maintained_ms is None or reply.maintained_ms >= idle_limit_ms:
            await self._leases.maintain()
            regrouped = await self._leases.regroup()
            if regrouped:
                log.info("dead-letters.regrouped", letters=regrouped)

    async def _await_maintenance(self, maintenance: asyncio.Task[None]) -> None:
        """Awaits the maintenance, and stops runs whose leases may expire while it waits.

        The calls have their own timeouts. A connection cancelled during its handshake would later return the
        reply of another call.
        """
        try:
            while not (await asyncio.wait({maintenance}, timeout=self._interval_s))[0]:
                self.stop_expired_runs()
            await maintenance
        finally:
            await cancel_and_wait([maintenance])

    def stop_expired_runs(self) -> None:
        """Stops runs that were neither claimed nor renewed within the duration of a lease."""
        expired_before = time.monotonic() - self._lease_s
        if self.renewed_at > expired_before:
            return
        for run in list(self._runs.values()):
            if run.claimed_at <= expired_before:
                run.stop(StopReason.LEASE_LOST)
