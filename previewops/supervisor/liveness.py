"""What a look at Redis says of each worker, and what follows: it runs, it hangs, or it is due to be replaced."""

from __future__ import annotations

from previewops.supervisor import hang_policy
from previewops.supervisor.phases import Phase
from previewops.supervisor.pool import WorkerPool
from previewops.supervisor.recycle_policy import recycle_reason
from previewops.supervisor.redis_poller import PollResult, WorkerObservation
from previewops.supervisor.rolling_restart import RollingRestart
from previewops.supervisor.slots import WorkerProcess


def check_liveness(
    pool: WorkerPool, rolling_restart: RollingRestart, result: PollResult, elapsed_s: float, now: float
) -> None:
    """Examines every worker that was looked at, ``passed_s`` after the look before."""
    for worker in list(pool.workers):
        seen = result.workers.get(worker.worker_id)
        if seen is None:
            continue
        _note(worker, seen, elapsed_s)
        if worker.kill_reason is not None:
            continue
        if worker.phase is Phase.STARTING and worker.heartbeats.reported:
            worker.phase = Phase.RUNNING
            rolling_restart.on_running(worker, now)
        why = _hang(pool, worker)
        if why is not None:
            pool.abort(worker, now, why)
        elif worker.phase is Phase.RUNNING:
            _consider_recycling(pool, rolling_restart, worker, now)


def _note(worker: WorkerProcess, seen: WorkerObservation, passed_s: float) -> None:
    worker.heartbeats = worker.heartbeats.after_poll(seen.heartbeat_ms, passed_s)
    worker.oldest_run_s, worker.rss_bytes, worker.jobs = seen.oldest_run_s, seen.rss_bytes, seen.jobs


def _hang(fleet: WorkerPool, worker: WorkerProcess) -> str | None:
    settings = fleet.launch.settings
    return hang_policy.hang_reason(
        worker.heartbeats,
        heartbeat_ms=settings.heartbeat_ms,
        oldest_run_s=worker.oldest_run_s,
        job_timeout_s=settings.job_timeout_s,
        draining=worker.phase is Phase.DRAINING,
    )


def _consider_recycling(
    fleet: WorkerPool, replacements: RollingRestart, worker: WorkerProcess, now: float
) -> None:
    place = fleet.slot_of(worker)
    if place is None or now < place.replace_not_before or worker.reason:
        return
    why = recycle_reason(
        worker.recycle_limits, rss_bytes=worker.rss_bytes, jobs=worker.jobs, age_s=now - worker.started
    )
    if why is not None:
        worker.reason = f"recycled: {why}"
        fleet.log_action(f"worker {worker.number} ({worker.worker_id}) is replaced: {why}")
        replacements.enqueue(worker)
