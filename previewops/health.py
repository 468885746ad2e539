"""Whether a queue is well. Pure: plain values in, verdicts out.

Codes, first line and performance data follow the Monitoring Plugins Development Guidelines
(https://www.monitoring-plugins.org/doc/guidelines.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

SILENT_HEARTBEATS = 3
"""A worker that has missed this many heartbeats counts as silent."""


class Status(IntEnum):
    """What a check comes to; the number is the plugin's exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_BADNESS = (Status.OK, Status.WARNING, Status.UNKNOWN, Status.CRITICAL)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which figure on a check warns, and from which it is critical. Times in ms."""

    dead_warning: int = 1
    dead_critical: int = 100
    oldest_warning_ms: int = 60_000
    oldest_critical_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a queue. None: it could not be learnt, and is not judged.

    ``worker_ages_ms`` is how long ago each worker was last heard of; ``persistent`` whether Redis writes its
    data to a disk; ``unaccounted`` how many accepted jobs are in no state (below 0 they are not all taken in);
    ``lost_at`` when workers noticed that Redis had lost the queue's data (RFC 3339), until it is acknowledged.
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


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict: a kebab-case name, the status, and a sentence."""

    name: str
    status: Status
    message: str

    def as_json(self) -> dict[str, str]:
        """The check as ``health --json`` shows it."""
        return {"name": self.name, "status": self.status.name, "message": self.message}


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
    return Health((Check("redis", Status.CRITICAL, reason),))


def unknown(reason: str) -> Health:
    """The health when the check itself cannot be made."""
    return Health((Check("check", Status.UNKNOWN, reason),))


def judge(facts: Facts, thresholds: Thresholds) -> Health:
    """Holds ``facts`` against ``thresholds``."""
    checks = (
        _workers(facts),
        _accounting(facts),
        _loss(facts),
        _oldest(facts, thresholds),
        _dead(facts, thresholds),
        _paused(facts),
        *_redis(facts),
    )
    return Health(checks, tuple(_figures(facts, thresholds)))


def _workers(facts: Facts) -> Check:
    count = len(facts.worker_ages_ms)
    if count == 0:
        return Check("workers", Status.CRITICAL, "no worker is running")
    silent = sum(age > SILENT_HEARTBEATS * facts.heartbeat_ms for age in facts.worker_ages_ms)
    freshest = f"{min(facts.worker_ages_ms) / 1000:.0f} s"
    if silent == count:
        return Check(
            "workers", Status.CRITICAL, f"all of {_workers_in_words(count)} silent for {freshest} or more"
        )
    if silent:
        return Check("workers", Status.WARNING, f"{silent} of {_workers_in_words(count)} silent")
    waiting = facts.waiting + facts.delayed
    return Check(
        "workers", Status.OK, f"{_workers_in_words(count)}, {waiting} jobs pending, {facts.active} active"
    )


def _workers_in_words(count: int) -> str:
    return f"{count} worker{'' if count == 1 else 's'}"


def _accounting(facts: Facts) -> Check:
    if facts.unaccounted > 0:
        return Check("accounting", Status.CRITICAL, f"{facts.unaccounted} accepted jobs are in no state")
    return Check("accounting", Status.OK, "every accepted job is accounted for")


def _loss(facts: Facts) -> Check:
    if facts.lost_at is None:
        return Check("data-loss", Status.OK, "Redis has kept the queue's data")
    return Check(
        "data-loss",
        Status.CRITICAL,
        f"Redis lost the queue's data, noticed at {facts.lost_at}: bundles are kept, jobs that were pending have "
        "to be submitted again; then `previewops health --acknowledge-loss`",
    )


def _oldest(facts: Facts, thresholds: Thresholds) -> Check:
    found = facts.oldest_waiting_ms
    status = _status(found, thresholds.oldest_warning_ms, thresholds.oldest_critical_ms)
    message = f"a job has waited {found / 1000:.0f} s" if status else "no job waits for long"
    return Check("oldest-waiting", status, message)


def _dead(facts: Facts, thresholds: Thresholds) -> Check:
    status = _status(facts.dead, thresholds.dead_warning, thresholds.dead_critical)
    return Check("dead-letters", status, f"{facts.dead} dead letter{'' if facts.dead == 1 else 's'}")


def _status(found: int, warning: int, critical: int) -> Status:
    if found >= critical:
        return Status.CRITICAL
    return Status.WARNING if found >= warning else Status.OK


def _paused(facts: Facts) -> Check:
    if not facts.paused:
        return Check("paused", Status.OK, "the queue is not paused")
    by = f" by {facts.paused_by}" if facts.paused_by else ""
    why = f": {facts.paused_why}" if facts.paused_why else ""
    return Check("paused", Status.WARNING, f"the queue is paused{by}{why}")


def _redis(facts: Facts) -> Iterable[Check]:
    yield Check("redis", Status.OK, "Redis answers")
    if facts.eviction_policy is not None:
        good = facts.eviction_policy == "noeviction"
        message = f"Redis' maxmemory-policy is {facts.eviction_policy}"
        yield Check(
            "eviction",
            Status.OK if good else Status.WARNING,
            message + ("" if good else ": it may drop jobs"),
        )
    if facts.persistent is not None:
        message = (
            "Redis writes to disk"
            if facts.persistent
            else "Redis' persistence is off: a restart loses all jobs"
        )
        yield Check("persistence", Status.OK if facts.persistent else Status.WARNING, message)


def _figures(facts: Facts, thresholds: Thresholds) -> Sequence[Figure]:
    fresh = sum(age <= SILENT_HEARTBEATS * facts.heartbeat_ms for age in facts.worker_ages_ms)
    return (
        Figure("waiting", facts.waiting),
        Figure("delayed", facts.delayed),
        Figure("active", facts.active),
        # A bound b of the guidelines alerts above b, ours from it on.
        Figure("dead", facts.dead, "", str(thresholds.dead_warning - 1), str(thresholds.dead_critical - 1)),
        Figure(
            "oldest_waiting",
            facts.oldest_waiting_ms / 1000,
            "s",
            f"{thresholds.oldest_warning_ms / 1000:g}",
            f"{thresholds.oldest_critical_ms / 1000:g}",
        ),
        Figure("workers", fresh, "", "", "1:"),
        Figure("unaccounted", max(0, facts.unaccounted), "", "", "0"),
    )
