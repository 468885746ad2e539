"""Decides whether and when a worker is started again after its exit. Pure, with the random numbers passed in."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from previewops.backoff import Backoff
from previewops.clock import Rng
from previewops.errors import EXIT_CONFIG, EXIT_USAGE
from previewops.snapshot.fleet import FAILING_AFTER_EXITS

RESTART_BACKOFF_S = Backoff(0.2, 30.0)
HEALTHY_UPTIME_S = 10.0
"""An exit after this uptime is not caused by how the worker was started."""
BOOT_ERRORS = frozenset({EXIT_USAGE, EXIT_CONFIG})
"""Exit statuses of a worker whose settings or installation are invalid. No time heals them."""


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """How a worker process exited.

    ``status`` is negative for a signal, None if it is unknown. ``reported`` is whether it had sent a heartbeat.
    ``reason`` is set where the supervisor knows more than the status: why it killed the worker or could not
    start it. ``oom_kill_seen`` is whether the kernel has killed any process for memory while the worker ran.
    """

    status: int | None
    uptime_s: float
    reported: bool
    reason: str | None = None
    oom_kill_seen: bool = False

    @property
    def clean(self) -> bool:
        """Whether the worker returned its jobs itself."""
        return self.status == 0

    @property
    def probably_out_of_memory(self) -> bool:
        """Whether the kernel has probably killed it for its memory: a SIGKILL that the supervisor did not send."""
        return self.status == -signal.SIGKILL and self.reason is None and self.oom_kill_seen

    @property
    def boot_error(self) -> bool:
        """Whether it reported that it cannot start. Another start would fail in the same way."""
        return not self.reported and self.status in BOOT_ERRORS

    def describe(self) -> str:
        """Returns the exit in words: "status 1", "SIGSEGV", "SIGKILL, probably out of memory"."""
        if self.reason is not None:
            return self.reason
        if self.status is None:
            return "unknown status"
        if self.status >= 0:
            return f"status {self.status}"
        name = signal_name(-self.status)
        return f"{name}, probably out of memory" if self.probably_out_of_memory else name


def signal_name(number: int) -> str:
    """Returns "SIGTERM" and the like, "signal 40" for a signal without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, slots=True)
class Restart:
    """Start a worker in the slot after ``delay_s`` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Fatal:
    """Leave the slot empty until an operator resets it; ``reason`` is for the operator."""

    reason: str


def count_rapid_exits(worker_exit: WorkerExit, before: int) -> int:
    """Returns the number of consecutive exits soon after a start, ``worker_exit`` included."""
    return before + 1 if worker_exit.uptime_s < HEALTHY_UPTIME_S or not worker_exit.reported else 0


def decide_restart(worker_exit: WorkerExit, rapid_exits: int, rng: Rng) -> Restart | Fatal:
    """Returns the decision after an unexpected exit. ``rapid_exits`` counts it already.

    A full disk, a wrong password or a missing server may pass, so only a boot error is fatal.
    """
    if worker_exit.boot_error:
        return Fatal(f"it cannot start ({worker_exit.describe()})")
    return Restart(RESTART_BACKOFF_S.delay(rapid_exits, rng))


def is_failure_logged(rapid_exits: int) -> bool:
    """Whether an exit is logged: each until the worker counts as failing, then at doubling counts."""
    doublings, rest = divmod(rapid_exits, FAILING_AFTER_EXITS)
    return doublings == 0 or (rest == 0 and doublings & (doublings - 1) == 0)
