"""What a queue has done over its whole life, by class and cause, as the Lua scripts total it. Pure.

The fields of the hash are words joined by colons (lua/include/counters.lua): ``w:high:12`` is how many waits of
high jobs fell into bin 12 of ``previewops.histogram``, ``r:…`` the same of runs; ``failed``, ``retried`` and
``dead`` have a class and a cause, ``invalid`` and ``dryrun`` a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from previewops.retry import Cause
from previewops.states import Priority

FAILURES = ("permanent", "error", "crash", "worker-lost")
"""Of what an attempt failed: an error that stays, one that may pass, its render process died, its worker died."""

RETRIES = FAILURES[1:]
"""After what a job is run again."""

DEATHS = tuple(cause.value for cause in Cause)
"""Why a job is a dead letter."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of one queue, by field. What was never counted is 0."""

    fields: Mapping[str, int]

    @classmethod
    def read(cls, raw: Mapping[bytes, bytes]) -> Totals:
        """Reads the hash as Redis has it."""
        return cls({name.decode(): int(value) for name, value in raw.items()})

    def count(self, what: str, priority: Priority, cause: str = "") -> int:
        """How many ``failed``, ``retried``, ``dead`` (of a cause), ``invalid`` or ``dryrun`` there were."""
        return self.fields.get(":".join(filter(None, (what, priority.value, cause))), 0)

    def waits(self, priority: Priority) -> dict[int, int]:
        """How long jobs of a class had waited when they were claimed: how many by bin."""
        return self._bins(f"w:{priority.value}:")

    def runs(self, priority: Priority) -> dict[int, int]:
        """How long completed jobs of a class had run: how many by bin."""
        return self._bins(f"r:{priority.value}:")

    def _bins(self, prefix: str) -> dict[int, int]:
        return {
            int(name.removeprefix(prefix)): count
            for name, count in self.fields.items()
            if name.startswith(prefix)
        }
