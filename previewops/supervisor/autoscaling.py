"""Number of workers that a host should run. Pure: each observation returns a new state.

The desired number comes from backlog, throughput and head-room. The target follows it after a stabilization window,
as in Kubernetes' HorizontalPodAutoscaler: up to the lowest desired number of the last SCALE_UP_WINDOW_S, down to
the highest of the last SCALE_DOWN_WINDOW_S. So the target never falls within SCALE_DOWN_WINDOW_S of a rise, and an
oscillating load does not make it oscillate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from previewops.snapshot.fleet import WorkerCountRange

SCALE_UP_WINDOW_S = 2.0
SCALE_DOWN_WINDOW_S = 60.0
SHORT_BACKLOG_S = 5.0
"""A backlog that takes less than this needs no further worker."""
BUSY_CPU = 0.9
"""Busy share of the processors at which another worker would only slow down the others."""


@dataclass(frozen=True, slots=True)
class Load:
    """Inputs of the desired number.

    ``waiting`` and ``active`` count jobs of the whole queue; ``rate`` is its finished jobs per second. ``job_slots``
    counts the job slots of one worker here, ``job_slots_elsewhere`` those of all other workers. ``cpu`` is the busy
    share (0..1) of this host's processors, ``free_bytes`` its available memory, ``worker_bytes`` the memory that a
    further worker would take.
    """

    waiting: int
    active: int
    rate: float
    job_slots: int
    job_slots_elsewhere: int
    paused: bool
    cpu: float
    free_bytes: int
    worker_bytes: int


def desired_workers(load: Load, running: int) -> int:
    """Returns the number of workers for a load while ``running`` are there, without minimum and maximum."""
    waiting = 0 if load.paused else load.waiting
    desired = math.ceil(max(0, waiting + load.active - load.job_slots_elsewhere) / load.job_slots)
    if desired <= running:
        return desired
    if waiting <= load.rate * SHORT_BACKLOG_S or load.cpu >= BUSY_CPU:
        return running
    return min(desired, running + load.free_bytes // max(1, load.worker_bytes))


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """Target number of workers, and the desired numbers (time in s, count) that it was derived from.

    ``since_s`` is the time of the first observation.
    """

    target: int
    samples: tuple[tuple[float, int], ...] = ()
    since_s: float | None = None

    def observe(self, now_s: float, desired: int, bounds: WorkerCountRange) -> Autoscaler:
        """Returns the state after a further desired number. ``now_s`` never goes back."""
        since_s = now_s if self.since_s is None else self.since_s
        kept = tuple(sample for sample in self.samples if sample[0] > now_s - SCALE_DOWN_WINDOW_S)
        samples = (*kept, (now_s, bounds.clamp(desired)))
        target = bounds.clamp(self.target)
        if now_s - since_s >= SCALE_UP_WINDOW_S:
            target = max(target, min(n for t, n in samples if t >= now_s - SCALE_UP_WINDOW_S))
        if now_s - since_s >= SCALE_DOWN_WINDOW_S:
            target = min(target, max(n for _, n in samples))
        return Autoscaler(target, samples, since_s)

    def with_bounds(self, bounds: WorkerCountRange) -> Autoscaler:
        """Returns the state under a new minimum and maximum, without samples."""
        return Autoscaler(bounds.clamp(self.target))
