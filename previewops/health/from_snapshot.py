"""Health inputs from one snapshot, so that checks and figures on a screen belong to the same moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from previewops.clock import optional_iso
from previewops.health import (
    RECENT_WINDOW_S,
    SILENT_HEARTBEATS,
    Health,
    HealthInputs,
    RecentOutcomes,
    Thresholds,
    evaluate,
)
from previewops.health.inputs import STOCK_WORKER_WINDOW_MS
from previewops.snapshot.model import CounterBucket, Snapshot

SNAPSHOT_CHECKS = frozenset(
    {"workers", "accounting", "data-loss", "stored-data", "arq-workers", "oldest-waiting", "dead-letters"}
    | {"failure-rate", "dead-growth", "paused", "supervisors", "versions", "confinement"}
)
"""Checks that need only a snapshot and the last minutes of counters."""


def inputs_from_snapshot(
    snapshot: Snapshot, buckets: Iterable[CounterBucket] | None, *, heartbeat_ms: int
) -> HealthInputs:
    """Returns the inputs that ``snapshot`` holds; the others are None.

    ``buckets`` are 10 s buckets of at least the last five minutes, None if unknown; ``heartbeat_ms`` is the workers'
    heartbeat interval.
    """
    return HealthInputs(
        waiting=sum(snapshot.waiting.values()),
        delayed=snapshot.delayed,
        active=snapshot.active,
        dead=snapshot.dead,
        oldest_waiting_ms=snapshot.oldest_waiting_ms,
        paused=snapshot.paused,
        paused_by=snapshot.paused_by,
        pause_reason=snapshot.pause_reason,
        unaccounted=snapshot.unaccounted,
        worker_ages_ms=tuple(snapshot.now_ms - worker.heartbeat_ms for worker in snapshot.workers),
        heartbeat_ms=heartbeat_ms,
        eviction_policy=None,
        persistent=None,
        lost_at=optional_iso(snapshot.data_lost_ms),
        stock_worker_at=optional_iso(_recent_stock_worker_ms(snapshot)),
        recent=None if buckets is None else _recent(buckets, snapshot.now_ms),
        supervisors=snapshot.supervisors,
        unreadable=snapshot.unreadable,
        blocked_by=snapshot.blocked_by,
        quarantined=snapshot.quarantined,
        silences=snapshot.silences,
        workers=tuple(
            worker
            for worker in snapshot.workers
            if snapshot.now_ms - worker.heartbeat_ms <= SILENT_HEARTBEATS * heartbeat_ms
        ),
        now_ms=snapshot.now_ms,
    )


def _recent_stock_worker_ms(snapshot: Snapshot) -> int | None:
    found_ms = snapshot.stock_worker_ms
    return None if found_ms is None or snapshot.now_ms - found_ms > STOCK_WORKER_WINDOW_MS else found_ms


def refresh_health(
    health: Health | None,
    snapshot: Snapshot,
    buckets: Iterable[CounterBucket],
    *,
    heartbeat_ms: int,
    thresholds: Thresholds,
) -> Health:
    """Replaces the checks and figures of ``health`` that a snapshot determines; the others keep their last result.

    All silences are the snapshot's.

    ``buckets`` and ``heartbeat_ms`` as for ``inputs_from_snapshot``.
    """
    fresh = evaluate(inputs_from_snapshot(snapshot, buckets, heartbeat_ms=heartbeat_ms), thresholds)
    checks = {check.name: check for check in fresh.checks if check.name in SNAPSHOT_CHECKS}
    if health is None:
        return Health(tuple(checks.values()), fresh.figures)
    figures = {figure.label: figure for figure in fresh.figures}
    silences = {silence.check: silence for silence in snapshot.silences}
    latest = (checks.get(check.name, check) for check in health.checks)
    return Health(
        tuple(replace(check, silence=silences.get(check.name)) for check in latest),
        tuple(figures.get(figure.label, figure) for figure in health.figures),
    )


def _recent(buckets: Iterable[CounterBucket], now_ms: int) -> RecentOutcomes:
    late = [bucket for bucket in buckets if bucket.start_ms > now_ms - RECENT_WINDOW_S * 1000]

    def total(*names: str) -> int:
        return sum(bucket.counts.get(name, 0) for bucket in late for name in names)

    return RecentOutcomes(total("completed"), total("died"), total("requeued", "discarded"))
