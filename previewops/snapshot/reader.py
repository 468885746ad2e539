"""Reads snapshots of a queue, one round trip each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts, decode_pairs
from previewops.settings import Settings
from previewops.snapshot.fleet import SupervisorState, SupervisorStatus
from previewops.snapshot.histogram import parse_bins
from previewops.snapshot.model import (
    MINUTE_MS,
    TEN_SECONDS_MS,
    CounterBucket,
    QueueEvent,
    RunningJob,
    Snapshot,
    WorkerState,
)
from previewops.states import Priority

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_HISTORY_S = 3600
MAX_HISTORY_MIN = 2880
MAX_EVENTS = 500
MAX_RUNNING_JOBS = 500
MAX_SUPERVISORS = 200

COUNTERS = (
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
"""Counter names in the scripts: lifetime counters and counts of each bucket."""

_EVENT_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")


class SnapshotReader:
    """Reads snapshots of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._scripts = Scripts(redis, self.keys)

    async def read(
        self,
        *,
        history_s: int = 0,
        history_min: int = 0,
        events: int = 0,
        after: str = "",
        running_jobs: bool = False,
    ) -> Snapshot:
        """Reads a snapshot in one round trip, at a cost independent of queue depth and dead letters.

        Args:
            history_s: seconds (up to 3600) of 10 s buckets, including the current one.
            history_min: 1 min buckets (up to 2880) before the current minute. Any worker adds a minute within
                a heartbeat of its end. Without a live worker, ``minutes`` are behind ``buckets``.
            events: maximum number of events, newest first (up to 500).
            after: only events later than this ``event_id``; "" for no limit.
            running_jobs: include running jobs, newest claim first. Above 500, those with the latest lease
                expiry.

        Raises:
            ValueError: ``after`` is not an event id.
        """
        if after and _EVENT_ID.fullmatch(after) is None:
            raise ValueError(f"{after!r} is not an event id")
        buckets = _clamp(history_s, MAX_HISTORY_S) * 1000 // TEN_SECONDS_MS
        minutes = _clamp(history_min, MAX_HISTORY_MIN)
        reply = await self._scripts.run(
            ScriptName.SNAPSHOT,
            buckets,
            minutes,
            _clamp(events, MAX_EVENTS),
            after,
            MAX_RUNNING_JOBS if running_jobs else 0,
            MAX_SUPERVISORS,
        )
        return _snapshot(self.keys.queue, reply, buckets * TEN_SECONDS_MS // 1000, minutes)


def _clamp(value: int, maximum: int) -> int:
    return max(0, min(value, maximum))


def _snapshot(queue_name: str, reply: Sequence[Any], history_s: int = 0, history_min: int = 0) -> Snapshot:
    now_ms = int(reply[0])
    meta = decode_pairs(reply[1])
    heads = {
        priority: max(0, round(now_ms - float(head) / 1000)) if head else 0
        for priority, head in zip(Priority, reply[9:12], strict=True)
    }
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
        oldest_waiting_ms=max(heads.values()),
        counters={name: int(meta.get(name, 0)) for name in COUNTERS},
        workers=tuple(_worker(*row) for row in reply[12]),
        buckets=tuple(_bucket(TEN_SECONDS_MS, *row) for row in reply[13]),
        data_lost_ms=int(meta["lost"]) if "lost" in meta and "loss_acknowledged" not in meta else None,
        stock_worker_ms=int(meta["stock_worker"]) if "stock_worker" in meta else None,
        minutes=tuple(_bucket(MINUTE_MS, *row) for row in reply[14]),
        events=tuple(_event(*row) for row in reversed(reply[16])),
        events_total=int(meta.get("events", 0)),
        supervisors=_supervisors(reply[15], now_ms),
        running_jobs=tuple(_run(*row) for row in reply[17]),
        oldest_wait_ms=heads,
        completed_kept=int(reply[7]),
        history_s=history_s,
        history_min=history_min,
    )


def _worker(raw_id: bytes, heartbeat: bytes, info_json: bytes) -> WorkerState:
    info: Mapping[str, Any] = json.loads(info_json)
    return WorkerState(
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
        cpu=float(info.get("cpu", 0.0)),
        own_rss_bytes=int(info.get("ownRssBytes", 0)),
        confined_by=tuple(str(layer) for layer in info.get("confinedBy", ())),
        clock_ahead_ms=int(info["clockMs"]) - int(info.get("atMs", heartbeat)) if "clockMs" in info else None,
    )


def _bucket(width_ms: int, number: bytes, flat: Sequence[bytes]) -> CounterBucket:
    fields = {name: int(value) for name, value in decode_pairs(flat).items()}
    counts = {name: value for name, value in fields.items() if not name[1:].isdigit()}
    waits, runs = parse_bins(fields, "w"), parse_bins(fields, "r")
    return CounterBucket(int(number) * width_ms, counts, waits, runs, width_ms)


def _event(raw_id: bytes, flat: Sequence[bytes]) -> QueueEvent:
    fields, event_id = decode_pairs(flat), raw_id.decode()
    at_ms = fields.pop("at", "")  # an entry that somebody added by hand may lack fields
    moment_ms = int(at_ms if at_ms.isdigit() else event_id.partition("-")[0])
    return QueueEvent(event_id, moment_ms, fields.pop("kind", ""), fields)


def _supervisors(rows: Sequence[Sequence[bytes]], now_ms: int) -> tuple[SupervisorStatus, ...]:
    views = (
        SupervisorStatus.observed(
            raw_id.decode(), int(float(seen)), SupervisorState.from_json(json.loads(info)), now_ms
        )
        for raw_id, seen, info in rows
    )
    return tuple(sorted(views, key=lambda view: view.supervisor_id))


def _run(raw_id: bytes, values: Sequence[bytes | None]) -> RunningJob:
    _, _, project, priority, worker, claimed, progress, phase, attempts, crashes = (
        None if value is None else value.decode("utf-8", "replace") for value in values
    )
    return RunningJob(
        job_id=raw_id.decode(),
        project_id=project or "",
        priority=Priority(priority or Priority.NORMAL),
        worker_id=worker or "",
        claimed_ms=int(claimed or 0),
        progress=float(progress or 0),
        phase=phase or "",
        attempts=int(attempts or 0),
        crashes=int(crashes or 0),
    )
