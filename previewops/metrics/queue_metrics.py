"""What the queue holds now."""

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
    """Depth, age, pause, limits, and what Redis has to be watched for."""
    snapshot, name = figures.snapshot, settings.queue_name
    waiting = [((priority.value,), count) for priority, count in snapshot.waiting.items()]
    yield gauge("preview_queue_waiting", "Jobs that wait for a worker.", name, waiting, CLASS)
    ages = [((priority.value,), age_ms / 1000) for priority, age_ms in snapshot.oldest_wait_ms.items()]
    said = "How long ago the oldest waiting job was submitted or due, 0 without one."
    yield gauge("preview_queue_oldest_waiting_seconds", said, name, ages, CLASS)
    for metric, said, figure in (
        ("preview_queue_delayed", "Jobs that back off, or that their producer deferred.", snapshot.delayed),
        ("preview_queue_active", "Jobs that run.", snapshot.active),
        ("preview_queue_dead", "Dead letters.", snapshot.dead),
        (
            "preview_queue_limit",
            "Jobs that may wait or back off, as PREVIEW_QUEUE_MAX says where these figures are told.",
            settings.queue_max,
        ),
        ("preview_queue_paused", "1 while workers are to take no jobs.", snapshot.paused),
        (
            "preview_queue_unaccounted",
            "Accepted jobs that are in no state: somebody deleted keys, or Redis evicted some.",
            max(0, snapshot.unaccounted),
        ),
        (
            "preview_queue_data_lost",
            "1 from when workers notice that Redis has lost the queue's data, until it is acknowledged.",
            snapshot.data_lost_ms is not None,
        ),
    ):
        yield gauge(metric, said, name, [((), figure)])
    if figures.latency_ms is not None:
        said = "How long Redis took to answer."
        yield gauge("preview_redis_latency_seconds", said, name, [((), figures.latency_ms / 1000)])
