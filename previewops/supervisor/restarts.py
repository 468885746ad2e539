"""What to do after a worker has exited. Pure: the same answer for the same numbers and the same dice."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from previewops.clock import Random
from previewops.errors import EXIT_BOOT, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_USAGE

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
HEALTHY_S = 10.0
"""A worker that worked this long did not die of how it was started."""
QUICK_DEATHS = 5
BOOT_ERRORS = frozenset({EXIT_USAGE, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_BOOT})
"""Statuses by which a worker says, before it has worked, that it never will as things are."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a worker process ended.

    ``status`` is the exit status, negative for a signal, None when it could not be learnt. ``lived_s`` counts
    from its start, ``worked`` tells whether it had reported for work, ``cause`` says what we know better than the
    status does: that and why we killed it, or why it could not be started at all. ``starved`` tells that the kernel
    has killed for want of memory while it lived.
    """

    status: int | None
    lived_s: float
    worked: bool
    cause: str | None = None
    starved: bool = False

    @property
    def orderly(self) -> bool:
        """Whether it gave its jobs back itself."""
        return self.status == 0

    @property
    def probably_out_of_memory(self) -> bool:
        """Whether the kernel has probably killed it for its memory: SIGKILL, and none of ours."""
        return self.status == -signal.SIGKILL and self.cause is None and self.starved

    @property
    def boot_error(self) -> bool:
        """Whether it said that it cannot start as things are. Starting it again would come to the same."""
        return not self.worked and self.status in BOOT_ERRORS

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

    pause_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Leave the place empty until a person resets it; ``reason`` is for them."""

    reason: str


def quick_deaths_after(ended: Exit, before: int) -> int:
    """How many workers in a row have died soon after their start, ``ended`` included."""
    return before + 1 if ended.lived_s < HEALTHY_S or not ended.worked else 0


def after_exit(ended: Exit, quick_deaths: int, dice: Random) -> Restart | GiveUp:
    """What to do after a worker that was not asked to stop has exited.

    ``quick_deaths`` counts as ``quick_deaths_after`` does, this exit included.
    """
    if ended.boot_error:
        return GiveUp(f"it cannot start ({ended.describe()})")
    if quick_deaths >= QUICK_DEATHS:
        return GiveUp(f"it died {quick_deaths} times in a row soon after its start ({ended.describe()})")
    return Restart(pause_s(quick_deaths, dice))


def pause_s(quick_deaths: int, dice: Random) -> float:
    """Seconds until the next start: capped exponential backoff, of which the upper half is jitter.

    The lower half is always waited, so that a worker that dies at once is never started in a hot loop.
    """
    bound = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(max(0, quick_deaths - 1), 40))
    return dice.uniform(bound / 2, bound)
