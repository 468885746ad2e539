"""What to do after a worker has exited. Pure: the same answer for the same numbers and the same dice."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from previewops.clock import Rng
from previewops.errors import EXIT_CONFIG, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_USAGE

FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 30.0
HEALTHY_UPTIME_S = 10.0
"""A worker that worked this long did not die of how it was started."""
MAX_RAPID_EXITS = 5
BOOT_ERRORS = frozenset({EXIT_USAGE, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_CONFIG})
"""Statuses by which a worker says, before it has worked, that it never will as things are."""


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """How a worker process ended.

    ``status`` is the exit status, negative for a signal, None when it could not be learnt. ``lived_s`` counts
    from its start, ``worked`` tells whether it had reported for work, ``cause`` says what we know better than the
    status does: that and why we killed it, or why it could not be started at all. ``starved`` tells that the kernel
    has killed for want of memory while it lived.
    """

    status: int | None
    uptime_s: float
    reported: bool
    cause: str | None = None
    oom_kill_seen: bool = False

    @property
    def clean(self) -> bool:
        """Whether it gave its jobs back itself."""
        return self.status == 0

    @property
    def probably_out_of_memory(self) -> bool:
        """Whether the kernel has probably killed it for its memory: SIGKILL, and none of ours."""
        return self.status == -signal.SIGKILL and self.cause is None and self.oom_kill_seen

    @property
    def boot_error(self) -> bool:
        """Whether it said that it cannot start as things are. Starting it again would come to the same."""
        return not self.reported and self.status in BOOT_ERRORS

    def describe(self) -> str:
        """The exit in words: "status 1", "SIGSEGV", "SIGKILL, probably out of memory"."""
        if self.cause is not None:
            return self.cause
        if self.status is None:
            return "how is not known"
        if self.status >= 0:
            return f"status {self.status}"
        name = signal_name(-self.status)
        return f"{name}, probably out of memory" if self.probably_out_of_memory else name


def signal_name(number: int) -> str:
    """ "SIGTERM" and the like; "signal 40" for those that have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, slots=True)
class Restart:
    """Start a worker in its place after ``pause_s`` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Fatal:
    """Leave the place empty until a person resets it; ``reason`` is for them."""

    reason: str


def count_rapid_exits(worker_exit: WorkerExit, before: int) -> int:
    """How many workers in a row have died soon after their start, ``ended`` included."""
    return before + 1 if worker_exit.uptime_s < HEALTHY_UPTIME_S or not worker_exit.reported else 0


def decide_restart(worker_exit: WorkerExit, rapid_exits: int, rng: Rng) -> Restart | Fatal:
    """What to do after a worker that was not asked to stop has exited.

    ``quick_deaths`` counts as ``quick_deaths_after`` does, this exit included.
    """
    if worker_exit.boot_error:
        return Fatal(f"it cannot start ({worker_exit.describe()})")
    if rapid_exits >= MAX_RAPID_EXITS:
        return Fatal(f"it died {rapid_exits} times in a row soon after its start ({worker_exit.describe()})")
    return Restart(backoff_s(rapid_exits, rng))


def backoff_s(rapid_exits: int, rng: Rng) -> float:
    """Seconds until the next start: capped exponential backoff, of which the upper half is jitter.

    The lower half is always waited, so that a worker that dies at once is never started in a hot loop.
    """
    bound = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(max(0, rapid_exits - 1), 40))
    return rng.uniform(bound / 2, bound)
