"""Reads out of Redis what the metrics tell of, at a cost that depends on neither depth nor dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from previewops.clock import Clock, SystemClock
from previewops.health.collect import measure_latency_ms
from previewops.metrics.lifetime_counters import LifetimeCounters
from previewops.queue.keys import Keys
from previewops.redis_server.connection import unavailable_reason
from previewops.snapshot.model import Snapshot
from previewops.snapshot.reader import SnapshotReader

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.settings import Settings


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """What Redis told. ``answer_ms`` is how long it takes to answer, None where asking is forbidden."""

    snapshot: Snapshot
    totals: LifetimeCounters
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """One look: ``figures``, or None and, in ``reason``, why Redis cannot be used."""

    metrics: QueueMetrics | None
    reason: str = ""


async def collect(redis: Redis, settings: Settings, *, clock: Clock | None = None) -> ScrapeResult:
    """Looks at a queue in three round trips; that Redis is away is a reading too.

    Args:
        clock: times the answer of Redis.

    Raises:
        redis.exceptions.RedisError: Redis answers, but what it has there is none of ours.
    """
    try:
        snapshot = await SnapshotReader(redis, settings).read()
        totals = LifetimeCounters.parse(
            await redis.execute_command("HGETALL", Keys(settings.queue_name).totals)
        )
        return ScrapeResult(
            QueueMetrics(snapshot, totals, await measure_latency_ms(redis, clock or SystemClock()))
        )
    except (RedisError, OSError) as error:
        reason = unavailable_reason(error)
        if reason is None:
            raise
        return ScrapeResult(None, reason)
