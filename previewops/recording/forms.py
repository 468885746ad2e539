"""The keys of a look at a queue: the tables that are the format. Pure.

Every field of every class is in here, or a screen would show less of a recording than of the queue; a test says so.
"""

from __future__ import annotations

from typing import Any

from previewops.health import Check, Health, PerfdataValue, Status
from previewops.recording.plain import (
    BINS,
    BY_PRIORITY,
    COUNTS,
    FLAG,
    INT,
    NUMBER,
    PERHAPS_INT,
    PERHAPS_TIME,
    PRIORITY,
    TEXT,
    TEXTS,
    TIME,
    WORDS,
    Form,
    Kind,
    many,
    member,
    one,
    unfit,
    up_to,
)
from previewops.snapshot.fleet import SupervisedWorker, SupervisorState, SupervisorStatus, WorkerCountRange
from previewops.snapshot.history import DAY_MIN, HOUR_S
from previewops.snapshot.model import (
    MINUTE_MS,
    TEN_SECONDS_MS,
    CounterBucket,
    QueueEvent,
    RunningJob,
    Snapshot,
    WorkerState,
)


def _width(found: Any) -> int:
    if found not in (TEN_SECONDS_MS, MINUTE_MS):
        raise unfit("the width of a bucket", found)
    return int(found)


BUCKET = Form(
    CounterBucket,
    {
        "start_ms": ("i", TIME),
        "counts": ("c", COUNTS),
        "wait": ("w", BINS),
        "run": ("r", BINS),
        "width_ms": ("u", Kind(int, _width, TEN_SECONDS_MS)),
    },
)

EVENT = Form(
    QueueEvent,
    {
        "event_id": ("i", TEXT),
        "at_ms": ("t", TIME),
        "kind": ("k", TEXT),
        "fields": ("f", WORDS),
    },
)

RUN = Form(
    RunningJob,
    {
        "job_id": ("i", TEXT),
        "project_id": ("p", TEXT),
        "priority": ("y", PRIORITY),
        "worker_id": ("w", TEXT),
        "claimed_ms": ("t", TIME),
        "progress": ("g", NUMBER),
        "phase": ("h", TEXT),
        "attempts": ("a", INT),
        "crashes": ("c", INT),
    },
)

WORKER = Form(
    WorkerState,
    {
        "worker_id": ("i", TEXT),
        "host": ("h", TEXT),
        "pid": ("p", INT),
        "state": ("s", TEXT),
        "slots": ("n", INT),
        "busy": ("b", INT),
        "rss_bytes": ("m", INT),
        "own_rss_bytes": ("o", INT),
        "cpu": ("u", NUMBER),
        "confined_by": ("l", TEXTS),
        "clock_ahead_ms": ("k", PERHAPS_INT),
        "heartbeat_ms": ("t", TIME),
        "started_ms": ("a", TIME),
        "completed": ("c", INT),
        "failed": ("f", INT),
        "version": ("v", TEXT),
        "jobs": ("j", TEXTS),
    },
)

SUPERVISED = Form(
    SupervisedWorker,
    {
        "worker_id": ("i", TEXT),
        "slot": ("n", INT),
        "phase": ("h", TEXT),
        "pid": ("p", PERHAPS_INT),
        "rapid_exits": ("q", INT),
        "reason": ("r", TEXT),
    },
)

BOUNDS = Form(WorkerCountRange, {"minimum": ("a", INT), "maximum": ("z", INT)})

SUPERVISOR_STATE = Form(
    SupervisorState,
    {
        "host": ("h", TEXT),
        "pid": ("p", INT),
        "version": ("v", TEXT),
        "backend": ("b", TEXT),
        "state": ("s", TEXT),
        "count": ("n", INT),
        "worker_range": ("l", one(BOUNDS)),
        "rss_bytes": ("m", INT),
        "started_ms": ("a", TIME),
        "notice": ("o", TEXT),
        "workers": ("w", many(SUPERVISED)),
    },
)

SUPERVISOR = Form(
    SupervisorStatus,
    {
        "supervisor_id": ("i", TEXT),
        "heartbeat_ms": ("t", TIME),
        "silent": ("z", FLAG),
        "state": ("s", one(SUPERVISOR_STATE)),
    },
)

SNAPSHOT = Form(
    Snapshot,
    {
        "queue_name": ("q", TEXT),
        "paused": ("p", FLAG),
        "paused_since_ms": ("pt", PERHAPS_TIME),
        "paused_by": ("pw", TEXT),
        "paused_why": ("py", TEXT),
        "waiting": ("w", BY_PRIORITY),
        "oldest_wait_ms": ("h", BY_PRIORITY),
        "oldest_waiting_ms": ("o", INT),
        "delayed": ("l", INT),
        "active": ("a", INT),
        "dead": ("d", INT),
        "completed_kept": ("k", INT),
        "counters": ("c", COUNTS),
        "data_lost_ms": ("lt", PERHAPS_TIME),
        "workers": ("W", many(WORKER)),
        "supervisors": ("S", many(SUPERVISOR)),
        "running_jobs": ("R", many(RUN)),
        "events": ("E", many(EVENT)),
        "events_total": ("e", INT),
        "buckets": ("B", many(BUCKET)),
        "minutes": ("M", many(BUCKET)),
        "history_s": ("bs", up_to(HOUR_S)),
        "history_min": ("bm", up_to(DAY_MIN)),
    },
)
"""All but ``now_ms``, which is the ``t`` of the line."""

CHECK = Form(
    Check,
    {
        "name": ("i", TEXT),
        "status": ("s", member(Status, Status.OK)),
        "message": ("m", TEXT),
        "advice": ("a", TEXT),
        "figure": ("f", TEXT),
    },
)

FIGURE = Form(
    PerfdataValue,
    {
        "label": ("i", TEXT),
        "value": ("v", NUMBER),
        "unit": ("u", TEXT),
        "warning": ("w", TEXT),
        "critical": ("c", TEXT),
    },
)

HEALTH = Form(Health, {"checks": ("c", many(CHECK)), "figures": ("f", many(FIGURE))})

EVERY_FORM: tuple[Form[Any], ...] = (
    BUCKET,
    EVENT,
    RUN,
    WORKER,
    SUPERVISED,
    BOUNDS,
    SUPERVISOR_STATE,
    SUPERVISOR,
    SNAPSHOT,
    CHECK,
    FIGURE,
    HEALTH,
)
