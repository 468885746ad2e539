"""Performance data, as monitoring plugins print it."""

from __future__ import annotations

from collections.abc import Iterable

from previewops.health.inputs import SILENT_HEARTBEATS, STUCK_AFTER_MS, HealthInputs, Thresholds
from previewops.health.results import PerfdataValue


def collect_perfdata(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[PerfdataValue]:
    """Yields the known values with their thresholds."""
    fresh = sum(age <= SILENT_HEARTBEATS * inputs.heartbeat_ms for age in inputs.worker_ages_ms)
    yield PerfdataValue("waiting", inputs.waiting)
    yield PerfdataValue("delayed", inputs.delayed)
    yield PerfdataValue("active", inputs.active)
    # The guidelines alert above a threshold; ours alert at it.
    dead = [str(count - 1) for count in (thresholds.dead_warning, thresholds.dead_critical)]
    yield PerfdataValue("dead", inputs.dead, "", *dead)
    oldest = [f"{ms / 1000:g}" for ms in (thresholds.oldest_warning_ms, thresholds.oldest_critical_ms)]
    yield PerfdataValue("oldest_waiting", inputs.oldest_waiting_ms / 1000, "s", *oldest)
    fewest = [f"{count}:" for count in (thresholds.workers_warning, thresholds.workers_critical)]
    yield PerfdataValue("workers", fresh, "", *fewest)
    if inputs.queue_max is not None:
        depth = [f"{share * 100:g}" for share in (thresholds.depth_warning, thresholds.depth_critical)]
        percent = round((inputs.waiting + inputs.delayed) / inputs.queue_max * 100, 1)
        yield PerfdataValue("depth", percent, "%", *depth)
    yield PerfdataValue("unreadable", inputs.unreadable.count, "", "0")
    yield PerfdataValue("unaccounted", max(0, inputs.unaccounted), "", "", "0")
    if inputs.recent is not None:
        yield PerfdataValue("completed_recently", inputs.recent.completed)
        yield PerfdataValue("died_recently", inputs.recent.died)
    if inputs.run_ages_ms is not None:
        late = sum(age > inputs.deadline_ms + STUCK_AFTER_MS for age in inputs.run_ages_ms.values())
        bounds = [str(count - 1) for count in (thresholds.stuck_warning, thresholds.stuck_critical)]
        yield PerfdataValue("stuck", late, "", *bounds)
    if clocks := inputs.clocks_ahead_ms():
        skew = [f"{ms / 1000:g}" for ms in (thresholds.skew_warning_ms, thresholds.skew_critical_ms)]
        yield PerfdataValue("clock_skew", max(map(abs, clocks.values())) / 1000, "s", *skew)
    if inputs.webhooks is not None:
        failed = [str(count - 1) for count in (thresholds.webhooks_warning, thresholds.webhooks_critical)]
        yield PerfdataValue("webhooks_failed", inputs.webhooks.failed, "", *failed)
        age = [f"{ms / 1000:g}" for ms in (thresholds.delivery_warning_ms, thresholds.delivery_critical_ms)]
        yield PerfdataValue("webhook_age", inputs.webhooks.oldest_ms / 1000, "s", *age)
    if inputs.redis_ms is not None:
        slow = [f"{ms / 1000:g}" for ms in (thresholds.latency_warning_ms, thresholds.latency_critical_ms)]
        yield PerfdataValue("redis_answer", round(inputs.redis_ms / 1000, 4), "s", *slow)
    if inputs.disk_free_bytes is not None:
        yield PerfdataValue("disk_free", inputs.disk_free_bytes, "B")
