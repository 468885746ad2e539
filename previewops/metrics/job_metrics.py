"""What became of jobs over the queue's life, and how long it took."""

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
"""8 ms, which a reused bundle takes, to 17 min."""

WAIT_OCTAVES = range(25)
"""1 ms, which a job waits for an idle worker, to 4.7 h."""

BY_CAUSE = (
    ("failed", FAILURE_CAUSES, "Attempts that failed."),
    ("retried", RETRY_CAUSES, "Failed attempts after which the job runs again."),
    ("dead", DEAD_LETTER_CAUSES, "Jobs that became dead letters."),
)
BY_CLASS = (
    ("dryrun", "Dry runs among the completed jobs."),
    ("invalid", "Dead letters whose payload breaks the contract."),
)
WHOLE = (
    ("accepted", "Jobs that were taken in."),
    ("cancelled", "Jobs that were cancelled."),
    ("requeued", "Dead letters that were given a new life."),
    ("discarded", "Dead letters that were deleted."),
    ("refused", "Entries that were put into the queue by hand and are no jobs."),
)


def job_metrics(figures: QueueMetrics) -> Iterator[Metric]:
    """Counters and histograms. None of them is set back by a restart of anything but an emptied Redis."""
    name, totals, snapshot = figures.snapshot.queue_name, figures.totals, figures.snapshot
    waits = {priority: totals.wait_histogram(priority) for priority in Priority}
    runs = {priority: totals.run_histogram(priority) for priority in Priority}
    # Every claim and every completion is in a histogram, and so counted already.
    started = [((priority.value,), sum(bins.values())) for priority, bins in waits.items()]
    completed = [((priority.value,), sum(bins.values())) for priority, bins in runs.items()]
    yield counter("preview_job_started", "Attempts that were begun.", name, started, CLASS)
    yield counter("preview_job_completed", "Jobs that were completed.", name, completed, CLASS)
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
    yield counter("preview_submit_refused", "Submits that were turned away.", name, turned_away, ("reason",))
    crashes = sum(totals.count("failed", priority, "crash") for priority in Priority)
    yield counter("preview_render_crashes", "Render processes that died under a job.", name, [((), crashes)])
    yield histogram(
        "preview_job_duration_seconds",
        "How long completed jobs ran.",
        name,
        (((priority.value,), bins) for priority, bins in runs.items()),
        labels=CLASS,
        octaves=RUN_OCTAVES,
    )
    yield histogram(
        "preview_job_wait_seconds",
        "How long jobs had waited when they were begun, since they were submitted, due or put back.",
        name,
        (((priority.value,), bins) for priority, bins in waits.items()),
        labels=CLASS,
        octaves=WAIT_OCTAVES,
    )
