"""Health rules: compare the state of a queue with thresholds."""

from __future__ import annotations

from collections.abc import Iterable

from previewops.health.fleet_rules import (
    check_clocks,
    check_confinement,
    check_supervisors,
    check_versions,
    check_workers,
)
from previewops.health.inputs import (
    MIN_JOBS_FOR_RATE,
    RECENT_WINDOW_S,
    STUCK_AFTER_MS,
    HealthInputs,
    Thresholds,
)
from previewops.health.perfdata import collect_perfdata
from previewops.health.results import Check, Health, Status, classify, make_check
from previewops.health.words import plural_s, seconds

CHECKS = (
    "workers",
    "accounting",
    "data-loss",
    "depth",
    "oldest-waiting",
    "dead-letters",
    "failure-rate",
    "dead-growth",
    "stuck-jobs",
    "paused",
    "supervisors",
    "versions",
    "confinement",
    "clocks",
    "redis",
    "eviction",
    "persistence",
    "disk",
)
"""Names of all checks, in order."""


def evaluate(facts: HealthInputs, thresholds: Thresholds) -> Health:
    """Runs all checks."""
    checks = (
        check_workers(facts, thresholds),
        _accounting(facts),
        _loss(facts),
        *_depth(facts, thresholds),
        _oldest(facts, thresholds),
        _dead(facts, thresholds),
        *_recent(facts, thresholds),
        *_stuck(facts, thresholds),
        _paused(facts),
        check_supervisors(facts),
        check_versions(facts),
        *check_confinement(facts, thresholds),
        *check_clocks(facts, thresholds),
        *_redis(facts, thresholds),
        *_disk(facts, thresholds),
    )
    return Health(checks, tuple(collect_perfdata(facts, thresholds)))


def _accounting(facts: HealthInputs) -> Check:
    missing = max(0, facts.unaccounted)
    message = f"{missing} accepted jobs are in no state" if missing else "every accepted job is accounted for"
    advice = "keys were deleted, or Redis evicted them: see the limits in docs/guarantees.md"
    return make_check("accounting", Status.CRITICAL if missing else Status.OK, message, f"{missing}", advice)


def _loss(facts: HealthInputs) -> Check:
    if facts.lost_at is None:
        return Check("data-loss", Status.OK, "Redis has kept the queue's data", "none")
    return Check(
        "data-loss",
        Status.CRITICAL,
        f"Redis lost the queue's data, detected at {facts.lost_at}; bundles are kept",
        facts.lost_at,
        "resubmit the jobs that were pending, then `previewops health --acknowledge-loss`",
    )


def _depth(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if facts.queue_max is None:
        return
    pending = facts.waiting + facts.delayed
    share = pending / facts.queue_max
    status = classify(share, thresholds.depth_warning, thresholds.depth_critical)
    full = ": submits are rejected" if share >= 1 else ""
    message = f"{pending} jobs are pending, allowed {facts.queue_max}{full}"
    advice = "add workers, or raise PREVIEW_QUEUE_MAX if producers may run ahead"
    yield make_check("depth", status, message, f"{share:.0%}", advice)


def _oldest(facts: HealthInputs, thresholds: Thresholds) -> Check:
    found = facts.oldest_waiting_ms
    status = classify(found, thresholds.oldest_warning_ms, thresholds.oldest_critical_ms)
    message = f"a job has waited {seconds(found)}" if status else "no job has waited for long"
    advice = "`previewops stats`, then add workers or raise PREVIEW_WORKER_CONCURRENCY"
    return make_check("oldest-waiting", status, message, seconds(found), advice)


def _dead(facts: HealthInputs, thresholds: Thresholds) -> Check:
    status = classify(facts.dead, thresholds.dead_warning, thresholds.dead_critical)
    advice = "`previewops dlq list --groups`, fix the cause, then requeue that group"
    return make_check(
        "dead-letters", status, f"{facts.dead} dead letter{plural_s(facts.dead)}", f"{facts.dead}", advice
    )


def _recent(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if facts.recent is None:
        return
    died, ended = facts.recent.died, facts.recent.died + facts.recent.completed
    share = died / ended if ended else 0.0
    enough = ended >= MIN_JOBS_FOR_RATE
    status = classify(share, thresholds.failure_warning, thresholds.failure_critical) if enough else Status.OK
    message = f"{died} of {ended} finished jobs died in the last {RECENT_WINDOW_S // 60} min"
    advice = "`previewops dlq list --groups` shows the causes; `previewops pause` stops further failures"
    yield make_check(
        "failure-rate", status, message, f"{share:.0%}" if enough else f"{died} of {ended}", advice
    )
    grown = died - facts.recent.removed
    status = classify(grown, thresholds.growth_warning, thresholds.growth_critical)
    message = f"{max(0, grown)} more dead letters than {RECENT_WINDOW_S // 60} min ago"
    yield make_check("dead-growth", status, message, f"{grown:+d}", advice)


def _stuck(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if facts.run_ages_ms is None:
        return
    allowed = facts.deadline_ms + STUCK_AFTER_MS
    ages = sorted(((age, job_id) for job_id, age in facts.run_ages_ms.items() if age > allowed), reverse=True)
    count = len(ages)
    message = f"no job has run for longer than {seconds(allowed)}"
    if ages:
        message = f"{count} job{plural_s(count)} past the deadline, {ages[0][1]} for {seconds(ages[0][0])}"
    advice = "`previewops workers` shows which worker; `previewops restart` or `previewops cancel` ends it"
    status = classify(count, thresholds.stuck_warning, thresholds.stuck_critical)
    yield make_check("stuck-jobs", status, message, f"{count}", advice)


def _paused(facts: HealthInputs) -> Check:
    if not facts.paused:
        return Check("paused", Status.OK, "the queue is not paused", "no")
    by = f" by {facts.paused_by}" if facts.paused_by else ""
    why = f": {facts.paused_why}" if facts.paused_why else ""
    advice = "`previewops resume` when the reason no longer applies"
    return Check("paused", Status.WARNING, f"the queue is paused{by}{why}", "yes", advice)


def _redis(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if facts.redis_ms is None:
        yield Check("redis", Status.OK, "Redis answers", "answers")
    else:
        status = classify(facts.redis_ms, thresholds.latency_warning_ms, thresholds.latency_critical_ms)
        figure = f"{facts.redis_ms:.1f} ms"
        advice = "check the server's load, its SLOWLOG, and the network"
        yield make_check("redis", status, f"Redis answers in {figure}", figure, advice)
    if facts.eviction_policy is not None:
        good = facts.eviction_policy == "noeviction"
        message = f"Redis' maxmemory-policy is {facts.eviction_policy}" + (
            "" if good else ": it may drop jobs"
        )
        advice = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
        yield make_check("eviction", classify(not good, 1, 2), message, facts.eviction_policy, advice)
    if facts.persistent is not None:
        on = facts.persistent
        message = "Redis writes to disk" if on else "Redis' persistence is off: a restart loses all jobs"
        advice = "CONFIG SET appendonly yes, and the same in redis.conf"
        yield make_check("persistence", classify(not on, 1, 2), message, "on" if on else "off", advice)


def _disk(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if facts.disk_free_bytes is None or not facts.disk_bytes:
        return
    share = facts.disk_free_bytes / facts.disk_bytes
    status = Status.WARNING if share < thresholds.disk_warning else Status.OK
    if share < thresholds.disk_critical or facts.disk_free_bytes < thresholds.disk_critical_bytes:
        status = Status.CRITICAL
    message = f"{facts.disk_free_bytes / 2**30:.1f} GiB free under DATA_DIR, {share:.0%} of it"
    advice = "remove unneeded bundles from DATA_DIR/previews, or add disk space"
    yield make_check("disk", status, message, f"{share:.0%} free", advice)
