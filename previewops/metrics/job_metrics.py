"""Metrics of jobs over the queue's lifetime: outcomes and durations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from previewops.metrics.families import counter, histogram
from previewops.metrics.lifetime_counters import (
    DEAD_LETTER_CAUSES,
    FAILURE_CAUSES,
    REJECTION_REASONS,
    RETRY_CAUSES,
)
from previewops.states import Priority

if TYPE_CHECKING:
    from previewops.metrics.collector import QueueMetrics

CLASS = ("priority",)
CAUSED = ("priority", "cause")

RUN_OCTAVES = range(3, 21)
"""8 ms, the time of a cached bundle, to 17 min."""

WAIT_OCTAVES = range(25)
"""1 ms, the wait for an idle worker, to 4.7 h."""

BY_CAUSE = (
    ("failed", FAILURE_CAUSES, "Failed attempts."),
    ("retried", RETRY_CAUSES, "Failed attempts that were retried."),
    ("dead", DEAD_LETTER_CAUSES, "Jobs that became dead letters."),
)
BY_CLASS = (
    ("dryrun", "Completed jobs that were dry runs."),
    ("invalid", "Dead letters with an invalid payload."),
)
WHOLE = (
    ("accepted", "Accepted jobs."),
    ("cancelled", "Cancelled jobs."),
    ("requeued", "Requeued dead letters."),
    ("discarded", "Discarded dead letters."),
    ("refused", "Foreign entries in the queue that are not jobs."),
)


def job_metrics(figures: QueueMetrics) -> Iterator[Metric]:
    """Yields counters and histograms. Only an emptied Redis resets them."""
    name, totals, snapshot = figures.snapshot.queue_name, figures.totals, figures.snapshot
    waits = {priority: totals.wait_histogram(priority) for priority in Priority}
    runs = {priority: totals.run_histogram(priority) for priority in Priority}
    # The histograms already contain every claim and every completion.
    started = [((priority.value,), sum(bins.values())) for priority, bins in waits.items()]
    completed = [((priority.value,), sum(bins.values())) for priority, bins in runs.items()]
    yield counter("preview_job_started", "Started attempts.", name, started, CLASS)
    yield counter("preview_job_completed", "Completed jobs.", name, completed, CLASS)
    for what, said in BY_CLASS:
        rows = [((priority.value,), totals.count(what, priority)) for priority in Priority]
        yield counter(f"preview_job_{what}", said, name, rows, CLASS)
    for what, causes, said in BY_CAUSE:
        caused = [
            ((priority.value, cause), totals.count(what, priority, cause))
            for priority in Priority
            for cause in causes
        ]
        yield counter(f"preview_job_{what}", said, name, caused, CAUSED)
    for what, said in WHOLE:
        yield counter(f"preview_job_{what}", said, name, [((), snapshot.counters[what])])
    turned_away = [((reason,), totals.rejections(reason)) for reason in REJECTION_REASONS]
    yield counter("preview_submit_refused", "Rejected submits.", name, turned_away, ("reason",))
    crashes = sum(totals.count("failed", priority, "crash") for priority in Priority)
    yield counter(
        "preview_render_crashes", "Render processes that crashed during a job.", name, [((), crashes)]
    )
    yield histogram(
        "preview_job_duration_seconds",
        "Run time of completed jobs.",
        name,
        (((priority.value,), bins) for priority, bins in runs.items()),
        labels=CLASS,
        octaves=RUN_OCTAVES,
    )
    yield histogram(
        "preview_job_wait_seconds",
        "Wait of jobs from their submission, due time or requeue to their claim.",
        name,
        (((priority.value,), bins) for priority, bins in waits.items()),
        labels=CLASS,
        octaves=WAIT_OCTAVES,
    )
