"""One consistent look at a queue: what screens, health and metrics are made of. One round trip."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from previewops.clock import iso_from_ms
from previewops.histogram import from_fields, merge, percentile_ms
from previewops.keys import Keys
from previewops.scripts import ScriptName, Scripts
from previewops.settings import Settings
from previewops.states import Priority

if TYPE_CHECKING:
    from redis.asyncio import Redis

BUCKET_S = 10
"""Width of the finest history bucket, in seconds."""

_COUNTERS = (
    "accepted",
    "completed",
    "died",
    "cancelled",
    "discarded",
    "retried",
    "crashed",
    "requeued",
    "refused",
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What happened in ten seconds: ``start_ms`` (server), counts by name, histograms of wait and run."""

    start_ms: int
    counts: Mapping[str, int]
    wait: Mapping[int, int]
    run: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as of its last heartbeat (server ms). ``jobs`` are the ids it is at."""

    worker_id: str
    host: str
    pid: int
    state: str
    slots: int
    busy: int
    rss_bytes: int
    heartbeat_ms: int
    started_ms: int
    completed: int
    failed: int
    version: str
    jobs: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The worker as ``workers --json`` and ``stats --json`` show it."""
        return {
            "id": self.worker_id,
            "host": self.host,
            "pid": self.pid,
            "state": self.state,
            "slots": self.slots,
            "busy": self.busy,
            "rssBytes": self.rss_bytes,
            "heartbeatAt": iso_from_ms(self.heartbeat_ms),
            "startedAt": iso_from_ms(self.started_ms),
            "completed": self.completed,
            "failed": self.failed,
            "version": self.version,
            "jobs": list(self.jobs),
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A queue at one moment of the Redis server's clock."""

    queue_name: str
    now_ms: int
    paused: bool
    paused_since_ms: int | None
    paused_by: str
    paused_why: str
    waiting: Mapping[Priority, int]
    delayed: int
    active: int
    dead: int
    oldest_waiting_ms: int
    counters: Mapping[str, int]
    workers: tuple[WorkerView, ...]
    buckets: tuple[Bucket, ...]
    lost_ms: int | None = None
    """When workers noticed that Redis had lost the queue's data, until somebody acknowledges it."""

    @property
    def backlog(self) -> int:
        """Jobs that wait or back off: what PREVIEW_QUEUE_MAX bounds."""
        return sum(self.waiting.values()) + self.delayed

    @property
    def pending(self) -> int:
        """Jobs that have work ahead of them."""
        return self.backlog + self.active

    @property
    def unaccounted(self) -> int:
        """Accepted jobs that are in no state at all: 0, always.

        Negative while jobs of stock arq clients sit in the schedule and nobody has taken them in yet: they
        are counted as delayed at once, and as accepted only then.
        """
        ended = self.counters["completed"] + self.counters["cancelled"] + self.counters["discarded"]
        return self.counters["accepted"] - ended - self.dead - self.pending

    def percentiles_ms(self, series: str) -> dict[str, float | None]:
        """p50, p95 and p99 in ms of ``wait`` or ``run`` over the buckets at hand."""
        histogram = merge(bucket.wait if series == "wait" else bucket.run for bucket in self.buckets)
        return {
            name: percentile_ms(histogram, fraction)
            for name, fraction in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }

    def as_json(self) -> dict[str, Any]:
        """The snapshot as ``stats --json`` shows it."""
        return {
            "queue": {
                "name": self.queue_name,
                "paused": self.paused,
                "pausedBy": self.paused_by or None,
                "pausedWhy": self.paused_why or None,
                "pausedAt": None if self.paused_since_ms is None else iso_from_ms(self.paused_since_ms),
                "waiting": {priority.value: count for priority, count in self.waiting.items()},
                "delayed": self.delayed,
                "active": self.active,
                "completed": self.counters["completed"],
                "dead": self.dead,
                "oldestWaitingMs": self.oldest_waiting_ms,
                "dataLostAt": None if self.lost_ms is None else iso_from_ms(self.lost_ms),
            },
            "totals": dict(self.counters),
            "lastHour": {
                "waitMs": self.percentiles_ms("wait"),
                "runMs": self.percentiles_ms("run"),
                **{
                    name: sum(bucket.counts.get(name, 0) for bucket in self.buckets)
                    for name in ("accepted", "completed", "died", "retried", "crashed")
                },
            },
            "workers": [worker.as_json() for worker in self.workers],
            "at": iso_from_ms(self.now_ms),
        }


class Snapshots:
    """Takes snapshots of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._scripts = Scripts(redis, self.keys)

    async def take(self, *, history_s: int = 0) -> Snapshot:
        """A snapshot with ``history_s`` seconds (up to 3600) of 10 s buckets, the current one included."""
        buckets = min(3600, history_s) // BUCKET_S
        return _snapshot(self.keys.queue, await self._scripts.run(ScriptName.SNAPSHOT, buckets))


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode("utf-8", "replace") for i in range(0, len(flat), 2)}


def _snapshot(queue_name: str, reply: Sequence[Any]) -> Snapshot:
    now_ms = int(reply[0])
    meta = _pairs(reply[1])
    oldest = [float(head) / 1000 for head in reply[9:12] if head]
    return Snapshot(
        queue_name=queue_name,
        now_ms=now_ms,
        paused="paused" in meta,
        paused_since_ms=int(meta["paused"]) if "paused" in meta else None,
        paused_by=meta.get("paused_by", ""),
        paused_why=meta.get("paused_why", ""),
        waiting=dict(zip(Priority, (int(count) for count in reply[2:5]), strict=True)),
        delayed=int(reply[5]),
        active=int(reply[6]),
        dead=int(reply[8]),
        oldest_waiting_ms=max(0, round(now_ms - min(oldest))) if oldest else 0,
        counters={name: int(meta.get(name, 0)) for name in _COUNTERS},
        workers=tuple(_worker(*row) for row in reply[12]),
        buckets=tuple(_bucket(*row) for row in reply[13]),
        lost_ms=int(meta["lost"]) if "lost" in meta and "loss_acknowledged" not in meta else None,
    )


def _worker(raw_id: bytes, heartbeat: bytes, info_json: bytes) -> WorkerView:
    info = json.loads(info_json)
    return WorkerView(
        worker_id=raw_id.decode(),
        host=str(info.get("host", "")),
        pid=int(info.get("pid", 0)),
        state=str(info.get("state", "unknown")),
        slots=int(info.get("slots", 0)),
        busy=int(info.get("busy", 0)),
        rss_bytes=int(info.get("rssBytes", 0)),
        heartbeat_ms=int(heartbeat),
        started_ms=int(info.get("startedMs", 0)),
        completed=int(info.get("completed", 0)),
        failed=int(info.get("failed", 0)),
        version=str(info.get("version", "")),
        jobs=tuple(str(job_id) for job_id in info.get("jobs", ())),
    )


def _bucket(number: bytes, flat: Sequence[bytes]) -> Bucket:
    fields = {name: int(value) for name, value in _pairs(flat).items()}
    counts = {name: value for name, value in fields.items() if not name[1:].isdigit()}
    return Bucket(int(number) * BUCKET_S * 1000, counts, from_fields(fields, "w"), from_fields(fields, "r"))
