"""When a worker counts as hung. Pure: each poll returns a new state.

The event loop that runs a worker's jobs also sends its heartbeats, so a worker without heartbeats does no work.
Silence counts only between two successful polls of Redis. So no worker counts as hung while Redis is unavailable,
or after a time in which this process did not run.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_SILENCE_S = 3.0
SILENT_HEARTBEATS = 4
START_S = 60.0
"""Time from a worker's start to its first heartbeat."""
DRAIN_GRACE_S = 10.0
"""Further silence of a draining worker, which stops its heartbeats before it deregisters."""
RUN_MARGIN_S = 30.0
"""Time from a run's deadline to its end: for the kill, the record and a slow Redis."""


@dataclass(frozen=True, slots=True)
class HeartbeatTracker:
    """Last heartbeat of a worker (server ms), and the silence since, in s."""

    heartbeat_ms: int | None = None
    silent_s: float = 0.0

    def after_poll(self, heartbeat_ms: int | None, elapsed_s: float) -> HeartbeatTracker:
        """Returns the state after a successful poll, ``elapsed_s`` after the successful poll before.

        ``heartbeat_ms`` is None if Redis holds no heartbeat of the worker.
        """
        if heartbeat_ms is not None and heartbeat_ms != self.heartbeat_ms:
            return HeartbeatTracker(heartbeat_ms, 0.0)
        return HeartbeatTracker(self.heartbeat_ms, self.silent_s + elapsed_s)

    def after_failed_poll(self) -> HeartbeatTracker:
        """Returns the state after a failed poll."""
        return HeartbeatTracker(self.heartbeat_ms, 0.0)

    @property
    def reported(self) -> bool:
        """Whether the worker has sent a heartbeat at all."""
        return self.heartbeat_ms is not None


def silence_limit_s(heartbeat_ms: int) -> float:
    """Returns the silence in s at which a worker with that heartbeat interval counts as hung."""
    return max(SHORTEST_SILENCE_S, SILENT_HEARTBEATS * heartbeat_ms / 1000)


def run_age_s(before_s: float, reported_s: float, elapsed_s: float) -> float:
    """Returns the age in s of a worker's oldest run, ``elapsed_s`` after it was ``before_s``.

    Redis reports the age by its clock, which may be set forward, and by a stored time, which may be damaged. No run
    ages faster than this process' monotonic clock.
    """
    return max(0.0, min(reported_s, before_s + elapsed_s))


def hang_reason(
    heartbeats: HeartbeatTracker,
    *,
    heartbeat_ms: int,
    oldest_run_s: float,
    job_timeout_s: float,
    draining: bool,
) -> str | None:
    """Returns why a worker counts as hung, or None. ``oldest_run_s`` is the age of its oldest run, 0 without any."""
    limit_s = silence_limit_s(heartbeat_ms) if heartbeats.reported else START_S
    if draining:
        limit_s += DRAIN_GRACE_S
    if heartbeats.silent_s >= limit_s:
        missing = "no heartbeat" if heartbeats.reported else "no first heartbeat"
        return f"hung: {missing} for {heartbeats.silent_s:.0f} s"
    if oldest_run_s >= job_timeout_s + RUN_MARGIN_S:
        return f"a job slot is stuck: a run is {oldest_run_s:.0f} s old, allowed {job_timeout_s:g} s"
    return None
