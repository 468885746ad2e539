"""Whether a worker hangs. Pure, with its memory handed in and out.

A worker's heartbeat is sent by the very loop that does its work, so one that has stopped has stopped working.
Silence is counted only between two looks at Redis that both got an answer: while Redis is away, or this
process itself was held up, nobody is taken for hung.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_SILENCE_S = 3.0
SILENT_HEARTBEATS = 4
START_S = 60.0
"""How long a worker may take from its start to its first heartbeat."""
DRAIN_GRACE_S = 10.0
"""A worker that drains stops its heartbeat before it has taken its leave; it may be silent for this much longer."""
RUN_MARGIN_S = 30.0
"""How long after its deadline a run may take to end: the kill, the record, a Redis that is slow."""


@dataclass(frozen=True, slots=True)
class HeartbeatTracker:
    """What is known of one worker's heartbeats: the last one (server ms) and the silence since, in s."""

    heartbeat_ms: int | None = None
    silent_s: float = 0.0

    def after_poll(self, heartbeat_ms: int | None, elapsed_s: float) -> HeartbeatTracker:
        """After a look that got an answer, ``passed_s`` after the look before, which got one too.

        ``heartbeat_ms`` None: Redis knows no heartbeat of the worker.
        """
        if heartbeat_ms is not None and heartbeat_ms != self.heartbeat_ms:
            return HeartbeatTracker(heartbeat_ms, 0.0)
        return HeartbeatTracker(self.heartbeat_ms, self.silent_s + elapsed_s)

    def after_failed_poll(self) -> HeartbeatTracker:
        """After a look that got no answer."""
        return HeartbeatTracker(self.heartbeat_ms, 0.0)

    @property
    def reported(self) -> bool:
        """Whether the worker has been heard of at all."""
        return self.heartbeat_ms is not None


def silence_limit_s(heartbeat_ms: int) -> float:
    """The silence, in s, after which a worker with that heartbeat counts as hung."""
    return max(SHORTEST_SILENCE_S, SILENT_HEARTBEATS * heartbeat_ms / 1000)


def hang_reason(
    heartbeats: HeartbeatTracker,
    *,
    heartbeat_ms: int,
    oldest_run_s: float,
    job_timeout_s: float,
    draining: bool,
) -> str | None:
    """Why a worker counts as hung, or None. ``oldest_run_s`` is the age of its oldest run, 0 without any."""
    limit_s = silence_limit_s(heartbeat_ms) if heartbeats.reported else START_S
    if draining:
        limit_s += DRAIN_GRACE_S
    if heartbeats.silent_s >= limit_s:
        what = "no heartbeat" if heartbeats.reported else "no first heartbeat"
        return f"hung: {what} for {heartbeats.silent_s:.0f} s"
    if oldest_run_s >= job_timeout_s + RUN_MARGIN_S:
        return f"a slot is stuck: a run is {oldest_run_s:.0f} s old, allowed are {job_timeout_s:g} s"
    return None
