"""Reads snapshots of a queue, one round trip each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts, decode_pairs
from previewops.queue.tolerant_values import (
    StoredFields,
    UnreadableCollector,
    UnreadableKeys,
    parse_counts,
    parse_score,
)
from previewops.settings import Settings
from previewops.snapshot.event_log import parse_event
from previewops.snapshot.fleet import SupervisorStatus, parse_supervisor
from previewops.snapshot.histogram import parse_bins
from previewops.snapshot.model import (
    MINUTE_MS,
    TEN_SECONDS_MS,
    CounterBucket,
    RunningJob,
    Snapshot,
)
from previewops.snapshot.silences import parse_silences
from previewops.snapshot.worker_report import parse_worker
from previewops.states import Priority

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_HISTORY_S = 3600
MAX_HISTORY_MIN = 2880
MAX_EVENTS = 500
MAX_RUNNING_JOBS = 500
MAX_SUPERVISORS = 200
CHECKED_RECORDS = 50
"""Records per list of jobs that ``check_records`` examines."""

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

_RUNNING_FIELDS = (
    *("state", "token", "project", "priority", "worker", "claimed", "progress", "phase", "attempts"),
    "crashes",
)
"""Fields of a running job, as lua/snapshot.lua lists them."""

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
        check_records: bool = False,
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
            check_records: look for damaged records among the newest 50 jobs of each list.

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
            CHECKED_RECORDS if check_records else 0,
        )
        return _snapshot(self.keys.queue, reply, buckets * TEN_SECONDS_MS // 1000, minutes)


def _clamp(value: int, maximum: int) -> int:
    return max(0, min(value, maximum))


def _snapshot(queue_name: str, reply: Sequence[Any], history_s: int = 0, history_min: int = 0) -> Snapshot:
    keys, unreadable = Keys(queue_name), UnreadableCollector()
    reported = UnreadableKeys.from_reply(reply[18])
    now_ms = int(reply[0])
    meta = StoredFields(keys.meta, decode_pairs(reply[1]), unreadable)
    heads = {
        priority: _age_ms(head, now_ms, StoredFields(keys.waiting(priority), {}, unreadable)) if head else 0
        for priority, head in zip(Priority, reply[9:12], strict=True)
    }
    return Snapshot(
        queue_name=queue_name,
        now_ms=now_ms,
        paused="paused" in meta.fields,
        paused_since_ms=meta.optional_integer("paused"),
        paused_by=meta.text("paused_by"),
        pause_reason=meta.text("paused_why"),
        waiting=dict(zip(Priority, (int(count) for count in reply[2:5]), strict=True)),
        delayed=int(reply[5]),
        active=int(reply[6]),
        dead=int(reply[8]),
        oldest_waiting_ms=max(heads.values()),
        counters={name: meta.integer(name) for name in COUNTERS},
        workers=tuple(parse_worker(keys, unreadable, *row) for row in reply[12]),
        buckets=tuple(_bucket(keys, unreadable, TEN_SECONDS_MS, *row) for row in reply[13]),
        data_lost_ms=_data_lost_ms(meta, now_ms),
        stock_worker_ms=meta.optional_integer("stock_worker"),
        minutes=tuple(_bucket(keys, unreadable, MINUTE_MS, *row) for row in reply[14]),
        events=tuple(parse_event(now_ms, *row) for row in reversed(reply[16])),
        events_total=meta.integer("events"),
        supervisors=_supervisors(keys, unreadable, reply[15], now_ms),
        running_jobs=tuple(_run(keys, unreadable, *row) for row in reply[17]),
        oldest_wait_ms=heads,
        completed_kept=int(reply[7]),
        history_s=history_s,
        history_min=history_min,
        quarantined=meta.integer("quarantined"),
        silences=parse_silences(meta, now_ms),
        unreadable=unreadable.result(reported),
        blocked_by=tuple(key for key in reported.keys if key in keys.core()),
    )


def _age_ms(head_us: bytes, now_ms: int, row: StoredFields) -> int:
    return max(0, now_ms - (parse_score(head_us, row) or now_ms * 1000) // 1000)


def _data_lost_ms(meta: StoredFields, now_ms: int) -> int | None:
    if "lost" not in meta.fields or "loss_acknowledged" in meta.fields:
        return None
    return meta.integer("lost", now_ms)


def _bucket(
    keys: Keys, unreadable: UnreadableCollector, width_ms: int, number: bytes, flat: Sequence[bytes]
) -> CounterBucket:
    width = "10s" if width_ms == TEN_SECONDS_MS else "1m"
    key = f"{keys.bucket_prefix}{width}:{int(number)}"
    raw = decode_pairs(flat)
    fields = parse_counts(key, raw, raw, unreadable)
    counts = {name: value for name, value in fields.items() if not name[1:].isdigit()}
    waits, runs = parse_bins(fields, "w"), parse_bins(fields, "r")
    return CounterBucket(int(number) * width_ms, counts, waits, runs, width_ms)


def _supervisors(
    keys: Keys, unreadable: UnreadableCollector, rows: Sequence[Sequence[bytes]], now_ms: int
) -> tuple[SupervisorStatus, ...]:
    views = []
    for raw_id, seen, info_json in rows:
        supervisor_id = raw_id.decode("utf-8", "replace")
        info = StoredFields.from_json(keys.supervisor_prefix + supervisor_id, info_json, unreadable)
        state = parse_supervisor(info)
        views.append(SupervisorStatus.observed(supervisor_id, parse_score(seen, info), state, now_ms))
    return tuple(sorted(views, key=lambda view: view.supervisor_id))


def _run(
    keys: Keys, unreadable: UnreadableCollector, raw_id: bytes, values: Sequence[bytes | None]
) -> RunningJob:
    job_id = raw_id.decode("utf-8", "replace")
    fields = {
        name: value.decode("utf-8", "replace")
        for name, value in zip(_RUNNING_FIELDS, values, strict=True)
        if value is not None
    }
    row = StoredFields(keys.job_prefix + job_id, fields, unreadable)
    return RunningJob(
        job_id=job_id,
        project_id=row.text("project"),
        priority=row.choice("priority", Priority) or Priority.NORMAL,
        worker_id=row.text("worker"),
        claimed_ms=row.integer("claimed"),
        progress=row.number("progress"),
        phase=row.text("phase"),
        attempts=row.integer("attempts"),
        crashes=row.integer("crashes"),
    )
