"""Metrics of the queue's current state."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from previewops.metrics.collector import QueueMetrics
from previewops.metrics.families import FamilyBuilder
from previewops.settings import Settings


def queue_metrics(metrics: QueueMetrics, settings: Settings) -> Iterator[Metric]:
    """Yields depth, age, pause, limit, data loss and the latency of Redis."""
    snapshot, gauge = metrics.snapshot, FamilyBuilder(settings.queue_name).gauge
    yield gauge("preview_queue_waiting", "Waiting jobs.", snapshot.waiting, "priority")
    yield gauge(
        "preview_queue_oldest_waiting_seconds",
        "Time since the oldest waiting job was submitted or became due; 0 without waiting jobs.",
        {priority: age_ms / 1000 for priority, age_ms in snapshot.oldest_wait_ms.items()},
        "priority",
    )
    text = "Delayed jobs: in backoff, or deferred by their producer."
    yield gauge("preview_queue_delayed", text, snapshot.delayed)
    yield gauge("preview_queue_active", "Running jobs.", snapshot.active)
    yield gauge("preview_queue_dead", "Dead letters.", snapshot.dead)
    text = "Maximum of waiting and delayed jobs: PREVIEW_QUEUE_MAX of the process that serves the metrics."
    yield gauge("preview_queue_limit", text, settings.queue_max)
    yield gauge("preview_queue_paused", "1 while the queue is paused.", snapshot.paused)
    text = "Accepted jobs that are in no state, because keys were deleted or evicted."
    yield gauge("preview_queue_unaccounted", text, max(0, snapshot.unaccounted))
    text = "Stored keys that cannot be read, in part or at all; `previewops doctor` lists and repairs them."
    yield gauge("preview_queue_unreadable", text, metrics.unreadable.count)
    text = "1 after workers detect that Redis has lost the queue's data, until it is acknowledged."
    yield gauge("preview_queue_data_lost", text, snapshot.data_lost_ms is not None)
    if metrics.latency_ms is not None:
        yield gauge("preview_redis_latency_seconds", "Latency of Redis.", metrics.latency_ms / 1000)
