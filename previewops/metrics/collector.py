"""Collects the metrics from Redis, at a cost independent of queue depth and dead letters."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from previewops.clock import Clock, SystemClock
from previewops.health.collect import measure_latency_ms
from previewops.metrics.lifetime_counters import LifetimeCounters
from previewops.queue.keys import Keys
from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS, UnreadableKeys
from previewops.redis_server.connection import is_wrong_type
from previewops.redis_server.failures import unavailable_reason
from previewops.settings import Settings
from previewops.snapshot.model import Snapshot
from previewops.snapshot.reader import SnapshotReader


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """Values from Redis. ``latency_ms`` is None if the TIME command is forbidden.

    ``unreadable`` are the damaged keys of the snapshot and of the lifetime counters.
    """

    snapshot: Snapshot
    totals: LifetimeCounters
    latency_ms: float | None
    unreadable: UnreadableKeys = NO_UNREADABLE_KEYS


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """Result of one collection: ``metrics``, or None with the ``reason`` why Redis cannot be used."""

    metrics: QueueMetrics | None
    reason: str = ""


async def collect(redis: Redis, settings: Settings, *, clock: Clock | None = None) -> ScrapeResult:
    """Collects the metrics in three round trips. An unavailable Redis is a result, not an error.

    Args:
        clock: measures the latency of Redis.

    Raises:
        redis.exceptions.RedisError: Redis replies with another error.
    """
    try:
        snapshot = await SnapshotReader(redis, settings).read(check_records=True)
        totals, damaged = await _read_totals(redis, Keys(settings.queue_name).totals)
        latency_ms = await measure_latency_ms(redis, clock or SystemClock())
        return ScrapeResult(QueueMetrics(snapshot, totals, latency_ms, snapshot.unreadable + damaged))
    except (RedisError, OSError) as error:
        reason = unavailable_reason(error)
        if reason is None:
            raise
        return ScrapeResult(None, reason)


async def _read_totals(redis: Redis, key: str) -> tuple[LifetimeCounters, UnreadableKeys]:
    damaged = UnreadableKeys(1, (key,))
    try:
        raw = await redis.execute_command("HGETALL", key)
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        return LifetimeCounters({}), damaged
    totals = LifetimeCounters.parse(raw)
    return totals, damaged if totals.damaged else NO_UNREADABLE_KEYS
