"""Whether a queue is well. Pure: plain values in, verdicts out.

Codes, first line and performance data follow the Monitoring Plugins Development Guidelines
(https://www.monitoring-plugins.org/doc/guidelines.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from previewops.fleetviews import SupervisorView

SILENT_HEARTBEATS = 3
"""A worker that has missed this many heartbeats counts as silent."""

RECENT_S = 300
"""The time over which failures are counted."""

ENOUGH_JOBS = 5
"""Of fewer jobs that ended the share of failures is not judged."""

STUCK_AFTER_MS = 30_000
"""A run that is past its deadline by more than this was not killed as it should have been."""

FATAL = "fatal"
"""The phase of a worker that its supervisor has given up."""


class Status(IntEnum):
    """What a check comes to; the number is the plugin's exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_BADNESS = (Status.OK, Status.WARNING, Status.UNKNOWN, Status.CRITICAL)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which figure on a check warns, and from which it is critical.

    Times in ms; shares in 0..1. ``growth`` counts dead letters that were added within ``RECENT_S``. Free disk
    space is bad from the share on downwards, and critical below ``disk_critical_bytes`` in any case.
    """

    dead_warning: int = 1
    dead_critical: int = 100
    oldest_warning_ms: int = 60_000
    oldest_critical_ms: int = 300_000
    failure_warning: float = 0.05
    failure_critical: float = 0.25
    growth_warning: int = 10
    growth_critical: int = 100
    latency_warning_ms: float = 50.0
    latency_critical_ms: float = 500.0
    disk_warning: float = 0.10
    disk_critical: float = 0.03
    disk_critical_bytes: int = 200_000_000


@dataclass(frozen=True, slots=True)
class Recent:
    """What happened in the last ``RECENT_S``: jobs completed and died, dead letters requeued and discarded."""

    completed: int
    died: int
    removed: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a queue. None: it could not be learnt, and is not judged.

    ``worker_ages_ms`` is how long ago each worker was last heard of; ``persistent`` whether Redis writes its
    data to a disk; ``unaccounted`` how many accepted jobs are in no state (below 0 they are not all taken in);
    ``lost_at`` when workers noticed that Redis had lost the queue's data (RFC 3339), until it is acknowledged;
    ``run_ages_ms`` how long each running job (by id) has run, and ``deadline_ms`` how long one may;
    ``versions`` those of the workers; ``disk_free_bytes`` and ``disk_bytes`` of the file system of DATA_DIR;
    ``redis_ms`` how long Redis took to answer.
    """

    waiting: int
    delayed: int
    active: int
    dead: int
    oldest_waiting_ms: int
    paused: bool
    paused_by: str
    unaccounted: int
    worker_ages_ms: tuple[int, ...]
    heartbeat_ms: int
    eviction_policy: str | None
    persistent: bool | None
    lost_at: str | None = None
    paused_why: str = ""
    recent: Recent | None = None
    supervisors: tuple[SupervisorView, ...] = ()
    run_ages_ms: Mapping[str, int] | None = None
    deadline_ms: int = 0
    versions: frozenset[str] = frozenset()
    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    redis_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict: a kebab-case name, the status, and a sentence.

    ``figure`` is what it rests on in a word or two; ``advice`` what to do, in one line, "" when all is well.
    """

    name: str
    status: Status
    message: str
    figure: str = ""
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """The check as ``health --json`` shows it."""
        told = {"name": self.name, "status": self.status.name, "message": self.message}
        return {**told, "figure": self.figure, "advice": self.advice}


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of the performance data with its unit and bounds ("" for none), after the guidelines."""

    label: str
    value: float
    unit: str = ""
    warning: str = ""
    critical: str = ""

    def __str__(self) -> str:
        return f"{self.label}={self.value}{self.unit};{self.warning};{self.critical};0;"


@dataclass(frozen=True, slots=True)
class Health:
    """All verdicts and figures, and the worst of the verdicts."""

    checks: tuple[Check, ...]
    figures: tuple[Figure, ...] = ()

    @property
    def status(self) -> Status:
        """The worst: critical over unknown over warning over OK."""
        return max((check.status for check in self.checks), key=_BADNESS.index, default=Status.UNKNOWN)

    def first_line(self) -> str:
        """``PREVIEWOPS OK - what is the matter, or that nothing is | performance data``."""
        bad = sorted(
            (check for check in self.checks if check.status is not Status.OK),
            key=lambda check: -_BADNESS.index(check.status),
        )
        said = "; ".join(check.message for check in (bad or self.checks[:1]))
        data = f" | {' '.join(map(str, self.figures))}" if self.figures else ""
        # A bar ends the text for whoever reads it by machine.
        return f"PREVIEWOPS {self.status.name} - {said.replace('|', '/')}{data}"

    def as_json(self) -> dict[str, Any]:
        """The health as ``health --json`` shows it."""
        return {
            "status": self.status.name,
            "exitCode": int(self.status),
            "checks": [check.as_json() for check in self.checks],
            "figures": {figure.label: figure.value for figure in self.figures},
        }


def unreachable(reason: str) -> Health:
    """The health of a queue whose Redis cannot be used."""
    advice = "see that the server runs, and that --redis-url or REDIS_URL names it"
    return Health((Check("redis", Status.CRITICAL, reason, "no answer", advice),))


def unknown(reason: str) -> Health:
    """The health when the check itself cannot be made."""
    advice = "`previewops health --help` tells the options"
    return Health((Check("check", Status.UNKNOWN, reason, "", advice),))


def judge(facts: Facts, thresholds: Thresholds) -> Health:
    """Holds ``facts`` against ``thresholds``."""
    checks = (
        _workers(facts),
        _accounting(facts),
        _loss(facts),
        _oldest(facts, thresholds),
        _dead(facts, thresholds),
        *_recent(facts, thresholds),
        *_stuck(facts),
        _paused(facts),
        _supervisors(facts),
        _versions(facts),
        *_redis(facts, thresholds),
        *_disk(facts, thresholds),
    )
    return Health(checks, tuple(_figures(facts, thresholds)))


def _check(name: str, status: Status, message: str, figure: str, advice: str) -> Check:
    return Check(name, status, message, figure, "" if status is Status.OK else advice)


def _workers(facts: Facts) -> Check:
    count = len(facts.worker_ages_ms)
    if count == 0:
        advice = "start some: `previewops supervise`, or `previewops up`"
        return Check("workers", Status.CRITICAL, "no worker is running", "0", advice)
    silent = sum(age > SILENT_HEARTBEATS * facts.heartbeat_ms for age in facts.worker_ages_ms)
    told = f"{count} worker{_s(count)}"
    if silent == count:
        age = _seconds(min(facts.worker_ages_ms))
        status, message = Status.CRITICAL, f"all of {told} silent for {age} or more"
    elif silent:
        status, message = Status.WARNING, f"{silent} of {told} silent"
    else:
        waiting = facts.waiting + facts.delayed
        status, message = Status.OK, f"{told}, {waiting} jobs pending, {facts.active} active"
    advice = "`previewops workers` tells which; see whether its host and its process live"
    return _check("workers", status, message, f"{count - silent} of {count}", advice)


def _accounting(facts: Facts) -> Check:
    missing = max(0, facts.unaccounted)
    message = f"{missing} accepted jobs are in no state" if missing else "every accepted job is accounted for"
    advice = "somebody deleted keys, or Redis evicted some: see the limits in docs/guarantees.md"
    return _check("accounting", Status.CRITICAL if missing else Status.OK, message, f"{missing}", advice)


def _loss(facts: Facts) -> Check:
    if facts.lost_at is None:
        return Check("data-loss", Status.OK, "Redis has kept the queue's data", "none")
    return Check(
        "data-loss",
        Status.CRITICAL,
        f"Redis lost the queue's data, noticed at {facts.lost_at}; bundles are kept",
        facts.lost_at,
        "submit what was pending again, then `previewops health --acknowledge-loss`",
    )


def _oldest(facts: Facts, thresholds: Thresholds) -> Check:
    found = facts.oldest_waiting_ms
    status = _status(found, thresholds.oldest_warning_ms, thresholds.oldest_critical_ms)
    message = f"a job has waited {_seconds(found)}" if status else "no job waits for long"
    advice = "`previewops stats`, then more workers or a higher PREVIEW_WORKER_CONCURRENCY"
    return _check("oldest-waiting", status, message, _seconds(found), advice)


def _dead(facts: Facts, thresholds: Thresholds) -> Check:
    status = _status(facts.dead, thresholds.dead_warning, thresholds.dead_critical)
    advice = "`previewops dlq list --groups`, mend the cause, then requeue that group"
    return _check(
        "dead-letters", status, f"{facts.dead} dead letter{_s(facts.dead)}", f"{facts.dead}", advice
    )


def _recent(facts: Facts, thresholds: Thresholds) -> Iterable[Check]:
    if facts.recent is None:
        return
    died, ended = facts.recent.died, facts.recent.died + facts.recent.completed
    share = died / ended if ended else 0.0
    enough = ended >= ENOUGH_JOBS
    status = _status(share, thresholds.failure_warning, thresholds.failure_critical) if enough else Status.OK
    message = f"{died} of {ended} jobs that ended in the last {RECENT_S // 60} min died"
    advice = "`previewops dlq list --groups` tells of what; `previewops pause` if they all would"
    yield _check("failure-rate", status, message, f"{share:.0%}" if enough else f"{died} of {ended}", advice)
    grown = died - facts.recent.removed
    status = _status(grown, thresholds.growth_warning, thresholds.growth_critical)
    message = f"{max(0, grown)} more dead letters than {RECENT_S // 60} min ago"
    yield _check("dead-growth", status, message, f"{grown:+d}", advice)


def _stuck(facts: Facts) -> Iterable[Check]:
    if facts.run_ages_ms is None:
        return
    allowed = facts.deadline_ms + STUCK_AFTER_MS
    ages = sorted(((age, job_id) for job_id, age in facts.run_ages_ms.items() if age > allowed), reverse=True)
    count = len(ages)
    message = f"no job has run for longer than {_seconds(allowed)}"
    if ages:
        message = f"{count} job{_s(count)} past the deadline, {ages[0][1]} for {_seconds(ages[0][0])}"
    advice = "`previewops workers` tells who is at it; `previewops restart` or `previewops cancel` ends it"
    yield _check("stuck-jobs", Status.WARNING if ages else Status.OK, message, f"{count}", advice)


def _paused(facts: Facts) -> Check:
    if not facts.paused:
        return Check("paused", Status.OK, "the queue is not paused", "no")
    by = f" by {facts.paused_by}" if facts.paused_by else ""
    why = f": {facts.paused_why}" if facts.paused_why else ""
    advice = "`previewops resume` when what it was for is over"
    return Check("paused", Status.WARNING, f"the queue is paused{by}{why}", "yes", advice)


def _supervisors(facts: Facts) -> Check:
    silent = [view.supervisor_id for view in facts.supervisors if view.silent]
    heard = [view for view in facts.supervisors if not view.silent]
    fatal = [each for view in heard for each in view.state.workers if each.phase == FATAL]
    notices = [f"{view.supervisor_id}: {view.state.notice}" for view in heard if view.state.notice]
    figure = f"{len(heard)} of {len(facts.supervisors)}"
    advice = "`previewops workers` tells more"
    said = []
    if silent:
        said.append(f"silent: {', '.join(silent)}")
        advice = "see whether its host lives; a supervisor that is gone for good is forgotten within a day"
    if fatal:
        names = ", ".join(each.worker_id or f"worker {each.place}" for each in fatal)
        said.append(f"given up: {names}")
        advice = "`previewops workers` says why; mend that, then `previewops reset`"
    if said or notices:
        return Check("supervisors", Status.WARNING, "; ".join([*said, *notices]), figure, advice)
    return Check("supervisors", Status.OK, f"{len(heard)} supervisor{_s(len(heard))}", figure)


def _versions(facts: Facts) -> Check:
    found = ", ".join(sorted(facts.versions)) or "none"
    if len(facts.versions) > 1:
        advice = "end the roll-out: `previewops restart` on the hosts that are behind"
        return Check("versions", Status.WARNING, f"workers differ in their version: {found}", found, advice)
    return Check("versions", Status.OK, "all workers have one version", found)


def _redis(facts: Facts, thresholds: Thresholds) -> Iterable[Check]:
    if facts.redis_ms is None:
        yield Check("redis", Status.OK, "Redis answers", "answers")
    else:
        status = _status(facts.redis_ms, thresholds.latency_warning_ms, thresholds.latency_critical_ms)
        figure = f"{facts.redis_ms:.1f} ms"
        advice = "see the server's load, its SLOWLOG, and the network to it"
        yield _check("redis", status, f"Redis answers in {figure}", figure, advice)
    if facts.eviction_policy is not None:
        good = facts.eviction_policy == "noeviction"
        message = f"Redis' maxmemory-policy is {facts.eviction_policy}" + (
            "" if good else ": it may drop jobs"
        )
        advice = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
        yield _check("eviction", _status(not good, 1, 2), message, facts.eviction_policy, advice)
    if facts.persistent is not None:
        on = facts.persistent
        message = "Redis writes to disk" if on else "Redis' persistence is off: a restart loses all jobs"
        advice = "CONFIG SET appendonly yes, and the same in redis.conf"
        yield _check("persistence", _status(not on, 1, 2), message, "on" if on else "off", advice)


def _disk(facts: Facts, thresholds: Thresholds) -> Iterable[Check]:
    if facts.disk_free_bytes is None or not facts.disk_bytes:
        return
    share = facts.disk_free_bytes / facts.disk_bytes
    status = Status.WARNING if share < thresholds.disk_warning else Status.OK
    if share < thresholds.disk_critical or facts.disk_free_bytes < thresholds.disk_critical_bytes:
        status = Status.CRITICAL
    message = f"{facts.disk_free_bytes / 1e9:.1f} GB free under DATA_DIR, {share:.0%} of it"
    advice = "remove bundles that nobody needs from DATA_DIR/previews, or give it room"
    yield _check("disk", status, message, f"{share:.0%} free", advice)


def _status(found: float, warning: float, critical: float) -> Status:
    if found >= critical:
        return Status.CRITICAL
    return Status.WARNING if found >= warning else Status.OK


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.0f} s"


def _figures(facts: Facts, thresholds: Thresholds) -> Iterable[Figure]:
    fresh = sum(age <= SILENT_HEARTBEATS * facts.heartbeat_ms for age in facts.worker_ages_ms)
    yield Figure("waiting", facts.waiting)
    yield Figure("delayed", facts.delayed)
    yield Figure("active", facts.active)
    # A bound b of the guidelines alerts above b, ours from it on.
    yield Figure("dead", facts.dead, "", str(thresholds.dead_warning - 1), str(thresholds.dead_critical - 1))
    oldest = [f"{ms / 1000:g}" for ms in (thresholds.oldest_warning_ms, thresholds.oldest_critical_ms)]
    yield Figure("oldest_waiting", facts.oldest_waiting_ms / 1000, "s", *oldest)
    yield Figure("workers", fresh, "", "", "1:")
    yield Figure("unaccounted", max(0, facts.unaccounted), "", "", "0")
    if facts.recent is not None:
        yield Figure("completed_recently", facts.recent.completed)
        yield Figure("died_recently", facts.recent.died)
    if facts.redis_ms is not None:
        slow = [f"{ms / 1000:g}" for ms in (thresholds.latency_warning_ms, thresholds.latency_critical_ms)]
        yield Figure("redis_answer", round(facts.redis_ms / 1000, 4), "s", *slow)
    if facts.disk_free_bytes is not None:
        yield Figure("disk_free", facts.disk_free_bytes, "B")
