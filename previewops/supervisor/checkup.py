"""What a look at Redis says of each worker, and what follows: it runs, it hangs, or it is due to be replaced."""

from __future__ import annotations

from previewops.supervisor import hang
from previewops.supervisor.fleet import Fleet
from previewops.supervisor.members import Worker
from previewops.supervisor.phases import Phase
from previewops.supervisor.recycling import reason_to_recycle
from previewops.supervisor.replacing import Replacements
from previewops.supervisor.watchtower import Look, Sighting


def check_up(fleet: Fleet, replacements: Replacements, look: Look, passed_s: float, now: float) -> None:
    """Examines every worker that was looked at, ``passed_s`` after the look before."""
    for worker in list(fleet.workers):
        seen = look.workers.get(worker.worker_id)
        if seen is None:
            continue
        _note(worker, seen, passed_s)
        if worker.killed_for is not None:
            continue
        if worker.phase is Phase.STARTING and worker.watch.reported:
            worker.phase = Phase.RUNNING
            replacements.on_running(worker, now)
        why = _hang(fleet, worker)
        if why is not None:
            fleet.abort(worker, now, why)
        elif worker.phase is Phase.RUNNING:
            _consider_recycling(fleet, replacements, worker, now)


def _note(worker: Worker, seen: Sighting, passed_s: float) -> None:
    worker.watch = worker.watch.looked(seen.heartbeat_ms, passed_s)
    worker.oldest_run_s, worker.rss_bytes, worker.jobs = seen.oldest_run_s, seen.rss_bytes, seen.jobs


def _hang(fleet: Fleet, worker: Worker) -> str | None:
    settings = fleet.launch.settings
    return hang.verdict(
        worker.watch,
        heartbeat_ms=settings.heartbeat_ms,
        oldest_run_s=worker.oldest_run_s,
        job_timeout_s=settings.job_timeout_s,
        draining=worker.phase is Phase.DRAINING,
    )


def _consider_recycling(fleet: Fleet, replacements: Replacements, worker: Worker, now: float) -> None:
    place = fleet.holds_place(worker)
    if place is None or now < place.quiet_until or worker.reason:
        return
    why = reason_to_recycle(
        worker.limits, rss_bytes=worker.rss_bytes, jobs=worker.jobs, age_s=now - worker.started
    )
    if why is not None:
        worker.reason = f"recycled: {why}"
        fleet.tell(f"worker {worker.number} ({worker.worker_id}) is replaced: {why}")
        replacements.queue(worker)
