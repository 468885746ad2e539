"""Health rules for workers, supervisors and hosts."""

from __future__ import annotations

from collections.abc import Iterable

from previewops.formatting import pluralize
from previewops.health.inputs import FATAL_PHASE, SILENT_HEARTBEATS, HealthInputs, Thresholds
from previewops.health.results import Check, Status, classify, format_seconds, make_check
from previewops.snapshot.fleet import SupervisedWorker


def check_workers(inputs: HealthInputs, thresholds: Thresholds) -> Check:
    """Checks that enough workers run and that all send heartbeats."""
    count = len(inputs.worker_ages_ms)
    if count == 0:
        advice = "start workers: `previewops supervise`, or `previewops up`"
        if any(worker.drained for view in inputs.supervisors for worker in view.state.workers):
            advice = "workers were drained by an operator: `previewops reset` starts them"
        return Check("workers", Status.CRITICAL, "no worker is running", "0", advice)
    silent = sum(age > SILENT_HEARTBEATS * inputs.heartbeat_ms for age in inputs.worker_ages_ms)
    workers, live = pluralize(count, "worker"), count - silent
    if live and live < thresholds.workers_warning:
        status = Status.CRITICAL if live < thresholds.workers_critical else Status.WARNING
        message = f"{pluralize(live, 'worker')} of {thresholds.workers_warning} required"
    elif silent == count:
        age = format_seconds(min(inputs.worker_ages_ms))
        status, message = Status.CRITICAL, f"all of {workers} silent for {age} or more"
    elif silent:
        status, message = Status.WARNING, f"{silent} of {workers} silent"
    else:
        waiting = inputs.waiting + inputs.delayed
        status, message = Status.OK, f"{workers}, {waiting} jobs pending, {inputs.active} active"
    advice = "`previewops workers` shows which; check their hosts and processes"
    return make_check("workers", status, message, f"{live} of {count}", advice)


def check_supervisors(inputs: HealthInputs) -> Check:
    """Checks that supervisors report and restart all their workers."""
    silent = [view.supervisor_id for view in inputs.supervisors if view.silent]
    live = [view for view in inputs.supervisors if not view.silent]
    workers = [worker for view in live for worker in view.state.workers]
    fatal = [worker for worker in workers if worker.phase == FATAL_PHASE]
    failing = [worker for worker in workers if worker.failing]
    notices = [f"{view.supervisor_id}: {view.state.notice}" for view in live if view.state.notice]
    figure = f"{len(live)} of {len(inputs.supervisors)}"
    advice = "`previewops workers` shows details"
    problems = []
    if silent:
        problems.append(f"silent: {', '.join(silent)}")
        advice = "check its host; a removed supervisor disappears from the list within a day"
    if failing:
        problems.append(f"failing: {_names(failing)} ({failing[0].reason})")
        advice = "`previewops workers` shows why; workers are started again until the cause is gone"
    if fatal:
        problems.append(f"given up: {_names(fatal)}")
        advice = "`previewops workers` shows why; fix the cause, then `previewops reset`"
    if problems or notices:
        status = Status.CRITICAL if failing or fatal else Status.WARNING
        return Check("supervisors", status, "; ".join([*problems, *notices]), figure, advice)
    drained = [worker for worker in workers if worker.drained]
    message = pluralize(len(live), "supervisor")
    if drained:
        message += f"; drained by an operator: {_names(drained)} ({drained[0].reason})"
    return Check("supervisors", Status.OK, message, figure)


def _names(workers: Iterable[SupervisedWorker]) -> str:
    return ", ".join(worker.worker_id or f"worker {worker.number}" for worker in workers)


def check_versions(inputs: HealthInputs) -> Check:
    """Checks that all workers run the same version."""
    versions = ", ".join(sorted(inputs.versions)) or "none"
    if len(inputs.versions) > 1:
        advice = "finish the roll-out: `previewops restart` on the hosts with the old version"
        message = f"workers run different versions: {versions}"
        return Check("versions", Status.WARNING, message, versions, advice)
    return Check("versions", Status.OK, "all workers run the same version", versions)


def check_confinement(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    """Checks that render processes have the required confinement. Workers that do not report it are skipped."""
    confined_by = inputs.confined_by
    if not confined_by:
        return
    required = thresholds.confinement.layers
    lacking = {
        worker: missing
        for worker, layers in sorted(confined_by.items())
        if (missing := [name for name in required if not any(layer.startswith(name) for layer in layers)])
    }
    if not lacking:
        count, weakest = min((len(layers), ", ".join(layers)) for layers in confined_by.values())
        message = f"render processes are confined by {weakest}"
        yield Check("confinement", Status.OK, message, pluralize(count, "layer"))
        return
    worker, missing = next(iter(lacking.items()))
    others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    reasons = "; ".join(
        line for line in inputs.confinement_missing.get(worker, ()) if line.startswith(tuple(missing))
    )
    message = f"{worker}{others} render without {' and '.join(missing)}" + (
        f" ({reasons})" if reasons else ""
    )
    advice = (
        "permit Landlock and seccomp where the worker's kernel, service or container denies them, "
        "or lower --confinement"
    )
    figure = f"{len(lacking)} of {len(confined_by)} lack it"
    yield Check("confinement", Status.WARNING, message, figure, advice)


def check_clocks(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    """Checks that all hosts agree on the time, for logs and file times. Leases do not depend on it."""
    if not inputs.clocks_ahead_ms:
        return
    host, ahead = max(inputs.clocks_ahead_ms.items(), key=lambda item: abs(item[1]))
    status = classify(abs(ahead), thresholds.skew_warning_ms, thresholds.skew_critical_ms)
    side = "ahead of" if ahead > 0 else "behind"
    message = f"the clock of {host} is {format_seconds(abs(ahead))} {side} the one of Redis"
    if status is Status.OK:
        message = "the clocks of all hosts agree with the one of Redis"
    advice = "synchronize the hosts' clocks by NTP; `timedatectl` shows their state"
    yield make_check("clocks", status, message, f"{ahead / 1000:+.1f} s", advice)
