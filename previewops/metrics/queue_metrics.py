"""Metrics of the queue's current state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from previewops.metrics.families import gauge

if TYPE_CHECKING:
    from previewops.metrics.collector import QueueMetrics
    from previewops.settings import Settings

CLASS = ("priority",)


def queue_metrics(figures: QueueMetrics, settings: Settings) -> Iterator[Metric]:
    """Yields depth, age, pause, limit, data loss and the latency of Redis."""
    snapshot, name = figures.snapshot, settings.queue_name
    waiting = [((priority.value,), count) for priority, count in snapshot.waiting.items()]
    yield gauge("preview_queue_waiting", "Waiting jobs.", name, waiting, CLASS)
    ages = [((priority.value,), age_ms / 1000) for priority, age_ms in snapshot.oldest_wait_ms.items()]
    said = "Time since the oldest waiting job was submitted or became due; 0 without waiting jobs."
    yield gauge("preview_queue_oldest_waiting_seconds", said, name, ages, CLASS)
    for metric, said, figure in (
        (
            "preview_queue_delayed",
            "Delayed jobs: in backoff, or deferred by their producer.",
            snapshot.delayed,
        ),
        ("preview_queue_active", "Running jobs.", snapshot.active),
        ("preview_queue_dead", "Dead letters.", snapshot.dead),
        (
            "preview_queue_limit",
            "Maximum of waiting and delayed jobs: PREVIEW_QUEUE_MAX of the process that serves the metrics.",
            settings.queue_max,
        ),
        ("preview_queue_paused", "1 while the queue is paused.", snapshot.paused),
        (
            "preview_queue_unaccounted",
            "Accepted jobs that are in no state, because keys were deleted or evicted.",
            max(0, snapshot.unaccounted),
        ),
        (
            "preview_queue_data_lost",
            "1 after workers detect that Redis has lost the queue's data, until it is acknowledged.",
            snapshot.data_lost_ms is not None,
        ),
    ):
        yield gauge(metric, said, name, [((), figure)])
    if figures.latency_ms is not None:
        said = "Latency of Redis."
        yield gauge("preview_redis_latency_seconds", said, name, [((), figures.latency_ms / 1000)])
