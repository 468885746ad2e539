"""Sample queues with extreme values: 10⁹ jobs, ages of 400 days, names of 200 characters, wide characters.

Names and messages have no digits, so that a digit on the screen belongs to a figure.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from previewops.health import Check, Health, PerfdataValue, Status
from previewops.queue.dead_letter_filter import DeadLetterGroup
from previewops.queue.output_formats import OUTPUT_FORMATS
from previewops.queue.projects import ProjectLoad
from previewops.queue.records import JobRecord
from previewops.snapshot.breakdown import (
    BREAKDOWN_MS,
    Breakdown,
    BreakdownBucket,
    Dimension,
    Figures,
    break_down,
)
from previewops.snapshot.fleet import HostGauges
from previewops.snapshot.model import (
    MINUTE_MS,
    TEN_SECONDS_MS,
    CounterBucket,
    QueueEvent,
    RunningJob,
    Snapshot,
)
from previewops.states import JobState, Priority
from tests.tui import scenes
from tests.tui.scenes import NOW_MS

HUGE = 10**9 - 1
AGE_MS = 400 * 86_400_000 - 1_000
LONG = "name-" * 40
WIDE = "画像ファイル" * 33

COUNTS = (0, 1, 999, 9_999, 10_000, 99_949, 99_999, 999_949, 999_999, 99_999_999, HUGE, 10**9, 10**12)
DURATIONS_MS = (0, 999, 9_999, 59_949, 59_999, 3_599_999, 35_999_000, 86_399_000, 99 * 86_400_000, AGE_MS)


def _worker(number: int, name: str) -> scenes.WorkerState:
    return replace(
        scenes.worker(number, name, 2),
        worker_id=f"{name}-{'x' * number}",
        pid=4_194_304,
        job_slots=64,
        busy=63,
        rss_bytes=HUGE * 1_000,
        cpu=6_399.0,
        started_ms=NOW_MS - AGE_MS,
        completed=HUGE,
        failed=HUGE,
        jobs=(LONG, WIDE),
        completed_recently=(HUGE,) * 20,
    )


@cache
def _buckets(width_ms: int, count: int, scale: int) -> tuple[CounterBucket, ...]:
    newest = NOW_MS // width_ms
    counts = {
        "accepted": scale,
        "completed": scale * 9 // 10,
        "died": scale // 10,
        "retried": scale,
        "crashed": scale,
    }
    return tuple(
        CounterBucket((newest - back) * width_ms, counts, {60: scale}, {72: scale}, width_ms)
        for back in range(0, count, 7)
    )


@cache
def snapshot(count: int = HUGE, age_ms: int = AGE_MS, name: str = LONG) -> Snapshot:
    """A queue whose every figure is ``count`` or ``age_ms``, and whose every name is ``name``."""
    workers = (_worker(1, name), _worker(2, WIDE))
    gauges = HostGauges(100, 999, 9_999.9, count * 10**6, count, count * 10**6, 1, (100,) * 20, (100,) * 20)
    supervisor = scenes.supervisor(name, (), notice=WIDE, gauges=gauges)
    run = RunningJob(LONG, WIDE, Priority.NORMAL, workers[0].worker_id, NOW_MS - age_ms, 1.0, name, 99, 99)
    fields = {"job": name, "message": WIDE, "who": name, "why": WIDE}
    return replace(
        scenes.BUSY,
        queue_name=name,
        paused=True,
        paused_since_ms=NOW_MS - age_ms,
        paused_by=name,
        pause_reason=WIDE,
        waiting=dict.fromkeys(Priority, count),
        oldest_wait_ms=dict.fromkeys(Priority, age_ms),
        oldest_waiting_ms=age_ms,
        delayed=count,
        active=count,
        dead=count,
        completed_kept=count,
        counters=dict.fromkeys((*scenes.COUNTERS, "accepted"), count),
        workers=workers,
        supervisors=(supervisor,),
        running_jobs=(run,),
        buckets=_buckets(TEN_SECONDS_MS, 360, count),
        minutes=_buckets(MINUTE_MS, 1_440, count),
        events=tuple(
            QueueEvent(f"{NOW_MS - back}-0", NOW_MS - back, kind, fields)
            for back, kind in ((age_ms, "dead"), (0, "requeued"))
        ),
    )


def breakdowns(count: int = HUGE, name: str = LONG) -> dict[Dimension, Breakdown]:
    """Ended jobs whose every figure is ``count``, of very different durations."""
    newest = NOW_MS // BREAKDOWN_MS
    figures = Figures(count, count, {0: count, 120: count}, {1: count, 100: count})
    classes = {
        (priority, output_format): figures for priority in Priority for output_format in OUTPUT_FORMATS
    }
    projects = {f"{name}-{'x' * place}": figures for place in range(1, 5)}
    buckets = [
        BreakdownBucket(newest - back, classes, {**projects, WIDE: figures}) for back in range(0, 13, 2)
    ]
    return {one: break_down(buckets, one, NOW_MS) for one in Dimension}


def loads(count: int = HUGE, age_ms: int = AGE_MS, name: str = LONG) -> tuple[ProjectLoad, ...]:
    """Projects that wait for ``count`` jobs, held or without a maximum."""
    return (
        ProjectLoad(f"{name}-x", count, min(count, 10**6), 100, 10**6, True, age_ms),
        ProjectLoad(f"{name}-y", count, count, 100, None, False, age_ms),
        ProjectLoad(WIDE, count, 0, 1, 10**6, False, None),
    )


def health(count: int = HUGE) -> Health:
    """Every status, with long texts and large figures."""
    checks = tuple(
        Check(f"check-{'x' * place}", status, f"{count:,} dead letters {LONG}", f"{count:,} s", WIDE)
        for place, status in enumerate(Status)
    )
    return Health(checks, (PerfdataValue("waiting", count, "s", f"{count}", f"{count}:"),))


def record(
    state: JobState, count: int = HUGE, age_ms: int = AGE_MS, name: str = LONG, **changes: object
) -> JobRecord:
    """A job of that age whose figures are ``count``."""
    made = scenes.record(
        name,
        state,
        project_id=WIDE,
        priority=Priority.NORMAL,
        accepted_ms=NOW_MS - age_ms,
        claimed_ms=NOW_MS - age_ms,
        finished_ms=None if state.pending else NOW_MS,
        attempts=min(count, 9_999),
        crashes=min(count, 9_999),
        requeues=min(count, 9_999),
        progress=1.0,
        phase=name,
        worker=f"{name}-x",
        reason=WIDE,
        code="asset-missing",
        fingerprint="a" * 12,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def group(count: int = HUGE, age_ms: int = AGE_MS) -> DeadLetterGroup:
    """A cause with ``count`` letters."""
    return DeadLetterGroup("a" * 12, count, NOW_MS - age_ms, NOW_MS - age_ms, record(JobState.DEAD))
