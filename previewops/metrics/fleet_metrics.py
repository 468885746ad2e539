"""Metrics of workers and supervisors. By host, not by worker: worker ids change with every restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import Metric

from previewops.health import FATAL_PHASE, SILENT_HEARTBEATS
from previewops.metrics.families import FamilyBuilder
from previewops.settings import Settings
from previewops.snapshot.hosts import group_by_host
from previewops.snapshot.model import Snapshot, WorkerState

STATES = ("working", "draining", "silent", "unknown")
"""State a worker reports, or ``silent`` after three missed heartbeats."""

_BY_HOST: tuple[tuple[str, str, Callable[[WorkerState], int]], ...] = (
    ("preview_worker_slots", "Job slots of the workers of a host.", lambda worker: worker.job_slots),
    ("preview_worker_busy", "Busy job slots of the workers of a host.", lambda worker: worker.busy),
    (
        "preview_worker_rss_bytes",
        "Resident memory of a host's workers and their render processes; shared pages count in each process.",
        lambda worker: worker.rss_bytes,
    ),
)


def fleet_metrics(snapshot: Snapshot, settings: Settings) -> Iterator[Metric]:
    """Yields workers by state and version, slots and memory by host, and supervisors."""
    gauge = FamilyBuilder(snapshot.queue_name).gauge
    silent_before_ms = snapshot.now_ms - SILENT_HEARTBEATS * settings.heartbeat_ms
    states = Counter(_state(worker, silent_before_ms) for worker in snapshot.workers)
    yield gauge("preview_workers", "Workers.", {state: states[state] for state in STATES}, "state")
    versions = Counter(_label(worker.full_version) for worker in snapshot.workers)
    yield gauge(
        "preview_worker_versions", "Workers by version and build.", dict(sorted(versions.items())), "version"
    )
    live = [worker for worker in snapshot.workers if worker.heartbeat_ms >= silent_before_ms]
    for name, text, value_of in _BY_HOST:
        totals: Counter[str] = Counter()
        for worker in live:
            totals[_label(worker.host)] += value_of(worker)
        yield gauge(name, text, dict(sorted(totals.items())), "host")
    yield from _store_metrics(live, gauge)
    reporting = [view for view in snapshot.supervisors if not view.silent]
    supervisors = {"reporting": len(reporting), "silent": len(snapshot.supervisors) - len(reporting)}
    yield gauge("preview_supervisors", "Supervisors.", supervisors, "state")
    given_up = sum(worker.phase == FATAL_PHASE for view in reporting for worker in view.state.workers)
    yield gauge("preview_workers_given_up", "Workers that their supervisors no longer restart.", given_up)
    failing = sum(worker.failing for view in reporting for worker in view.state.workers)
    yield gauge("preview_workers_failing", "Workers whose last starts have all failed.", failing)


def _store_metrics(live: Sequence[WorkerState], gauge: Callable[..., Metric]) -> Iterator[Metric]:
    """Yields stores and clocks, as the workers that are not silent report them."""
    reports = [(_label(worker.host), worker.store) for worker in live if worker.store is not None]
    store_ids = {report.store_id for _, report in reports if report.store_id}
    yield gauge("preview_stores", "Different stores that workers publish bundles to.", len(store_ids))
    failing: Counter[str] = Counter()
    for host, report in reports:
        failing[host] += bool(report.problem)
    yield gauge(
        "preview_worker_stores_failing",
        "Workers of a host that cannot publish bundles.",
        dict(sorted(failing.items())),
        "host",
    )
    clocks = {
        _label(host.host): host.clock_ahead_ms / 1000
        for host in group_by_host(live)
        if host.clock_ahead_ms is not None
    }
    text = "Time by which the clock of a host is ahead of the one of Redis; negative if it is behind."
    yield gauge("preview_worker_clock_ahead_seconds", text, clocks, "host")


def _state(worker: WorkerState, silent_before_ms: int) -> str:
    if worker.heartbeat_ms < silent_before_ms:
        return "silent"
    return worker.state if worker.state in STATES else "unknown"


def _label(reported: str) -> str:
    """Makes a reported text a label. Half a surrogate pair has no UTF-8 and would make all metrics fail."""
    return reported.encode("utf-8", "backslashreplace").decode("utf-8") or "unknown"
