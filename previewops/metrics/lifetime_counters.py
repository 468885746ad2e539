"""Lifetime counters of a queue by priority and cause, as the Lua scripts write them. Pure.

Hash fields are words joined by colons (lua/include/counters.lua). ``w:high:12`` counts waits of high jobs in
bin 12 of ``previewops.snapshot.histogram``, and ``r:…`` run times. ``failed``, ``retried`` and ``dead`` have
a priority and a cause; ``invalid`` and ``dryrun`` a priority; ``submit`` the reason of a rejection.
``format:webp:r12`` counts run times of completed jobs of an output format, ``format:webp:dead`` and ``…:retried``
its failures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from previewops.queue.retry import DeadLetterCause
from previewops.snapshot.histogram import MAX_BIN
from previewops.states import Priority

FAILURE_CAUSES = ("permanent", "error", "crash", "worker-lost")
"""Causes of a failed attempt: permanent error, transient error, crashed render process, lost worker."""

RETRY_CAUSES = FAILURE_CAUSES[1:]
"""Causes after which a job is retried."""

DEAD_LETTER_CAUSES = tuple(cause.value for cause in DeadLetterCause)
"""Causes of dead letters."""

REJECTION_REASONS = ("invalid", "conflict", "full", "quota")
"""Reasons of a rejected submit: breaks the contract, id taken by another job, queue full, quota of a token."""

_COUNT = re.compile(rb"[0-9]{1,15}")
_BIN = re.compile(r"0|[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class LifetimeCounters:
    """Counters by (name, priority), then by cause or bin ("" if there is none).

    A missing counter is 0. Fields of other versions and values that are not counts are skipped, so that one
    of them does not break the others. ``damaged`` counts the values that are not counts.
    """

    counts: Mapping[tuple[str, str], Mapping[str, int]]
    damaged: int = 0

    @classmethod
    def parse(cls, raw: Mapping[bytes, bytes]) -> LifetimeCounters:
        """Parses the Redis hash."""
        counts: dict[tuple[str, str], dict[str, int]] = {}
        damaged = 0
        for name, value in raw.items():
            if not (name.isascii() and _COUNT.fullmatch(value)):
                damaged += 1
                continue
            counter, _, rest = name.decode().partition(":")
            priority, _, last = rest.partition(":")
            counts.setdefault((counter, priority), {})[last] = int(value)
        return cls(counts, damaged)

    def count(self, counter: str, priority: Priority, cause: str = "") -> int:
        """Returns the number of ``failed``, ``retried``, ``dead`` (of a cause), ``invalid`` or ``dryrun``."""
        return self.counts.get((counter, priority.value), {}).get(cause, 0)

    def rejections(self, reason: str) -> int:
        """Returns the number of submits rejected for one of ``REJECTION_REASONS``."""
        return self.counts.get(("submit", reason), {}).get("", 0)

    def wait_histogram(self, priority: Priority) -> dict[int, int]:
        """Returns the wait-time histogram of claimed jobs of a priority."""
        return _parse_bins(self.counts.get(("w", priority.value), {}))

    def run_histogram(self, priority: Priority) -> dict[int, int]:
        """Returns the run-time histogram of completed jobs of a priority."""
        return _parse_bins(self.counts.get(("r", priority.value), {}))

    def format_run_histogram(self, output_format: str) -> dict[int, int]:
        """Returns the run-time histogram of completed jobs of an output format."""
        counts = self.counts.get(("format", output_format), {})
        return _parse_bins({name[1:]: count for name, count in counts.items() if name.startswith("r")})

    def format_failures(self, output_format: str, what: str) -> int:
        """Returns the number of ``dead`` or ``retried`` jobs of an output format."""
        return self.counts.get(("format", output_format), {}).get(what, 0)


def _parse_bins(bins: Mapping[str, int]) -> dict[int, int]:
    return {int(name): count for name, count in bins.items() if _BIN.fullmatch(name) and int(name) <= MAX_BIN}
