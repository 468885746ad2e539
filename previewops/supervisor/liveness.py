"""Applies a poll result to the workers: marks them running, kills hung ones, replaces those at their limits."""

from __future__ import annotations

from previewops.supervisor import hang_policy
from previewops.supervisor.actions import Action
from previewops.supervisor.phases import Phase
from previewops.supervisor.pool import WorkerPool
from previewops.supervisor.recycle_policy import recycle_reason
from previewops.supervisor.redis_poller import PollResult
from previewops.supervisor.rolling_restart import RollingRestart
from previewops.supervisor.slots import WorkerProcess


def check_liveness(
    pool: WorkerPool, rolling_restart: RollingRestart, result: PollResult, elapsed_s: float, now: float
) -> None:
    """Checks every worker of a poll result, ``elapsed_s`` after the result before."""
    for worker in list(pool.workers):
        observation = result.workers.get(worker.worker_id)
        if observation is None:
            continue  # it is new, or Redis cannot tell
        worker.heartbeats = worker.heartbeats.after_poll(observation.heartbeat_ms, elapsed_s)
        worker.oldest_run_s = hang_policy.run_age_s(worker.oldest_run_s, observation.oldest_run_s, elapsed_s)
        worker.rss_bytes, worker.jobs = observation.rss_bytes, observation.jobs
        if worker.kill_reason is not None:
            continue
        if worker.phase is Phase.STARTING and worker.heartbeats.reported:
            worker.phase = Phase.RUNNING
            rolling_restart.on_running(worker, now)
        if worker.phase is Phase.RUNNING:
            pool.note_uptime(worker, now)
        reason = _hang_reason(pool, worker)
        if reason is not None:
            pool.abort(worker, now, reason)
        elif worker.phase is Phase.RUNNING:
            _recycle_if_due(pool, rolling_restart, worker, now)


def _hang_reason(pool: WorkerPool, worker: WorkerProcess) -> str | None:
    settings = pool.launch.settings
    return hang_policy.hang_reason(
        worker.heartbeats,
        heartbeat_ms=settings.heartbeat_ms,
        oldest_run_s=worker.oldest_run_s,
        job_timeout_s=settings.job_timeout_s,
        draining=worker.phase is Phase.DRAINING,
    )


def _recycle_if_due(
    pool: WorkerPool, rolling_restart: RollingRestart, worker: WorkerProcess, now: float
) -> None:
    slot = pool.slot_of(worker)
    if slot is None or now < slot.replace_not_before or worker.reason:
        return
    reason = recycle_reason(
        worker.recycle_limits, rss_bytes=worker.rss_bytes, jobs=worker.jobs, age_s=now - worker.started
    )
    if reason is not None:
        worker.reason = f"recycled: {reason}"
        message = f"worker {worker.number} ({worker.worker_id}) is replaced: {reason}"
        pool.log_action(Action.WORKER_RECYCLED, message)
        rolling_restart.enqueue(worker)
