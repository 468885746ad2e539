"""Looks at Redis once in a while, and turns what the workers say there into plain values."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from previewops.snapshot.fleet import SupervisorState
from previewops.snapshot.model import Snapshot
from previewops.snapshot.reader import SnapshotReader
from previewops.supervisor.autoscaling import Load
from previewops.supervisor.commands import CommandChannel, FleetCommand
from previewops.supervisor.host import HostMetrics

RATE_WINDOW_S = 10.0
RENDER_BYTES = 128 * 1024 * 1024
"""What a render process is reckoned to need, for the head-room of scaling up."""
_ENDS = ("completed", "died", "retried", "crashed")


@dataclass(frozen=True, slots=True)
class WorkerObservation:
    """One worker as it last said it is. ``heartbeat_ms`` is None when Redis knows nothing of it.

    ``rss_bytes`` is without its render processes: those are replaced by the worker itself.
    """

    heartbeat_ms: int | None
    rss_bytes: int
    jobs: int
    oldest_run_s: float


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one look brought. ``at`` is monotonic s; ``workers`` has an entry for every worker asked about."""

    polled_at: float
    commands: tuple[FleetCommand, ...]
    workers: dict[str, WorkerObservation]
    load: Load


class RedisPoller:
    """Publishes the supervisor's state and learns of workers, orders and load, in two round trips."""

    def __init__(
        self, channel: CommandChannel, snapshots: SnapshotReader, host_metrics: HostMetrics, *, slots: int
    ) -> None:
        self._book = channel
        self._snapshots = snapshots
        self._gauge = host_metrics
        self._slots = slots
        self._ended: deque[tuple[float, int]] = deque()

    async def poll(self, state: SupervisorState, worker_ids: Sequence[str], now: float) -> PollResult:
        """Raises what redis-py raises."""
        reply = await self._book.report(state, worker_ids)
        snapshot = await self._snapshots.read()
        seen = {view.worker_id: view for view in snapshot.workers}
        workers = {}
        for worker_id in worker_ids:
            view = seen.get(worker_id)
            workers[worker_id] = WorkerObservation(
                heartbeat_ms=None if view is None else view.heartbeat_ms,
                rss_bytes=0 if view is None else view.own_rss_bytes,
                jobs=0 if view is None else view.completed + view.failed,
                oldest_run_s=reply.oldest_run_s[worker_id],
            )
        return PollResult(now, reply.commands, workers, self._load(snapshot, frozenset(worker_ids), now))

    def _load(self, snapshot: Snapshot, ours: frozenset[str], now: float) -> Load:
        own = [view.own_rss_bytes for view in snapshot.workers if view.worker_id in ours]
        return Load(
            waiting=sum(snapshot.waiting.values()),
            active=snapshot.active,
            rate=self._rate(sum(snapshot.counters[name] for name in _ENDS), now),
            slots=self._slots,
            slots_elsewhere=sum(
                view.slots
                for view in snapshot.workers
                if view.worker_id not in ours and view.state != "draining"
            ),
            paused=snapshot.paused,
            cpu=self._gauge.cpu(),
            free_bytes=self._gauge.free_bytes(),
            worker_bytes=max(own, default=0) + self._slots * RENDER_BYTES,
        )

    def _rate(self, ended: int, now: float) -> float:
        """Jobs ended per second over the last RATE_OVER_S."""
        self._ended.append((now, ended))
        while len(self._ended) > 2 and self._ended[1][0] <= now - RATE_WINDOW_S:
            self._ended.popleft()
        since, before = self._ended[0]
        return max(0.0, (ended - before) / (now - since)) if now > since else 0.0
