"""Performance data, as monitoring plugins print it."""

from __future__ import annotations

from collections.abc import Iterable

from previewops.health.inputs import SILENT_HEARTBEATS, STUCK_AFTER_MS, HealthInputs, Thresholds
from previewops.health.results import PerfdataValue


def collect_perfdata(facts: HealthInputs, thresholds: Thresholds) -> Iterable[PerfdataValue]:
    """Yields the known values with their thresholds."""
    fresh = sum(age <= SILENT_HEARTBEATS * facts.heartbeat_ms for age in facts.worker_ages_ms)
    yield PerfdataValue("waiting", facts.waiting)
    yield PerfdataValue("delayed", facts.delayed)
    yield PerfdataValue("active", facts.active)
    # The guidelines alert above a threshold; ours alert at it.
    yield PerfdataValue(
        "dead", facts.dead, "", str(thresholds.dead_warning - 1), str(thresholds.dead_critical - 1)
    )
    oldest = [f"{ms / 1000:g}" for ms in (thresholds.oldest_warning_ms, thresholds.oldest_critical_ms)]
    yield PerfdataValue("oldest_waiting", facts.oldest_waiting_ms / 1000, "s", *oldest)
    yield PerfdataValue(
        "workers", fresh, "", f"{thresholds.workers_warning}:", f"{thresholds.workers_critical}:"
    )
    if facts.queue_max is not None:
        depth = [f"{share * 100:g}" for share in (thresholds.depth_warning, thresholds.depth_critical)]
        yield PerfdataValue(
            "depth", round((facts.waiting + facts.delayed) / facts.queue_max * 100, 1), "%", *depth
        )
    yield PerfdataValue("unaccounted", max(0, facts.unaccounted), "", "", "0")
    if facts.recent is not None:
        yield PerfdataValue("completed_recently", facts.recent.completed)
        yield PerfdataValue("died_recently", facts.recent.died)
    if facts.run_ages_ms is not None:
        late = sum(age > facts.deadline_ms + STUCK_AFTER_MS for age in facts.run_ages_ms.values())
        bounds = [str(count - 1) for count in (thresholds.stuck_warning, thresholds.stuck_critical)]
        yield PerfdataValue("stuck", late, "", *bounds)
    if facts.clocks_ahead_ms:
        skew = [f"{ms / 1000:g}" for ms in (thresholds.skew_warning_ms, thresholds.skew_critical_ms)]
        yield PerfdataValue("clock_skew", max(map(abs, facts.clocks_ahead_ms.values())) / 1000, "s", *skew)
    if facts.redis_ms is not None:
        slow = [f"{ms / 1000:g}" for ms in (thresholds.latency_warning_ms, thresholds.latency_critical_ms)]
        yield PerfdataValue("redis_answer", round(facts.redis_ms / 1000, 4), "s", *slow)
    if facts.disk_free_bytes is not None:
        yield PerfdataValue("disk_free", facts.disk_free_bytes, "B")
