"""Polls Redis for the state of the workers, for commands, and for the load of the queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from previewops.snapshot.fleet import SupervisorState
from previewops.supervisor.autoscaling import Load
from previewops.supervisor.commands import CommandChannel, FleetCommand, QueueLoad
from previewops.supervisor.host import HostMetrics

RATE_WINDOW_S = 10.0
RENDER_BYTES = 128 * 1024 * 1024
"""Estimated memory of a render process, for the head-room of a further worker."""


@dataclass(frozen=True, slots=True)
class WorkerObservation:
    """A worker as of its last heartbeat. ``heartbeat_ms`` is None when Redis holds none.

    ``rss_bytes`` is without its render processes, which the worker replaces itself.
    """

    heartbeat_ms: int | None
    rss_bytes: int
    jobs: int
    oldest_run_s: float


@dataclass(frozen=True, slots=True)
class PollResult:
    """Result of one poll at ``polled_at`` (monotonic s).

    ``workers`` has an entry for every id that was requested; none while the index of the workers is damaged.
    """

    polled_at: float
    commands: tuple[FleetCommand, ...]
    workers: dict[str, WorkerObservation]
    load: Load


class RedisPoller:
    """Publishes the supervisor's state and reads workers, commands and load, in one round trip."""

    def __init__(self, channel: CommandChannel, host_metrics: HostMetrics, *, job_slots: int) -> None:
        self._channel = channel
        self._host_metrics = host_metrics
        self._job_slots = job_slots
        self._ended: deque[tuple[float, int]] = deque()

    async def poll(self, state: SupervisorState, worker_ids: Sequence[str], now: float) -> PollResult:
        """Polls once. Raises redis-py's errors."""
        reply = await self._channel.report(state, worker_ids)
        states = {worker.worker_id: worker for worker in reply.load.workers or ()}
        workers = {}
        for worker_id in () if reply.load.workers is None else worker_ids:
            worker = states.get(worker_id)
            workers[worker_id] = WorkerObservation(
                heartbeat_ms=None if worker is None else worker.heartbeat_ms,
                rss_bytes=0 if worker is None else worker.own_rss_bytes,
                jobs=0 if worker is None else worker.completed + worker.failed,
                oldest_run_s=reply.oldest_run_s[worker_id],
            )
        return PollResult(now, reply.commands, workers, self._load(reply.load, frozenset(worker_ids), now))

    def _load(self, load: QueueLoad, own_ids: frozenset[str], now: float) -> Load:
        workers = load.workers or ()
        own_rss = [worker.own_rss_bytes for worker in workers if worker.worker_id in own_ids]
        return Load(
            waiting=load.waiting,
            active=load.active,
            rate=self._rate(load.ended, now),
            job_slots=self._job_slots,
            job_slots_elsewhere=sum(
                worker.job_slots
                for worker in workers
                if worker.worker_id not in own_ids and worker.state != "draining"
            ),
            paused=load.paused,
            cpu=self._host_metrics.cpu(),
            free_bytes=self._host_metrics.free_bytes(),
            worker_bytes=max(own_rss, default=0) + self._job_slots * RENDER_BYTES,
        )

    def _rate(self, ended: int, now: float) -> float:
        self._ended.append((now, ended))
        while len(self._ended) > 2 and self._ended[1][0] <= now - RATE_WINDOW_S:
            self._ended.popleft()
        since, before = self._ended[0]
        return max(0.0, (ended - before) / (now - since)) if now > since else 0.0
