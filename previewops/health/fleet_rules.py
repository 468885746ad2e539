"""Health rules for workers and supervisors."""

from __future__ import annotations

from collections.abc import Iterable

from previewops.errors import START_WORKERS_HINT
from previewops.formatting import pluralize
from previewops.health.inputs import FATAL_PHASE, SILENT_HEARTBEATS, HealthInputs, Thresholds
from previewops.health.results import Check, Status, format_seconds, make_check
from previewops.snapshot.fleet import SupervisedWorker


def check_workers(inputs: HealthInputs, thresholds: Thresholds) -> Check:
    """Checks that enough workers run and that all send heartbeats."""
    count = len(inputs.worker_ages_ms)
    if count == 0:
        advice = START_WORKERS_HINT
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
