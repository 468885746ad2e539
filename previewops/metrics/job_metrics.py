"""Metrics of jobs over the queue's lifetime: outcomes and durations."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from previewops.metrics.collector import QueueMetrics
from previewops.metrics.families import FamilyBuilder
from previewops.metrics.lifetime_counters import (
    DEAD_LETTER_CAUSES,
    FAILURE_CAUSES,
    REJECTION_REASONS,
    RETRY_CAUSES,
    LifetimeCounters,
)
from previewops.queue.output_formats import OUTPUT_FORMATS
from previewops.states import Priority

RUN_OCTAVES = range(3, 21)
"""8 ms, the time of a cached bundle, to 17 min."""

WAIT_OCTAVES = range(25)
"""1 ms, the wait for an idle worker, to 4.7 h."""

_BY_PRIORITY = (
    ("dryrun", "Completed jobs that were dry runs."),
    ("invalid", "Dead letters with an invalid payload."),
)
_BY_PRIORITY_AND_CAUSE = (
    ("failed", FAILURE_CAUSES, "Failed attempts."),
    ("retried", RETRY_CAUSES, "Failed attempts that were retried."),
    ("dead", DEAD_LETTER_CAUSES, "Jobs that became dead letters."),
)
_OF_THE_QUEUE = (
    ("accepted", "Accepted jobs."),
    ("cancelled", "Cancelled jobs."),
    ("requeued", "Requeued dead letters."),
    ("discarded", "Discarded dead letters."),
    ("refused", "Foreign entries in the queue that are not jobs."),
)


def job_metrics(metrics: QueueMetrics) -> Iterator[Metric]:
    """Yields counters and histograms. Only an emptied Redis resets them."""
    build, totals, snapshot = FamilyBuilder(metrics.snapshot.queue_name), metrics.totals, metrics.snapshot
    waits = {priority: totals.wait_histogram(priority) for priority in Priority}
    runs = {priority: totals.run_histogram(priority) for priority in Priority}
    # The histograms already contain every claim and every completion.
    started = {priority: sum(bins.values()) for priority, bins in waits.items()}
    completed = {priority: sum(bins.values()) for priority, bins in runs.items()}
    yield build.counter(
        "preview_job_started", "Started attempts, and claims that were returned.", started, "priority"
    )
    yield build.counter("preview_job_completed", "Completed jobs.", completed, "priority")
    for name, text in _BY_PRIORITY:
        counts = {priority: totals.count(name, priority) for priority in Priority}
        yield build.counter(f"preview_job_{name}", text, counts, "priority")
    for name, causes, text in _BY_PRIORITY_AND_CAUSE:
        by_cause = {
            (priority.value, cause): totals.count(name, priority, cause)
            for priority in Priority
            for cause in causes
        }
        yield build.counter(f"preview_job_{name}", text, by_cause, "priority", "cause")
    for name, text in _OF_THE_QUEUE:
        yield build.counter(f"preview_job_{name}", text, snapshot.counters[name])
    rejections = {reason: totals.rejections(reason) for reason in REJECTION_REASONS}
    yield build.counter("preview_submit_refused", "Rejected submits.", rejections, "reason")
    crashes = sum(totals.count("failed", priority, "crash") for priority in Priority)
    yield build.counter("preview_render_crashes", "Render processes that crashed during a job.", crashes)
    text = "Run time of completed jobs."
    yield build.histogram("preview_job_duration_seconds", text, runs, RUN_OCTAVES)
    text = "Wait of jobs from their submission, due time or requeue to their claim."
    yield build.histogram("preview_job_wait_seconds", text, waits, WAIT_OCTAVES)
    yield from _format_metrics(totals, build)


def _format_metrics(totals: LifetimeCounters, build: FamilyBuilder) -> Iterator[Metric]:
    """Yields outcomes and run times by output format."""
    runs = {name: totals.format_run_histogram(name) for name in OUTPUT_FORMATS}
    outcomes = {(name, "completed"): sum(bins.values()) for name, bins in runs.items()}
    for what in ("dead", "retried"):
        outcomes |= {(name, what): totals.format_failures(name, what) for name in OUTPUT_FORMATS}
    text = "Completed jobs, jobs that became dead letters, and failures that were retried."
    yield build.counter("preview_format_job_outcomes", text, outcomes, "format", "outcome")
    text = "Run time of completed jobs by output format."
    yield build.histogram("preview_format_job_duration_seconds", text, runs, RUN_OCTAVES, label="format")
