"""How dead letters spread over projects, hosts and hours. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

HOUR_MS = 3_600_000

MAX_COUNTED = 10_000
"""Dead letters, the newest, that facets count."""

_WORKER = re.compile(r"(.+)-[0-9]{1,10}-[0-9a-f]{1,16}")


@dataclass(frozen=True, slots=True)
class DeadLetterFacets:
    """Numbers of dead letters by project, host and hour.

    ``hours`` are by their start (server ms), ``hosts`` by name, "" for jobs without a worker. ``counted`` of them
    were counted, the newest; ``complete``: these are all.
    """

    counted: int = 0
    complete: bool = True
    projects: Mapping[str, int] = field(default_factory=dict)
    hosts: Mapping[str, int] = field(default_factory=dict)
    hours: Mapping[int, int] = field(default_factory=dict)


def host_of(worker_id: str) -> str:
    """Returns the host in a worker's id; the id itself if it has another form, as one set by an operator."""
    match = _WORKER.fullmatch(worker_id)
    return worker_id if match is None else match[1]


@dataclass(slots=True)
class FacetCounter:
    """Adds up the counts of several calls."""

    counted: int = 0
    projects: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)

    def add(
        self,
        counted: int,
        projects: Mapping[str, int],
        workers: Mapping[str, int],
        hours: Mapping[int, int],
    ) -> None:
        """Adds the counts of one call. ``hours`` are by their number since the epoch."""
        self.counted += counted
        self.projects.update(projects)
        for worker_id, count in workers.items():
            self.hosts[host_of(worker_id)] += count
        for hour, count in hours.items():
            self.hours[hour * HOUR_MS] += count

    def facets(self, *, complete: bool) -> DeadLetterFacets:
        """Returns the counts."""
        return DeadLetterFacets(
            self.counted, complete, dict(self.projects), dict(self.hosts), dict(self.hours)
        )
