"""Sample queues as plain values: busy, idle, paused, without workers. The same in every run."""

from __future__ import annotations

import random
from dataclasses import replace

from previewops.health import Check, Health, PerfdataValue, Status
from previewops.queue.projects import ProjectLoad
from previewops.queue.records import Attempt, JobRecord
from previewops.snapshot.breakdown import (
    BREAKDOWN_BUCKETS,
    BREAKDOWN_MS,
    BreakdownBucket,
    Dimension,
    Figures,
    break_down,
    sum_figures,
)
from previewops.snapshot.fleet import (
    HostGauges,
    SupervisedWorker,
    SupervisorState,
    SupervisorStatus,
    WorkerCountRange,
)
from previewops.snapshot.model import (
    MINUTE_MS,
    TEN_SECONDS_MS,
    CounterBucket,
    QueueEvent,
    RunningJob,
    Snapshot,
    StoreReport,
    WorkerState,
)
from previewops.states import JobState, Priority

NOW_MS = 1_795_500_187_250  # 2026-11-24T06:03:07.250Z
GIB = 1 << 30
MIB = 1 << 20

COUNTERS = {
    "accepted": 48_211,
    "completed": 47_390,
    "died": 214,
    "cancelled": 31,
    "discarded": 118,
    "retried": 902,
    "crashed": 17,
    "requeued": 60,
    "refused": 4,
}


def _bins(rng: random.Random, middle: int, count: int) -> dict[int, int]:
    bins: dict[int, int] = {}
    for _ in range(count):
        number = max(0, round(rng.gauss(middle, 3.5)))
        bins[number] = bins.get(number, 0) + 1
    return bins


def buckets(width_ms: int, count: int, pace: float) -> tuple[CounterBucket, ...]:
    """``count`` buckets up to now, with about ``pace`` jobs a minute that come in waves."""
    rng = random.Random(width_ms)
    newest = NOW_MS // width_ms
    made = []
    for back in range(count - 1, -1, -1):
        wave = 1 + 0.6 * ((back // 7) % 5) / 4 - 0.3 * ((back // 3) % 2)
        done = max(0, round(rng.gauss(pace * wave * width_ms / MINUTE_MS, 1.4)))
        died = int(rng.random() < 0.05 * width_ms / TEN_SECONDS_MS)
        counts = {
            "accepted": done + died,
            "completed": done,
            "died": died,
            "retried": int(rng.random() < 0.2),
        }
        made.append(
            CounterBucket(
                (newest - back) * width_ms,
                {name: number for name, number in counts.items() if number},
                _bins(rng, 22, done),
                _bins(rng, 40, done),
                width_ms,
            )
        )
    return tuple(bucket for bucket in made if bucket.counts)


LAYERS = ("Landlock 6", "seccomp", "own user", "namespaces", "private root", "resource limits")
STORE = StoreReport("3fa85f64" * 4, "/srv/data/previews", "", NOW_MS - 5_400_000, NOW_MS - 9_000)


def worker(number: int, host: str, busy: int, **changes: object) -> WorkerState:
    """A worker with two slots and a heartbeat 0.4 s ago."""
    made = WorkerState(
        worker_id=f"{host}-{4000 + number}-{number:04x}",
        host=host,
        pid=4000 + number,
        state="running",
        job_slots=2,
        busy=busy,
        rss_bytes=(180 + 7 * number) * MIB,
        heartbeat_ms=NOW_MS - 400,
        started_ms=NOW_MS - 3_600_000 * (number + 2),
        completed=11_000 + 321 * number,
        failed=31 + number,
        version="0.1.0",
        jobs=tuple(f"lesson-{number}{slot}" for slot in range(busy)),
        cpu=61.0 * busy,
        own_rss_bytes=44 * MIB,
        confined_by=LAYERS,
        clock_ahead_ms=12,
        store=STORE,
        completed_recently=tuple(
            3 * busy + (step * 7 + number * 5) % (4 * busy) if busy else 0 for step in range(20)
        ),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


WORKERS = (
    worker(1, "render-1", 2),
    worker(2, "render-1", 1),
    worker(3, "render-2", 2),
    worker(4, "render-2", 0, state="draining"),
)


GAUGES = HostGauges(
    cpu_percent=62,
    processors=4,
    load=2.6,
    memory_bytes=16 * GIB,
    memory_free_bytes=9 * GIB,
    disk_bytes=400 * GIB,
    disk_free_bytes=33 * GIB,
    cpu_recent=tuple(35 + (step * 17) % 45 for step in range(20)),
    memory_recent=tuple(38 + step // 3 for step in range(20)),
)


def supervisor(host: str, workers: tuple[SupervisedWorker, ...], **changes: object) -> SupervisorStatus:
    """A supervisor with a heartbeat half a second ago."""
    state = SupervisorState(
        host=host,
        pid=3990,
        version="0.1.0",
        backend="process",
        state="running",
        count=len(workers),
        worker_range=WorkerCountRange(1, 8),
        rss_bytes=40 * MIB,
        started_ms=NOW_MS - 86_400_000,
        notice="",
        workers=workers,
        gauges=GAUGES,
    )
    return SupervisorStatus(f"{host}-3990", NOW_MS - 500, False, replace(state, **changes))  # type: ignore[arg-type]


SUPERVISORS = (
    supervisor(
        "render-1",
        (
            SupervisedWorker(WORKERS[0].worker_id, 1, "running", 4001, 0, ""),
            SupervisedWorker(WORKERS[1].worker_id, 2, "running", 4002, 0, ""),
        ),
    ),
    supervisor(
        "render-2",
        (
            SupervisedWorker(WORKERS[2].worker_id, 1, "running", 4003, 0, ""),
            SupervisedWorker(WORKERS[3].worker_id, 2, "draining", 4004, 0, "ordered by ada@ops"),
            SupervisedWorker("", 3, "fatal", None, 5, "exit status 78: module PIL is missing"),
        ),
    ),
)

RUNS = tuple(
    RunningJob(
        job_id,
        "morris",
        Priority.NORMAL,
        worker.worker_id,
        NOW_MS - 1_900 * (place + 1),
        0.2 + 0.6 * place,
        phase,
        0,
        0,
    )
    for worker in WORKERS
    for place, (job_id, phase) in enumerate(zip(worker.jobs, ("frames", "animation"), strict=False))
)

_EVENT_ROWS = (
    (
        9_000,
        "retry",
        {"job": "lesson-31", "delayMs": "1840", "message": "asset-incomplete: the upload is under way"},
    ),
    (
        31_000,
        "dead",
        {
            "job": "lesson-207",
            "class": "PermanentJobError",
            "code": "asset-missing",
            "cause": "permanent",
            "message": "no file boards/middle-game.png under the roots",
        },
    ),
    (44_000, "resumed", {"who": "ada@ops"}),
    (95_000, "paused", {"who": "ada@ops", "why": "moving storage"}),
    (
        120_500,
        "requeued",
        {
            "who": "ada@ops",
            "why": "the disk is back",
            "done": "58",
            "skipped": "2",
            "fingerprint": "9a1c33d0be77",
        },
    ),
    (
        190_000,
        "recovered",
        {"job": "lesson-12", "worker": "render-2-3998-00f1", "message": "killed by SIGKILL"},
    ),
    (
        190_100,
        "worker-exited",
        {"worker": "render-2-3998-00f1", "message": "killed by SIGKILL, probably out of memory", "jobs": "1"},
    ),
    (
        260_000,
        "command",
        {
            "act": "scale",
            "host": "render-1-3990",
            "who": "ada@ops",
            "why": "evening peak",
            "message": "2 workers",
        },
    ),
    (300_000, "cancelled", {"job": "trial-8", "who": "grace@ops", "why": "sent twice"}),
)
EVENTS = tuple(
    QueueEvent(f"{NOW_MS - back}-0", NOW_MS - back, kind, fields)
    for back, kind, fields in reversed(_EVENT_ROWS)
)

BUSY = Snapshot(
    queue_name="preview-jobs",
    now_ms=NOW_MS,
    paused=False,
    paused_since_ms=None,
    paused_by="",
    pause_reason="",
    waiting={Priority.HIGH: 3, Priority.NORMAL: 212, Priority.LOW: 1_204},
    delayed=6,
    active=5,
    dead=82,
    oldest_waiting_ms=412_000,
    counters={**COUNTERS, "accepted": 47_390 + 31 + 118 + 82 + 3 + 212 + 1_204 + 6 + 5},
    workers=WORKERS,
    buckets=buckets(TEN_SECONDS_MS, 360, 120),
    minutes=buckets(MINUTE_MS, 1_440, 100),
    events=EVENTS,
    events_total=5_120,
    supervisors=SUPERVISORS,
    running_jobs=RUNS,
    oldest_wait_ms={Priority.HIGH: 900, Priority.NORMAL: 41_000, Priority.LOW: 412_000},
    completed_kept=10_000,
    history_s=3_600,
    history_min=1_440,
)

IDLE = replace(
    BUSY,
    waiting=dict.fromkeys(Priority, 0),
    oldest_wait_ms=dict.fromkeys(Priority, 0),
    delayed=0,
    active=0,
    dead=0,
    oldest_waiting_ms=0,
    counters={
        **dict.fromkeys(COUNTERS, 0),
        "accepted": 47_539,
        "completed": 47_390,
        "cancelled": 31,
        "discarded": 118,
    },
    workers=tuple(replace(each, busy=0, jobs=(), cpu=0.0, state="running") for each in WORKERS),
    supervisors=(SUPERVISORS[0],),
    running_jobs=(),
    buckets=(),
)

EMPTY = replace(
    IDLE,
    counters=dict.fromkeys(COUNTERS, 0),
    workers=(),
    supervisors=(),
    minutes=(),
    events=(),
    events_total=0,
    completed_kept=0,
)

PAUSED = replace(
    BUSY,
    paused=True,
    paused_since_ms=NOW_MS - 250_000,
    paused_by="root@host7",
    pause_reason="deploying",
)

HEALTH = Health(
    (
        Check("workers", Status.OK, "4 workers, 1425 jobs pending, 5 active", "4 of 4", ""),
        Check("accounting", Status.OK, "every accepted job is accounted for", "0", ""),
        Check(
            "dead-letters",
            Status.WARNING,
            "82 dead letters",
            "82",
            "look at their causes, mend them, requeue",
        ),
        Check(
            "oldest-waiting", Status.CRITICAL, "a job has waited 6 min 52 s", "412 s", "add workers or slots"
        ),
        Check("paused", Status.OK, "the queue is not paused", "no", ""),
        Check("supervisors", Status.OK, "2 supervisors, 3 workers", "2 of 2", ""),
        Check("redis", Status.OK, "Redis answers", "0.4 ms", ""),
        Check("eviction", Status.OK, "Redis' maxmemory-policy is noeviction", "noeviction", ""),
        Check("persistence", Status.OK, "Redis writes to disk", "on", ""),
    ),
    (PerfdataValue("waiting", 1419), PerfdataValue("dead", 82)),
)

WELL = Health(tuple(replace(check, status=Status.OK, advice="") for check in HEALTH.checks), ())


def _figures(rng: random.Random, jobs: int, dead: int, wait_bin: int, run_bin: int) -> Figures:
    return Figures(dead, int(rng.random() < 0.1), _bins(rng, wait_bin, jobs), _bins(rng, run_bin, jobs))


def _breakdown_buckets() -> list[BreakdownBucket]:
    """The last hour of four projects, in 5 min."""
    rng = random.Random(5)
    newest = NOW_MS // BREAKDOWN_MS
    rows = (
        ("morris", Priority.NORMAL, "webp", 140, 0.02, 22, 40),
        ("kids", Priority.HIGH, "webp", 60, 0.0, 8, 38),
        ("trailers", Priority.LOW, "mp4", 25, 0.12, 50, 58),
        ("trial", Priority.LOW, "gif", 4, 0.0, 44, 44),
    )
    made = []
    for back in range(BREAKDOWN_BUCKETS - 1, -1, -1):
        classes: dict[tuple[Priority, str], Figures] = {}
        projects: dict[str, Figures] = {}
        for name, priority, output_format, pace, failing, wait_bin, run_bin in rows:
            jobs = max(0, round(rng.gauss(pace * (1.4 - 0.1 * (back % 7)), pace / 9)))
            figures = _figures(rng, jobs, round(jobs * failing), wait_bin, run_bin)
            projects[name] = figures
            known = classes.get((priority, output_format), Figures())
            classes[priority, output_format] = sum_figures((known, figures))
        made.append(BreakdownBucket(newest - back, classes, projects))
    return made


LOADS = (
    ProjectLoad("morris", 1_204, 4, 1, 4, True, 412_000),
    ProjectLoad("kids", 3, 1, 3, None, False, 900),
    ProjectLoad("archive", 212, 0, 1, 2, False, 41_000),
)
BREAKDOWNS = {one: break_down(_breakdown_buckets(), one, NOW_MS) for one in Dimension}


def record(job_id: str, state: JobState, **changes: object) -> JobRecord:
    """A job record."""
    made = JobRecord(
        job_id=job_id,
        state=state,
        priority=Priority.NORMAL,
        project_id="morris",
        accepted_ms=NOW_MS - 700_000,
        claimed_ms=None if state in (JobState.WAITING,) else NOW_MS - 60_000,
        finished_ms=None if state.pending else NOW_MS - 31_000,
        attempts=0,
        crashes=0,
        requeues=0,
        progress=None,
        phase=None,
        worker=None if state is JobState.WAITING else WORKERS[0].worker_id,
        reason=None,
        error_class=None,
        code=None,
        cause=None,
        fingerprint=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


TRACEBACK = """Traceback (most recent call last):
  File "worker/assets/opener.py", line 120, in open
    raise PermanentJobError(
PermanentJobError: no file boards/middle-game.png under the roots
"""

ATTEMPTS = tuple(
    Attempt(
        at_ms=NOW_MS - 600_000 + 120_000 * number,
        duration_ms=830 + 40 * number,
        worker=WORKERS[number % 2].worker_id,
        kind="transient" if number < 2 else "permanent",
        error_class="TransientJobError" if number < 2 else "PermanentJobError",
        code="asset-incomplete" if number < 2 else "asset-missing",
        message="the upload of boards/middle-game.png is under way"
        if number < 2
        else "no file boards/middle-game.png under the roots",
        traceback=TRACEBACK,
    )
    for number in range(3)
)


# -- jobs of the job list and of the job screen -------------------------------------------------------

PAYLOAD = {
    "jobId": "lesson-10",
    "projectId": "morris",
    "requestId": "req-10",
    "dryRun": False,
    "priority": "normal",
    "attempts": 0,
    "createdAt": "2026-11-24T05:11:27Z",
    "updatedAt": "2026-11-24T05:11:27Z",
    "previewRequest": {
        "title": "Nine Men's Morris",
        "description": "How a mill is made, and what it is good for.",
        "steps": [
            {
                "title": "The board",
                "text": "Three squares, one within the other: 24 points.",
                "assetIds": ["board"],
            },
            {
                "title": "A mill",
                "text": "Three of your men in a row make a mill.",
                "assetIds": ["board", "mill"],
            },
            {"text": "Now play."},
        ],
        "assets": [{"id": "board", "uri": "morris/board.png"}, {"id": "mill", "uri": "morris/mill.jpg"}],
        "audio": {},
        "options": {"resolution": "1280x720", "format": "webp", "quality": 80, "includeCaptions": True},
    },
}

RESULT = {
    "dryRun": False,
    "artifacts": [
        {"path": "animation.webp", "bytes": 48_112, "sha256": "0" * 64, "mediaType": "image/webp"},
        {"path": "container.json", "bytes": 1_204, "sha256": "0" * 64, "mediaType": "application/json"},
        {"path": "frames/000-title.png", "bytes": 21_310, "sha256": "0" * 64, "mediaType": "image/png"},
        {"path": "frames/001.png", "bytes": 40_981, "sha256": "0" * 64, "mediaType": "image/png"},
        {"path": "frames/002.png", "bytes": 38_020, "sha256": "0" * 64, "mediaType": "image/png"},
        {"path": "poster.png", "bytes": 21_310, "sha256": "0" * 64, "mediaType": "image/png"},
        {"path": "preview.json", "bytes": 2_871, "sha256": "0" * 64, "mediaType": "application/json"},
        {"path": "sheet.png", "bytes": 52_202, "sha256": "0" * 64, "mediaType": "image/png"},
        {"path": "thumbs/board.png", "bytes": 6_201, "sha256": "0" * 64, "mediaType": "image/png"},
    ],
    "durationMs": 7_500,
    "width": 1280,
    "height": 720,
    "renderMs": 612,
    "warnings": ["step 2: the text is longer than there is room for, and was cut"],
    "bundle": "/srv/previews/morris/done-3",
}


def _listed() -> tuple[JobRecord, ...]:
    rows = [
        record(
            run.job_id,
            JobState.ACTIVE,
            accepted_ms=NOW_MS - 72_000,
            claimed_ms=run.claimed_ms,
            worker=run.worker_id,
            progress=0.1,
            phase="inspect",
        )
        for run in RUNS
    ]
    for number in range(120):
        priority = tuple(Priority)[number % 3]
        rows.append(
            record(
                f"lesson-{200 + number}",
                JobState.WAITING,
                priority=priority,
                accepted_ms=NOW_MS - 4_100 * number,
            )
        )
    rows.append(
        record(
            "lesson-31",
            JobState.DELAYED,
            attempts=2,
            code="asset-incomplete",
            reason="the upload of boards/middle-game.png is under way",
            worker=WORKERS[2].worker_id,
        )
    )
    for number in range(150):
        ended = NOW_MS - 9_000 - 31_000 * number
        rows.append(
            record(
                f"done-{number}",
                JobState.COMPLETED,
                accepted_ms=ended - 62_000,
                claimed_ms=ended - 400 - 137 * number,
                finished_ms=ended,
                worker=WORKERS[number % 4].worker_id,
                project_id=("morris", "chess", "checkers")[number % 3],
            )
        )
    for number in range(82):
        rows.append(
            record(
                f"lesson-{500 + number}",
                JobState.DEAD,
                attempts=3,
                crashes=number % 2,
                code="asset-missing",
                error_class="PermanentJobError",
                reason="no file boards/middle-game.png under the roots",
                fingerprint="9a1c33d0be77",
                finished_ms=NOW_MS - 31_000 - 60_000 * number,
                claimed_ms=NOW_MS - 32_100 - 60_000 * number,
            )
        )
    rows.append(record("trial-8", JobState.CANCELLED, reason="sent twice", worker=None, claimed_ms=None))
    return tuple(rows)


JOBS = _listed()

DEAD_JOB = record(
    "lesson-500",
    JobState.DEAD,
    attempts=3,
    code="asset-missing",
    error_class="PermanentJobError",
    reason="no file boards/middle-game.png under the roots",
    cause="permanent",
    fingerprint="9a1c33d0be77",
    payload=PAYLOAD,
    history=ATTEMPTS,
    digest="0f3a",
)


# -- dead letters ---------------------------------------------------------------------------------------

GROUPS = (
    # (fingerprint, class, code, cause, reason)
    (
        "9a1c33d0be77",
        "PermanentJobError",
        "asset-missing",
        "permanent",
        "no file boards/middle-game-{n}.png under /srv/assets or /var/lib/previewops/assets",
    ),
    (
        "41f0c2aa9310",
        "TransientJobError",
        "deadline-exceeded",
        "attempts",
        "the render took longer than 120 s",
    ),
    (
        "c07be5511d2e",
        "RenderCrashed",
        "render-crashed",
        "crashes",
        "the render process was killed by SIGSEGV",
    ),
    (
        "7d5518fe02ab",
        "PermanentJobError",
        "payload-invalid",
        "permanent",
        "/previewRequest/steps/3/assetIds/0: refers to an unknown asset",
    ),
    (
        "e2290b7c4f61",
        "PermanentJobError",
        "too-many-pixels",
        "permanent",
        "диаграмма-{n}.png has 177,000,000 pixels, 100,000,000 are allowed",
    ),
)

SHARES = (41, 22, 11, 6, 2)


def dead_records(count: int = 82) -> tuple[JobRecord, ...]:
    """``count`` dead letters of five groups, newest first."""
    rng = random.Random(count)
    total = sum(SHARES)
    made: list[JobRecord] = []
    for number in range(count):
        place = number * total // count
        which = next(i for i in range(len(SHARES)) if place < sum(SHARES[: i + 1]))
        fingerprint, error_class, code, cause, reason = GROUPS[which]
        made.append(
            record(
                f"lesson-{1000 + number}",
                JobState.DEAD,
                project_id=("morris", "chess-openings", "trials")[number % 3],
                priority=tuple(Priority)[number % 3],
                finished_ms=NOW_MS - 31_000 - 97_000 * rng.randrange(1 + 4 * count),
                attempts=0 if cause == "crashes" else 3 if cause == "attempts" else 1,
                crashes=3 if cause == "crashes" else 0,
                requeues=int(number % 9 == 0),
                reason=reason.replace("{n}", str(number)),
                error_class=error_class,
                code=code,
                cause=cause,
                fingerprint=fingerprint,
            )
        )
    return tuple(sorted(made, key=lambda dead_record: -(dead_record.finished_ms or 0)))


def full_dead_record(letter: JobRecord) -> JobRecord:
    """A dead letter as ``DataSource.job`` returns it: with payload and attempts."""
    payload = {
        "jobId": letter.job_id,
        "projectId": letter.project_id,
        "requestId": "spring",
        "dryRun": False,
        "priority": letter.priority.value,
        "previewRequest": {
            "title": "Мельница: nine men's morris",
            "steps": [
                {
                    "title": "The board",
                    "text": "Three squares, and the lines between.",
                    "assetIds": ["board"],
                },
                {"title": "A mill", "text": "Three in a row take one off.", "assetIds": ["board"]},
            ],
            "assets": [{"id": "board", "uri": "boards/middle-game.png"}],
            "audio": {},
        },
    }
    return replace(letter, payload=payload, history=ATTEMPTS, digest="5c1e")


# -- workers, events and health -------------------------------------------------------------------------

LONE = worker(9, "render-3", 1, worker_id="render-3-4009-0009", version="0.0.9")
"""A worker without a supervisor, of another version."""

TROUBLED = replace(
    BUSY,
    workers=(
        replace(WORKERS[0], job_slots=12, busy=7),
        replace(WORKERS[1], heartbeat_ms=NOW_MS - 12_000),
        *WORKERS[2:],
        LONE,
    ),
    supervisors=(
        replace(
            SUPERVISORS[0],
            state=replace(
                SUPERVISORS[0].state,
                notice=(
                    "the reload is rejected: PREVIEW_WORKER_CONCURRENCY: found '0', "
                    "allowed a whole number from 1 to 256; the old settings remain"
                ),
            ),
        ),
        SUPERVISORS[1],
        replace(
            supervisor(
                "render-4",
                (
                    SupervisedWorker("render-4-1-aa01bb", 1, "running", 5001, 0, ""),
                    SupervisedWorker("render-4-2-aa02bb", 2, "backoff", None, 2, "killed by SIGSEGV"),
                ),
            ),
            heartbeat_ms=NOW_MS - 40_000,
            silent=True,
        ),
    ),
    running_jobs=(replace(RUNS[0], attempts=2, crashes=1), *RUNS[1:]),
)
"""A fleet with problems: a silent worker and supervisor, different versions, a worker without a supervisor."""

UNEQUAL = replace(
    BUSY,
    workers=(
        *WORKERS[:2],
        *(
            replace(
                worker,
                confined_by=LAYERS[1:],
                confinement_missing=("Landlock: the kernel is older than 5.13",),
                clock_ahead_ms=-61_000,
                store=replace(STORE, problem="No space left on device", since_ms=NOW_MS - 190_000),
            )
            for worker in WORKERS[2:]
        ),
        replace(LONE, store=replace(STORE, store_id="b07c1d22" * 4)),
    ),
)
"""Hosts that differ: a store that fails, a clock, confinement, another store, another version."""

LOST = replace(BUSY, data_lost_ms=NOW_MS - 300_000)

FULL_HEALTH = Health(
    (
        *HEALTH.checks,
        Check("data-loss", Status.OK, "Redis has kept the queue's data", "none"),
        Check("paused", Status.OK, "the queue is not paused", "no"),
        Check(
            "supervisors",
            Status.WARNING,
            "1 of 3 supervisors is silent; 1 worker is given up: exit status 78, module PIL is missing",
            "2 of 3",
            "look at the host, mend the cause, then reset the worker",
        ),
        Check("disk", Status.UNKNOWN, "the space under DATA_DIR could not be learnt", "-"),
    ),
    (
        PerfdataValue("waiting", 1_419),
        PerfdataValue("delayed", 6),
        PerfdataValue("active", 5),
        PerfdataValue("dead", 82, "", "0", "99"),
        PerfdataValue("oldest_waiting", 412.25, "s", "60", "300"),
        PerfdataValue("workers", 4, "", "", "1:"),
        PerfdataValue("unaccounted", 0, "", "", "0"),
        PerfdataValue("completed_recently", 512),
        PerfdataValue("died_recently", 3),
        PerfdataValue("redis_answer", 0.0004, "s", "0.05", "0.5"),
        PerfdataValue("disk_free", 91_268_055_040, "B"),
    ),
)
"""The health of BUSY with figures and thresholds, and one check without a result."""
