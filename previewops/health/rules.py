"""Health rules: compare the state of a queue with thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from previewops.formatting import format_duration, pluralize
from previewops.health.fleet_rules import check_supervisors, check_workers
from previewops.health.host_rules import (
    check_clocks,
    check_confinement,
    check_host_stores,
    check_shared_store,
    check_themes,
    check_versions,
)
from previewops.health.inputs import (
    MIN_JOBS_FOR_RATE,
    RECENT_WINDOW_S,
    STUCK_AFTER_MS,
    HealthInputs,
    Thresholds,
)
from previewops.health.perfdata import collect_perfdata
from previewops.health.results import Check, Health, Status, classify, format_seconds, make_check

CHECKS = (
    "workers",
    "accounting",
    "data-loss",
    "stored-data",
    "arq-workers",
    "bullmq",
    "depth",
    "oldest-waiting",
    "dead-letters",
    "failure-rate",
    "dead-growth",
    "stuck-jobs",
    "paused",
    "webhooks",
    "supervisors",
    "versions",
    "confinement",
    "clocks",
    "shared-store",
    "host-stores",
    "themes",
    "redis",
    "redis-version",
    "eviction",
    "persistence",
    "store",
    "disk",
)
"""Names of all checks, in order."""


def evaluate(inputs: HealthInputs, thresholds: Thresholds) -> Health:
    """Runs all checks."""
    checks = (
        check_workers(inputs, thresholds),
        _accounting(inputs),
        _loss(inputs),
        _stored_data(inputs),
        _arq_workers(inputs),
        *_bullmq(inputs),
        *_depth(inputs, thresholds),
        _oldest(inputs, thresholds),
        _dead(inputs, thresholds),
        *_recent(inputs, thresholds),
        *_stuck(inputs, thresholds),
        _paused(inputs),
        *_webhooks(inputs, thresholds),
        check_supervisors(inputs),
        check_versions(inputs),
        *check_confinement(inputs, thresholds),
        *check_clocks(inputs, thresholds),
        *check_shared_store(inputs),
        *check_host_stores(inputs),
        *check_themes(inputs),
        *_redis(inputs, thresholds),
        *_rejected_commands(inputs),
        *_store(inputs),
        *_disk(inputs, thresholds),
    )
    silences = {silence.check: silence for silence in inputs.silences}
    silenced = tuple(replace(check, silence=silences.get(check.name)) for check in checks)
    return Health(silenced, tuple(collect_perfdata(inputs, thresholds)))


def _accounting(inputs: HealthInputs) -> Check:
    missing = max(0, inputs.unaccounted)
    message = f"{missing} accepted jobs are in no state" if missing else "every accepted job is accounted for"
    advice = "keys were deleted, or Redis evicted them: see the limits in docs/guarantees.md"
    return make_check("accounting", Status.CRITICAL if missing else Status.OK, message, str(missing), advice)


def _loss(inputs: HealthInputs) -> Check:
    if inputs.lost_at is None:
        return Check("data-loss", Status.OK, "Redis has kept the queue's data", "none")
    message = f"Redis lost the queue's data, detected at {inputs.lost_at}; bundles are kept"
    advice = "resubmit the jobs that were pending, then `previewops health --acknowledge-loss`"
    return Check("data-loss", Status.CRITICAL, message, inputs.lost_at, advice)


def _stored_data(inputs: HealthInputs) -> Check:
    count, blocked_by = inputs.unreadable.count, inputs.blocked_by
    advice = "`previewops doctor` shows what is damaged; `previewops doctor --repair` repairs it"
    if blocked_by:
        message = f"the key {blocked_by[0]} has a wrong type: no job can be claimed"
        return Check("stored-data", Status.CRITICAL, message, f"{count}", advice)
    if count:
        example = f", first {inputs.unreadable.keys[0]}" if inputs.unreadable.keys else ""
        message = f"{pluralize(count, 'stored key')} cannot be read{example}"
        return Check("stored-data", Status.WARNING, message, f"{count}", advice)
    if inputs.quarantined:
        message = f"{pluralize(inputs.quarantined, 'damaged key')} moved aside"
        return Check("stored-data", Status.WARNING, message, f"{inputs.quarantined}", advice)
    return Check("stored-data", Status.OK, "every stored key that was read is intact", "0")


def _arq_workers(inputs: HealthInputs) -> Check:
    if inputs.stock_worker_at is None:
        return Check("arq-workers", Status.OK, "no other arq worker runs on this queue", "none")
    message = f"another arq worker ran on this queue at {inputs.stock_worker_at}; it deletes waiting payloads"
    advice = "stop it, or give it another queue name; then submit the jobs that died as payload-lost again"
    return Check("arq-workers", Status.CRITICAL, message, inputs.stock_worker_at, advice)


def _bullmq(inputs: HealthInputs) -> Iterable[Check]:
    if inputs.bullmq_key is not None:
        message = f"a BullMQ queue of this name exists ({inputs.bullmq_key}); no worker of previewops takes its jobs"
        advice = "move its producers as docs/migrate.md says, then delete the keys of BullMQ"
        yield Check("bullmq", Status.WARNING, message, inputs.bullmq_key, advice)


def _depth(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if inputs.queue_max is None:
        return
    pending = inputs.waiting + inputs.delayed
    share = pending / inputs.queue_max
    status = classify(share, thresholds.depth_warning, thresholds.depth_critical)
    full = ": submits are rejected" if share >= 1 else ""
    message = f"{pending:,} jobs are pending, allowed {inputs.queue_max:,}{full}"
    advice = "add workers, or raise PREVIEW_QUEUE_MAX if producers may run ahead"
    yield make_check("depth", status, message, f"{share:.0%}", advice)


def _oldest(inputs: HealthInputs, thresholds: Thresholds) -> Check:
    wait_ms = inputs.oldest_waiting_ms
    status = classify(wait_ms, thresholds.oldest_warning_ms, thresholds.oldest_critical_ms)
    message = f"a job has waited {format_duration(wait_ms)}" if status else "no job has waited for long"
    workers = "`previewops stats`; add workers or raise PREVIEW_WORKER_CONCURRENCY"
    advice = "`previewops resume`: the queue is paused" if inputs.paused else workers
    return make_check("oldest-waiting", status, message, format_seconds(wait_ms), advice)


def _dead(inputs: HealthInputs, thresholds: Thresholds) -> Check:
    status = classify(inputs.dead, thresholds.dead_warning, thresholds.dead_critical)
    advice = "`previewops dlq list --groups`, fix the cause, then requeue that group"
    return make_check("dead-letters", status, pluralize(inputs.dead, "dead letter"), f"{inputs.dead}", advice)


def _recent(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if inputs.recent is None:
        return
    died, ended = inputs.recent.died, inputs.recent.died + inputs.recent.completed
    share = died / ended if ended else 0.0
    enough = ended >= MIN_JOBS_FOR_RATE
    status = classify(share, thresholds.failure_warning, thresholds.failure_critical) if enough else Status.OK
    figure = f"{share:.0%}" if enough else f"{died} of {ended}"
    message = f"{died:,} of {ended:,} finished jobs died in the last {RECENT_WINDOW_S // 60} min"
    advice = "`previewops dlq list --groups` shows the causes; `previewops pause` stops further failures"
    yield make_check("failure-rate", status, message, figure, advice)
    grown = died - inputs.recent.removed
    status = classify(grown, thresholds.growth_warning, thresholds.growth_critical)
    message = f"{max(0, grown):,} more dead letters than {RECENT_WINDOW_S // 60} min ago"
    yield make_check("dead-growth", status, message, f"{grown:+d}", advice)


def _stuck(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if inputs.run_ages_ms is None:
        return
    allowed = inputs.deadline_ms + STUCK_AFTER_MS
    late = [(age, job_id) for job_id, age in inputs.run_ages_ms.items() if age > allowed]
    count = len(late)
    message = f"no job has run for longer than {format_seconds(allowed)}"
    if late:
        age, job_id = max(late)
        message = f"{pluralize(count, 'job')} past the deadline, {job_id} for {format_seconds(age)}"
    advice = "`previewops workers` shows which worker; `previewops restart` or `previewops cancel` ends it"
    status = classify(count, thresholds.stuck_warning, thresholds.stuck_critical)
    yield make_check("stuck-jobs", status, message, f"{count}", advice)


def _paused(inputs: HealthInputs) -> Check:
    if not inputs.paused:
        return Check("paused", Status.OK, "the queue is not paused", "no")
    by = f" by {inputs.paused_by}" if inputs.paused_by else ""
    reason = f": {inputs.pause_reason}" if inputs.pause_reason else ""
    advice = "`previewops resume` when the reason no longer applies"
    return Check("paused", Status.WARNING, f"the queue is paused{by}{reason}", "yes", advice)


def _webhooks(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    backlog = inputs.webhooks
    if backlog is None or not (backlog.failed or backlog.waiting):
        return
    failed = classify(backlog.failed, thresholds.webhooks_warning, thresholds.webhooks_critical)
    late = classify(backlog.oldest_ms, thresholds.delivery_warning_ms, thresholds.delivery_critical_ms)
    message = f"{pluralize(backlog.waiting, 'webhook')} to be sent"
    if backlog.waiting:
        message += f", the oldest for {format_duration(backlog.oldest_ms)}"
    if backlog.failed:
        message = f"{pluralize(backlog.failed, 'webhook')} failed for good; {message}"
    advice = "`previewops webhooks list` shows why; correct it, then `previewops webhooks resend`"
    if late > failed:
        advice = "`previewops webhooks list --waiting` shows why; check the receiver, and that workers send webhooks"
    figure = f"{backlog.failed} failed" if backlog.failed else f"{backlog.waiting} waiting"
    yield make_check("webhooks", max(failed, late), message, figure, advice)


def _rejected_commands(inputs: HealthInputs) -> Iterable[Check]:
    """Checks that Redis does not give the values for. A check that disappears would look like one that passed."""
    for name, command in inputs.rejected_commands.items():
        message = f"{name} is unknown: Redis rejects {command}"
        advice = f"permit {command} to the user of the address, or check it on the server's console"
        yield Check(name, Status.UNKNOWN, message, "unknown", advice)


def _redis(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if "redis" in inputs.rejected_commands:
        pass
    elif inputs.redis_ms is None:
        yield Check("redis", Status.OK, "Redis responds", "responds")
    else:
        status = classify(inputs.redis_ms, thresholds.latency_warning_ms, thresholds.latency_critical_ms)
        figure = f"{inputs.redis_ms:.1f} ms"
        advice = "check the server's load, its SLOWLOG, and the network"
        yield make_check("redis", status, f"the latency of Redis is {figure}", figure, advice)
    if inputs.redis_version is not None:
        outdated = inputs.redis_version.fixed_in is not None
        # Only its own user reaches the private server, and only previewops sends it scripts.
        status = Status.WARNING if outdated and not inputs.redis_is_private else Status.OK
        message = f"the server is {inputs.redis_version.describe()}"
        advice = f"install {inputs.redis_version.product} {inputs.redis_version.fixed_in} or newer"
        yield make_check("redis-version", status, message, str(inputs.redis_version), advice)
    if inputs.eviction_policy is not None:
        safe = inputs.eviction_policy == "noeviction"
        message = f"Redis' maxmemory-policy is {inputs.eviction_policy}{'' if safe else ': it may drop jobs'}"
        advice = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
        yield make_check("eviction", classify(not safe, 1, 2), message, inputs.eviction_policy, advice)
    if inputs.persistent is not None:
        state = "on" if inputs.persistent else "off"
        problem = "Redis' persistence is off: a restart loses all jobs"
        message = "Redis writes to disk" if inputs.persistent else problem
        advice = "CONFIG SET appendonly yes, and the same in redis.conf"
        yield make_check("persistence", classify(not inputs.persistent, 1, 2), message, state, advice)


def _store(inputs: HealthInputs) -> Iterable[Check]:
    if inputs.store is None:
        return
    location, problem = inputs.store.location, inputs.store.problem
    message = f"the store {location} cannot be used: {problem}" if problem else f"the store {location} works"
    advice = "check PREVIEW_STORE and its bucket, the service, and the credentials of the workers and of this process"
    status = Status.CRITICAL if problem else Status.OK
    yield make_check("store", status, message, "fails" if problem else "works", advice)


def _disk(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    if inputs.disk_free_bytes is None or not inputs.disk_bytes:
        return
    share = inputs.disk_free_bytes / inputs.disk_bytes
    status = Status.WARNING if share < thresholds.disk_warning else Status.OK
    if share < thresholds.disk_critical or inputs.disk_free_bytes < thresholds.disk_critical_bytes:
        status = Status.CRITICAL
    message = f"{inputs.disk_free_bytes / 2**30:.1f} GiB free under DATA_DIR, {share:.0%} of it"
    advice = "remove unneeded bundles from DATA_DIR/previews, or add disk space"
    yield make_check("disk", status, message, f"{share:.0%} free", advice)
