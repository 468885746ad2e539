"""What a queue has done over its whole life, by class and cause, as the Lua scripts total it. Pure.

The fields of the hash are words joined by colons (lua/include/counters.lua): ``w:high:12`` is how many waits of
high jobs fell into bin 12 of ``previewops.snapshot.histogram``, ``r:…`` the same of runs; ``failed``, ``retried`` and
``dead`` have a class and a cause, ``invalid`` and ``dryrun`` a class, ``submit`` the reason of a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from previewops.queue.retry import DeadLetterCause
from previewops.snapshot.histogram import MAX_BIN
from previewops.states import Priority

FAILURE_CAUSES = ("permanent", "error", "crash", "worker-lost")
"""Of what an attempt failed: an error that stays, one that may pass, its render process died, its worker died."""

RETRY_CAUSES = FAILURE_CAUSES[1:]
"""After what a job is run again."""

DEAD_LETTER_CAUSES = tuple(cause.value for cause in DeadLetterCause)
"""Why a job is a dead letter."""

REJECTION_REASONS = ("invalid", "conflict", "full")
"""Why a submit was turned away: it breaks the contract, its id is another job's, the queue is full."""

_COUNT = re.compile(rb"[0-9]{1,19}")
_BIN = re.compile(r"0|[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class LifetimeCounters:
    """The totals of one queue: by what and class, and then by the last word, "" where there is none.

    What was never counted is 0. Fields of other versions, and what was put there by hand and is no count, are left
    out: one of them shall not cost all the others.
    """

    counts: Mapping[tuple[str, str], Mapping[str, int]]

    @classmethod
    def parse(cls, raw: Mapping[bytes, bytes]) -> LifetimeCounters:
        """Reads the hash as Redis has it."""
        counts: dict[tuple[str, str], dict[str, int]] = {}
        for name, value in raw.items():
            if not (name.isascii() and _COUNT.fullmatch(value)):
                continue
            what, _, rest = name.decode().partition(":")
            priority, _, last = rest.partition(":")
            counts.setdefault((what, priority), {})[last] = int(value)
        return cls(counts)

    def count(self, what: str, priority: Priority, cause: str = "") -> int:
        """How many ``failed``, ``retried``, ``dead`` (of a cause), ``invalid`` or ``dryrun`` there were."""
        return self.counts.get((what, priority.value), {}).get(cause, 0)

    def rejections(self, reason: str) -> int:
        """How many submits were turned away for one of ``REFUSALS``."""
        return self.counts.get(("submit", reason), {}).get("", 0)

    def wait_histogram(self, priority: Priority) -> dict[int, int]:
        """How long jobs of a class had waited when they were claimed: how many by bin."""
        return self._bins("w", priority)

    def run_histogram(self, priority: Priority) -> dict[int, int]:
        """How long completed jobs of a class had run: how many by bin."""
        return self._bins("r", priority)

    def _bins(self, series: str, priority: Priority) -> dict[int, int]:
        found = self.counts.get((series, priority.value), {})
        return {
            int(last): count for last, count in found.items() if _BIN.fullmatch(last) and int(last) <= MAX_BIN
        }
