"""A reading as text for Prometheus."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from previewops import __version__
from previewops.metrics.families import gauge
from previewops.metrics.fleet import fleet
from previewops.metrics.jobs import jobs
from previewops.metrics.queue import queue
from previewops.metrics.reading import Reading, take_reading

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of what :func:`exposition` returns: Prometheus' text format."""


class _Reader(Collector):
    """What one reading says, family by family."""

    def __init__(self, reading: Reading, settings: Settings) -> None:
        self._reading = reading
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        figures, name = self._reading.figures, self._settings.queue_name
        build = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("previewops_build", "The program that tells these figures.", value=build)
        said = "1 when Redis could be asked about the queue; when 0, nothing below is told."
        yield gauge("preview_redis_up", said, name, [((), figures is not None)])
        if figures is not None:
            yield from queue(figures, self._settings)
            yield from jobs(figures)
            yield from fleet(figures.snapshot, self._settings)


def expose(reading: Reading, settings: Settings) -> bytes:
    """A reading in Prometheus' text format 0.0.4."""
    return generate_latest(_Reader(reading, settings))


async def exposition(redis: Redis, settings: Settings) -> bytes:
    """All metrics of a queue at this moment, in Prometheus' text format 0.0.4.

    That Redis is away is no error: ``preview_redis_up`` is 0 then, and nothing else is told of the queue.

    Raises:
        redis.exceptions.RedisError: Redis answers, but what it has there is none of ours.
    """
    return expose(await take_reading(redis, settings), settings)
