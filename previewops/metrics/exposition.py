"""A reading as text for Prometheus."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from previewops import __version__
from previewops.metrics.collector import ScrapeResult, collect
from previewops.metrics.families import gauge
from previewops.metrics.fleet_metrics import fleet_metrics
from previewops.metrics.job_metrics import job_metrics
from previewops.metrics.queue_metrics import queue_metrics

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of what :func:`exposition` returns: Prometheus' text format."""


class _Reader(Collector):
    """What one reading says, family by family."""

    def __init__(self, reading: ScrapeResult, settings: Settings) -> None:
        self._reading = reading
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        figures, name = self._reading.metrics, self._settings.queue_name
        build = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("previewops_build", "The program that tells these figures.", value=build)
        said = "1 when Redis could be asked about the queue; when 0, nothing below is told."
        yield gauge("preview_redis_up", said, name, [((), figures is not None)])
        if figures is not None:
            yield from queue_metrics(figures, self._settings)
            yield from job_metrics(figures)
            yield from fleet_metrics(figures.snapshot, self._settings)


def render_exposition(reading: ScrapeResult, settings: Settings) -> bytes:
    """A reading in Prometheus' text format 0.0.4."""
    return generate_latest(_Reader(reading, settings))


async def scrape(redis: Redis, settings: Settings) -> bytes:
    """All metrics of a queue at this moment, in Prometheus' text format 0.0.4.

    That Redis is away is no error: ``preview_redis_up`` is 0 then, and nothing else is told of the queue.

    Raises:
        redis.exceptions.RedisError: Redis answers, but what it has there is none of ours.
    """
    return render_exposition(await collect(redis, settings), settings)
