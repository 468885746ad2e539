"""How many workers a host should run. Pure, with its memory handed in and out.

The need of the moment comes from backlog, throughput and head-room. It is followed only where it has held: up
when all needs of the last UP_HOLD_S asked for it, down to the highest of the last DOWN_HOLD_S. So a fall never
comes within DOWN_HOLD_S of a rise, and a load that comes and goes is not followed back and forth.
(Kubernetes' HorizontalPodAutoscaler calls the same a stabilization window.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from previewops.snapshot.fleet import WorkerCountRange

SCALE_UP_WINDOW_S = 2.0
SCALE_DOWN_WINDOW_S = 60.0
SHORT_BACKLOG_S = 5.0
"""A backlog that will be worked off within this time needs no further worker."""
BUSY_CPU = 0.9
"""With this share of the processors busy, another worker would only slow the others down."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the need is made of.

    ``waiting`` and ``active`` are jobs of the whole queue, ``slots_elsewhere`` what other hosts and workers
    offer, ``slots`` those of one worker of ours; ``rate`` jobs ended per second in the whole queue; ``cpu``
    the busy share (0..1) of this host's processors; ``free_bytes`` its memory that is to be had, and
    ``worker_bytes`` what a further worker would take of it.
    """

    waiting: int
    active: int
    rate: float
    slots: int
    slots_elsewhere: int
    paused: bool
    cpu: float
    free_bytes: int
    worker_bytes: int


def desired_workers(load: Load, running: int) -> int:
    """How many workers the moment asks for, bounds aside, while ``running`` are there."""
    waiting = 0 if load.paused else load.waiting
    wanted = math.ceil(max(0, waiting + load.active - load.slots_elsewhere) / load.slots)
    if wanted <= running:
        return wanted
    if waiting <= load.rate * SHORT_BACKLOG_S or load.cpu >= BUSY_CPU:
        return running
    return min(wanted, running + load.free_bytes // max(1, load.worker_bytes))


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """The number of workers that is aimed at, and the needs (when in s, count) that it rests on.

    ``since_s`` is when the first of an unbroken row of needs was observed.
    """

    target: int
    samples: tuple[tuple[float, int], ...] = ()
    since_s: float | None = None

    def observe(self, now_s: float, desired: int, bounds: WorkerCountRange) -> Autoscaler:
        """The demand after a further need. ``now_s`` never goes back."""
        since_s = now_s if self.since_s is None else self.since_s
        kept = tuple(entry for entry in self.samples if entry[0] > now_s - SCALE_DOWN_WINDOW_S)
        needs = (*kept, (now_s, bounds.clamp(desired)))
        count = bounds.clamp(self.target)
        if now_s - since_s >= SCALE_UP_WINDOW_S:
            count = max(count, min(n for t, n in needs if t >= now_s - SCALE_UP_WINDOW_S))
        if now_s - since_s >= SCALE_DOWN_WINDOW_S:
            count = min(count, max(n for _, n in needs))
        return Autoscaler(count, needs, since_s)

    def with_bounds(self, bounds: WorkerCountRange) -> Autoscaler:
        """The demand under new bounds, with what it rested on forgotten."""
        return Autoscaler(bounds.clamp(self.target))
