"""Health rules for workers, supervisors and hosts."""

from __future__ import annotations

from collections.abc import Iterable

from previewops.health.inputs import FATAL_PHASE, SILENT_HEARTBEATS, HealthInputs, Thresholds
from previewops.health.results import Check, Status, classify, make_check
from previewops.health.words import plural_s, seconds


def check_workers(facts: HealthInputs, thresholds: Thresholds) -> Check:
    """Checks that enough workers run and that all send heartbeats."""
    count = len(facts.worker_ages_ms)
    if count == 0:
        advice = "start workers: `previewops supervise`, or `previewops up`"
        return Check("workers", Status.CRITICAL, "no worker is running", "0", advice)
    silent = sum(age > SILENT_HEARTBEATS * facts.heartbeat_ms for age in facts.worker_ages_ms)
    told = f"{count} worker{plural_s(count)}"
    heard = count - silent
    if heard and heard < thresholds.workers_warning:
        status = Status.CRITICAL if heard < thresholds.workers_critical else Status.WARNING
        message = f"{heard} worker{plural_s(heard)} of {thresholds.workers_warning} required"
    elif silent == count:
        age = seconds(min(facts.worker_ages_ms))
        status, message = Status.CRITICAL, f"all of {told} silent for {age} or more"
    elif silent:
        status, message = Status.WARNING, f"{silent} of {told} silent"
    else:
        waiting = facts.waiting + facts.delayed
        status, message = Status.OK, f"{told}, {waiting} jobs pending, {facts.active} active"
    advice = "`previewops workers` shows which; check their hosts and processes"
    return make_check("workers", status, message, f"{heard} of {count}", advice)


def check_supervisors(facts: HealthInputs) -> Check:
    """Checks that supervisors report and restart all their workers."""
    silent = [view.supervisor_id for view in facts.supervisors if view.silent]
    heard = [view for view in facts.supervisors if not view.silent]
    fatal = [each for view in heard for each in view.state.workers if each.phase == FATAL_PHASE]
    notices = [f"{view.supervisor_id}: {view.state.notice}" for view in heard if view.state.notice]
    figure = f"{len(heard)} of {len(facts.supervisors)}"
    advice = "`previewops workers` shows details"
    said = []
    if silent:
        said.append(f"silent: {', '.join(silent)}")
        advice = "check its host; a removed supervisor disappears from the list within a day"
    if fatal:
        names = ", ".join(each.worker_id or f"worker {each.slot}" for each in fatal)
        said.append(f"given up: {names}")
        advice = "`previewops workers` shows why; fix the cause, then `previewops reset`"
    if said or notices:
        return Check("supervisors", Status.WARNING, "; ".join([*said, *notices]), figure, advice)
    return Check("supervisors", Status.OK, f"{len(heard)} supervisor{plural_s(len(heard))}", figure)


def check_versions(facts: HealthInputs) -> Check:
    """Checks that all workers run the same version."""
    found = ", ".join(sorted(facts.versions)) or "none"
    if len(facts.versions) > 1:
        advice = "finish the roll-out: `previewops restart` on the hosts with the old version"
        return Check("versions", Status.WARNING, f"workers run different versions: {found}", found, advice)
    return Check("versions", Status.OK, "all workers run the same version", found)


def check_confinement(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    """Checks that render processes have the required confinement. Workers that do not report it are skipped."""
    told = facts.confined_by
    if not told:
        return
    wanted = thresholds.confinement.layers
    lacking = {
        worker: missing
        for worker, layers in sorted(told.items())
        if (missing := [name for name in wanted if not any(layer.startswith(name) for layer in layers)])
    }
    if not lacking:
        _, weakest = min((len(layers), ", ".join(layers)) for layers in told.values())
        yield Check("confinement", Status.OK, f"render processes are confined by {weakest}", weakest)
        return
    worker, missing = next(iter(lacking.items()))
    others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    yield Check(
        "confinement",
        Status.WARNING,
        f"{worker}{others} render without {' and '.join(missing)}",
        f"{len(lacking)} of {len(told)} lack it",
        "run workers on Linux 5.13 or newer with Landlock and seccomp, or lower --confinement",
    )


def check_clocks(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    """Checks that all hosts agree on the time, for logs and file times. Leases do not depend on it."""
    if not facts.clocks_ahead_ms:
        return
    who, ahead = max(facts.clocks_ahead_ms.items(), key=lambda item: abs(item[1]))
    status = classify(abs(ahead), thresholds.skew_warning_ms, thresholds.skew_critical_ms)
    side = "ahead of" if ahead > 0 else "behind"
    message = f"the clock of {who} is {seconds(abs(ahead))} {side} the one of Redis"
    if status is Status.OK:
        message = "the clocks of all hosts agree with the one of Redis"
    advice = "synchronize the hosts' clocks by NTP; `timedatectl` shows their state"
    yield make_check("clocks", status, message, f"{ahead / 1000:+.1f} s", advice)
