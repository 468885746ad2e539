"""Metrics in Prometheus' text format."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from redis.asyncio import Redis

from previewops import __version__
from previewops.build import build_id
from previewops.metrics.collector import QueueMetrics, ScrapeResult, collect
from previewops.metrics.families import FamilyBuilder
from previewops.metrics.fleet_metrics import fleet_metrics
from previewops.metrics.job_metrics import job_metrics
from previewops.metrics.legacy_names import legacy_metrics
from previewops.metrics.queue_metrics import queue_metrics
from previewops.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Media type of what :func:`scrape` returns: Prometheus' text format."""


class _ScrapeCollector(Collector):
    def __init__(self, metrics: QueueMetrics | None, settings: Settings, *, legacy_names: bool) -> None:
        self._metrics = metrics
        self._settings = settings
        self._legacy_names = legacy_names

    def collect(self) -> Iterator[Metric]:
        metrics, settings = self._metrics, self._settings
        build = {"version": __version__, "build": build_id(), "python": platform.python_version()}
        text = "Version of the process that serves the metrics."
        yield InfoMetricFamily("previewops_build", text, value=build)
        text = "1 if Redis can be read; if 0, the other metrics of the queue are missing."
        yield FamilyBuilder(settings.queue_name).gauge("preview_redis_up", text, metrics is not None)
        if metrics is not None:
            yield from queue_metrics(metrics, settings)
            yield from job_metrics(metrics)
            yield from fleet_metrics(metrics.snapshot, settings)
            if self._legacy_names:
                yield from legacy_metrics(metrics)


def render_exposition(result: ScrapeResult, settings: Settings, *, legacy_names: bool = False) -> bytes:
    """Renders a scrape in Prometheus' text format 0.0.4; with ``legacy_names`` the predecessor's families too."""
    return generate_latest(_ScrapeCollector(result.metrics, settings, legacy_names=legacy_names))


async def scrape(redis: Redis, settings: Settings) -> bytes:
    """Collects and renders all metrics of a queue in Prometheus' text format 0.0.4.

    An unavailable Redis is not an error: ``preview_redis_up`` is 0 then, and the queue's other metrics are missing.

    Raises:
        redis.exceptions.RedisError: Redis replies with another error.
    """
    return render_exposition(await collect(redis, settings), settings)
