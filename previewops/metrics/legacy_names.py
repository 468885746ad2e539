"""Metrics under the names that dashboards and alert rules of the predecessor use."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric, UnknownMetricFamily

from previewops.metrics.collector import QueueMetrics
from previewops.metrics.families import FamilyBuilder
from previewops.metrics.job_metrics import RUN_OCTAVES
from previewops.metrics.lifetime_counters import FAILURE_CAUSES
from previewops.states import Priority


def legacy_metrics(metrics: QueueMetrics) -> Iterator[Metric]:
    """Yields the predecessor's families. Each has the label ``queue``; histograms also have ``priority``."""
    queue, totals, snapshot = metrics.snapshot.queue_name, metrics.totals, metrics.snapshot
    build = FamilyBuilder(queue)
    runs = {priority: totals.run_histogram(priority) for priority in Priority}
    started = sum(sum(totals.wait_histogram(priority).values()) for priority in Priority)
    completed = sum(sum(bins.values()) for bins in runs.values())
    failed = sum(totals.count("failed", priority, cause) for priority in Priority for cause in FAILURE_CAUSES)
    for name, text, value in (
        ("preview_job_started", "Started attempts, and claims that were returned.", started),
        ("preview_job_completed", "Completed jobs.", completed),
        ("preview_job_failed", "Failed attempts.", failed),
    ):
        # Prometheus wants "_total" at the end of a counter's name, so these have no type.
        family = UnknownMetricFamily(name, text, labels=("queue",))
        family.add_metric((queue,), value)
        yield family
    yield build.counter("preview_requests", "Accepted jobs.", snapshot.counters["accepted"])
    yield build.counter("preview_failures", "Jobs that became dead letters.", snapshot.counters["died"])
    yield build.gauge("preview_queue_length", "Waiting and delayed jobs.", snapshot.backlog)
    outcomes = {"completed": completed, "failed": failed}
    yield build.counter("preview_worker_job_outcomes", "Ended attempts.", outcomes, "outcome")
    text = "Run time of completed jobs."
    yield build.histogram("preview_worker_job_duration_seconds", text, runs, RUN_OCTAVES)
    yield build.histogram("preview_duration_ms", text, runs, RUN_OCTAVES, unit_ms=1)
