"""What the workers of each host report together. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from previewops.snapshot.model import StoreReport, WorkerState

_ABI_NUMBER = re.compile(r" [0-9]+$")


@dataclass(frozen=True, slots=True)
class HostReport:
    """A host as its workers report it; a value is None or empty if no worker reports it.

    ``clock_ahead_ms`` is the largest of its workers, ``confined_by`` and ``confinement_missing`` those of the worker
    with the fewest layers, ``store`` that of the worker whose store has failed for the longest time, or of any.
    """

    host: str
    workers: tuple[WorkerState, ...]
    versions: tuple[str, ...]
    clock_ahead_ms: int | None
    confined_by: tuple[str, ...]
    confinement_missing: tuple[str, ...]
    store: StoreReport | None

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the confinement layers, without the version of Landlock."""
        return tuple(_ABI_NUMBER.sub("", layer) for layer in self.confined_by)

    @property
    def store_ids(self) -> frozenset[str]:
        """The stores that its workers publish to."""
        stores = (worker.store for worker in self.workers)
        return frozenset(store.store_id for store in stores if store is not None and store.store_id)

    def as_json(self) -> dict[str, Any]:
        """The host as ``workers --json`` prints it."""
        return {
            "host": self.host,
            "workers": len(self.workers),
            "versions": list(self.versions),
            "clockAheadMs": self.clock_ahead_ms,
            "confinedBy": list(self.confined_by),
            "confinementMissing": list(self.confinement_missing),
            "store": None if self.store is None else self.store.as_json(),
        }


REQUIRED_LAYERS = ("Landlock", "seccomp")
"""Layers without which a host is shown as less confined, whatever the others have."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts, and in what they differ."""

    hosts: tuple[HostReport, ...]

    @classmethod
    def of(cls, workers: Iterable[WorkerState]) -> Fleet:
        """Returns the hosts of ``workers``."""
        return cls(group_by_host(workers))

    @property
    def versions(self) -> frozenset[str]:
        """Versions and builds of all workers."""
        return frozenset(version for host in self.hosts for version in host.versions)

    @property
    def store_ids(self) -> frozenset[str]:
        """All stores that workers publish to. More than one is a mistake."""
        return frozenset(store_id for host in self.hosts for store_id in host.store_ids)

    def find(self, host: str) -> HostReport | None:
        """Returns the report of a host; None if it has no workers."""
        return next((report for report in self.hosts if report.host == host), None)

    def missing_layers(self, host: HostReport) -> tuple[str, ...]:
        """Returns the confinement layers that a host lacks, of the required ones and those of the other hosts."""
        if not host.layers:
            return ()  # not reported
        expected = dict.fromkeys([*REQUIRED_LAYERS, *(name for other in self.hosts for name in other.layers)])
        return tuple(name for name in expected if name not in host.layers)


def group_by_host(workers: Iterable[WorkerState]) -> tuple[HostReport, ...]:
    """Groups workers by host, in the order of the hosts' names."""
    hosts: dict[str, list[WorkerState]] = defaultdict(list)
    for worker in workers:
        hosts[worker.host_label].append(worker)
    return tuple(_summarize(host, hosts[host]) for host in sorted(hosts))


def _summarize(host: str, workers: list[WorkerState]) -> HostReport:
    clocks = [worker.clock_ahead_ms for worker in workers if worker.clock_ahead_ms is not None]
    confined = [worker for worker in workers if worker.confined_by]
    weakest = min(confined, key=lambda worker: len(worker.confined_by), default=None)
    stores = [worker.store for worker in workers if worker.store is not None]
    return HostReport(
        host,
        tuple(workers),
        tuple(sorted({worker.full_version for worker in workers if worker.version})),
        max(clocks, key=abs, default=None),
        weakest.confined_by if weakest is not None else (),
        weakest.confinement_missing if weakest is not None else (),
        min(stores, key=lambda store: (not store.problem, store.since_ms), default=None),
    )
