"""What is the matter with workers, supervisors and hosts."""

from __future__ import annotations

from collections.abc import Iterable

from previewops.health.inputs import FATAL_PHASE, SILENT_HEARTBEATS, HealthInputs, Thresholds
from previewops.health.results import Check, Status, classify, make_check
from previewops.health.words import plural_s, seconds


def check_workers(facts: HealthInputs, thresholds: Thresholds) -> Check:
    """Whether there are enough, and all are heard of."""
    count = len(facts.worker_ages_ms)
    if count == 0:
        advice = "start some: `previewops supervise`, or `previewops up`"
        return Check("workers", Status.CRITICAL, "no worker is running", "0", advice)
    silent = sum(age > SILENT_HEARTBEATS * facts.heartbeat_ms for age in facts.worker_ages_ms)
    told = f"{count} worker{plural_s(count)}"
    heard = count - silent
    if heard and heard < thresholds.workers_warning:
        status = Status.CRITICAL if heard < thresholds.workers_critical else Status.WARNING
        message = f"{heard} worker{plural_s(heard)} of {thresholds.workers_warning} that are wanted"
    elif silent == count:
        age = seconds(min(facts.worker_ages_ms))
        status, message = Status.CRITICAL, f"all of {told} silent for {age} or more"
    elif silent:
        status, message = Status.WARNING, f"{silent} of {told} silent"
    else:
        waiting = facts.waiting + facts.delayed
        status, message = Status.OK, f"{told}, {waiting} jobs pending, {facts.active} active"
    advice = "`previewops workers` tells which; see whether its host and its process live"
    return make_check("workers", status, message, f"{heard} of {count}", advice)


def check_supervisors(facts: HealthInputs) -> Check:
    """Whether they are heard of, and have given up no worker."""
    silent = [view.supervisor_id for view in facts.supervisors if view.silent]
    heard = [view for view in facts.supervisors if not view.silent]
    fatal = [each for view in heard for each in view.state.workers if each.phase == FATAL_PHASE]
    notices = [f"{view.supervisor_id}: {view.state.notice}" for view in heard if view.state.notice]
    figure = f"{len(heard)} of {len(facts.supervisors)}"
    advice = "`previewops workers` tells more"
    said = []
    if silent:
        said.append(f"silent: {', '.join(silent)}")
        advice = "see whether its host lives; a supervisor that is gone for good is forgotten within a day"
    if fatal:
        names = ", ".join(each.worker_id or f"worker {each.slot}" for each in fatal)
        said.append(f"given up: {names}")
        advice = "`previewops workers` says why; mend that, then `previewops reset`"
    if said or notices:
        return Check("supervisors", Status.WARNING, "; ".join([*said, *notices]), figure, advice)
    return Check("supervisors", Status.OK, f"{len(heard)} supervisor{plural_s(len(heard))}", figure)


def check_versions(facts: HealthInputs) -> Check:
    """Whether all workers are of one."""
    found = ", ".join(sorted(facts.versions)) or "none"
    if len(facts.versions) > 1:
        advice = "end the roll-out: `previewops restart` on the hosts that are behind"
        return Check("versions", Status.WARNING, f"workers differ in their version: {found}", found, advice)
    return Check("versions", Status.OK, "all workers have one version", found)


def check_confinement(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    """Whether hostile pictures meet all locks that are demanded. Workers of before that told are not judged."""
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
        "run workers on Linux 5.13 or newer with Landlock and seccomp, or accept less by --confinement",
    )


def check_clocks(facts: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    """Whether logs and files of all hosts tell the same time. Leases do not depend on it."""
    if not facts.clocks_ahead_ms:
        return
    who, ahead = max(facts.clocks_ahead_ms.items(), key=lambda item: abs(item[1]))
    status = classify(abs(ahead), thresholds.skew_warning_ms, thresholds.skew_critical_ms)
    side = "ahead of" if ahead > 0 else "behind"
    message = f"the clock of {who} is {seconds(abs(ahead))} {side} the one of Redis"
    if status is Status.OK:
        message = "the clocks of all hosts agree with the one of Redis"
    advice = "have the hosts set their clocks by NTP: `timedatectl` tells whether they do"
    yield make_check("clocks", status, message, f"{ahead / 1000:+.1f} s", advice)
