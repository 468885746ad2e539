"""The workers' table: supervisors as headings, under each its workers, in rows that keep their keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from previewops.fleetviews import SupervisedWorker, SupervisorView
from previewops.text import age, clean, plural
from previewops.tui.picture import SILENT_MS
from previewops.tui.shape.bars import short
from previewops.tui.shape.charts import bar
from previewops.tui.shape.columns import Column
from previewops.tui.shape.spans import Line, Span, Tone, said
from previewops.tui.shape.state import alive_workers
from previewops.views import RunView, Snapshot, WorkerView

_AWAY_WORDS = {
    "exited": ("○", "drained", Tone.DIM),
    "backoff": ("▲", "backing off", Tone.WARN),
    "fatal": ("✖", "given up", Tone.BAD),
}

AWAY = tuple(_AWAY_WORDS)
"""The phases of a place in which no worker runs."""

_MOST_BLOCKS = 5
_BAR = 4
_IDLE_CPU = 5
_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Post:
    """One row. A heading has neither ``place`` nor ``worker``; workers that nobody supervises have no ``supervisor``.

    ``place`` is the worker as its supervisor sees it, ``worker`` as it last said itself; either may be missing.
    """

    key: str
    host: str
    supervisor: SupervisorView | None
    place: SupervisedWorker | None = None
    worker: WorkerView | None = None

    @property
    def heading(self) -> bool:
        """Whether the row stands for a whole host."""
        return self.place is None and self.worker is None

    @property
    def worker_id(self) -> str:
        """The worker's id, "" for a heading and for a place that has had no worker yet."""
        if self.place is not None:
            return self.place.worker_id
        return self.worker.worker_id if self.worker is not None else ""

    @property
    def away(self) -> bool:
        """Whether no worker runs at the place."""
        return self.place is not None and self.place.phase in AWAY

    @property
    def obeys(self) -> bool:
        """Whether there is a supervisor that can take orders."""
        return self.supervisor is not None and not self.supervisor.silent


def posts(snapshot: Snapshot) -> tuple[Post, ...]:
    """All rows: supervisors by host, their workers by place, then the workers that have no supervisor."""
    views = {worker.worker_id: worker for worker in snapshot.workers}
    supervised = {
        place.worker_id for view in snapshot.supervisors if not view.silent for place in view.state.workers
    }
    rows: list[Post] = []
    for view in sorted(snapshot.supervisors, key=lambda each: (each.state.host, each.supervisor_id)):
        host = view.state.host
        rows.append(Post(f"host {view.supervisor_id}", host, view))
        for place in sorted(view.state.workers, key=lambda each: each.place):
            if view.silent and place.worker_id in supervised:
                continue  # another supervisor has taken it over
            key = f"{view.supervisor_id} {place.place} {place.worker_id}"
            worker = None if place.phase in AWAY else views.get(place.worker_id)
            rows.append(Post(key, host, view, place, worker))
    known = {post.worker_id for post in rows} | supervised
    alone = [worker for worker in snapshot.workers if worker.worker_id not in known]
    for worker in sorted(alone, key=lambda each: (each.host, each.worker_id)):
        heading = Post(f"alone on {worker.host}", worker.host, None)
        if not rows or (rows[-1].supervisor, rows[-1].host) != (None, worker.host):
            rows.append(heading)
        rows.append(Post(f"{heading.key} {worker.worker_id}", worker.host, None, None, worker))
    return tuple(rows)


def columns(*, differ: bool) -> tuple[Column, ...]:
    """The columns; versions have one only where they ``differ``."""
    return (
        Column("worker", 14, grow=1),
        Column("pid", 7, right=True, drop=7),
        Column("state", 13),
        Column("slots", _MOST_BLOCKS),
        Column("cpu", 5, right=True, drop=2),
        Column("memory", 7, right=True, drop=4),
        Column("age", 6, right=True, drop=5),
        Column("done", 6, right=True, drop=6),
        Column("failed", 6, right=True, drop=3),
        *((Column("version", 9, drop=1),) if differ else ()),
        Column("jobs", 13, grow=4),
    )


def versions(snapshot: Snapshot) -> frozenset[str]:
    """Every version that runs somewhere."""
    views = (view.state.version for view in snapshot.supervisors if not view.silent)
    return frozenset(version for version in (*views, *(w.version for w in snapshot.workers)) if version)


def cells(post: Post, now_ms: int, runs: Mapping[str, RunView], *, differ: bool) -> tuple[Line, ...]:
    """A row's cells. Headings and places without a worker have fewer: their last cell takes the rest."""
    if post.heading:
        return (heading_line(post, now_ms),)
    mark, words, tone = state_of_post(post, now_ms)
    name = (Span(f"  {mark} ", tone), said(short_id(post), Tone.TEXT if post.worker else Tone.DIM))
    state = (Span(words, tone),)
    worker = post.worker
    if worker is None:
        pid = post.place.pid if post.place is not None else None
        return (name, (Span(str(pid or "-"), Tone.DIM),), state, (why_line(post),))
    return (
        name,
        (Span(str(worker.pid), Tone.DIM),),
        state,
        slots_line(worker),
        (Span(cpu(worker.cpu)),),
        (Span(memory(worker.rss_bytes)),),
        (Span(since(worker.started_ms, now_ms), Tone.DIM),),
        (Span(short(worker.completed)),),
        (Span(short(worker.failed), Tone.TEXT if worker.failed else Tone.DIM),),
        *(((said(worker.version or "-", Tone.WARN),),) if differ else ()),
        jobs_line(worker.jobs, runs),
    )


def heading_line(post: Post, now_ms: int) -> Line:
    """A host in a line: whether its supervisor is heard of, what is wanted of it, and what it has to say."""
    view = post.supervisor
    if view is None:
        return (
            Span("▲ ", Tone.WARN),
            said(post.host, Tone.STRONG),
            Span("  without a supervisor", Tone.WARN),
        )
    state = view.state
    well = not view.silent and state.state == "running"
    words = f"silent {since(view.heartbeat_ms, now_ms)}" if view.silent else clean(state.state)
    mark = Span("● ", Tone.GOOD) if well else Span("▲ ", Tone.WARN)
    parts = [mark, said(state.host, Tone.STRONG), Span(f"  {words}", Tone.DIM if well else Tone.WARN)]
    parts.append(Span(f"  {clean(state.backend)}  {wanted(view)}  {memory(state.rss_bytes)}", Tone.DIM))
    if state.notice:
        parts.append(said(f"  {state.notice}", Tone.WARN))
    return tuple(parts)


def wanted(view: SupervisorView) -> str:
    """How many workers a supervisor aims at, and its bounds where it has a choice."""
    bounds = view.state.bounds
    choice = f" ({bounds.fewest} to {bounds.most})" if bounds.fewest != bounds.most else ""
    return f"{view.state.count} wanted{choice}"


def state_of_post(post: Post, now_ms: int) -> tuple[str, str, Tone]:
    """(mark, words, tone) of a worker: what it does, or that it is silent, or why nothing runs there."""
    phase = post.place.phase if post.place is not None else "running"
    if phase in AWAY:
        return _AWAY_WORDS[phase]
    worker = post.worker
    if worker is None:
        return ("◌", "starting", Tone.INFO) if phase == "starting" else ("?", "not heard of", Tone.WARN)
    if now_ms - worker.heartbeat_ms > SILENT_MS:
        return "✖", f"silent {since(worker.heartbeat_ms, now_ms)}", Tone.BAD
    if "draining" in (phase, worker.state):
        return "◐", "draining", Tone.WARN
    return ("●", "working", Tone.GOOD) if worker.busy else ("○", "idle", Tone.DIM)


def why_line(post: Post) -> Span:
    """Why no worker is heard of at a place."""
    place = post.place
    if place is None or not place.reason:
        return Span("")
    return said(place.reason, Tone.TEXT if place.phase == "fatal" else Tone.DIM)


def short_id(post: Post) -> str:
    """The worker's id without its host, which stands in the heading; or its place."""
    worker_id = post.worker_id
    if not worker_id:
        return f"place {post.place.place}" if post.place is not None else ""
    return worker_id.removeprefix(f"{post.host}-") if post.host else worker_id


def slots_line(worker: WorkerView) -> Line:
    """A block for each slot, filled where a job is; as figures where there are many."""
    if worker.slots > _MOST_BLOCKS:
        return (Span(f"{worker.busy}/{worker.slots}", Tone.GOOD if worker.busy else Tone.DIM),)
    free = max(0, worker.slots - worker.busy)
    return (Span("■" * min(worker.busy, worker.slots), Tone.GOOD), Span("□" * free, Tone.DIM))


def jobs_line(job_ids: Sequence[str], runs: Mapping[str, RunView]) -> Line:
    """Jobs one after the other, each with how far it is."""
    spans: list[Span] = []
    for job_id in job_ids:
        if spans:
            spans.append(Span("  "))
        run = runs.get(job_id)
        if run is not None:
            spans += [*bar(run.progress, _BAR, Tone.DONE), Span(" ")]
        spans.append(said(job_id))
    return tuple(spans)


def summary(snapshot: Snapshot) -> str:
    """The fleet in a line."""
    alive = set(alive_workers(snapshot))
    there = [worker for worker in snapshot.workers if worker.worker_id in alive]
    parts = [plural(len(there), "worker")]
    if there:
        parts.append(f"{sum(w.busy for w in there)} of {sum(w.slots for w in there)} slots busy")
    silent = len(snapshot.workers) - len(there)
    given_up = sum(place.phase == "fatal" for view in snapshot.supervisors for place in view.state.workers)
    parts += [f"{silent} silent"] * bool(silent) + [f"{given_up} given up"] * bool(given_up)
    if len(versions(snapshot)) > 1:
        parts.append("versions differ")
    return " · ".join(parts)


def nobody(snapshot: Snapshot) -> tuple[Line, ...]:
    """What stands there when there is no worker and no supervisor: unlike a fleet that is busy."""
    pending = snapshot.pending
    waits = (
        f"{plural(pending, 'job')} pending, and nothing takes them."
        if pending
        else "Nothing is pending either."
    )
    ways = (
        ("previewops up", "workers on this machine"),
        ("previewops supervise --min 1 --max 8", "as many as the load asks for"),
    )
    wide = [max(map(len, column)) for column in zip(*ways, strict=True)]
    return (
        (Span("✖ no workers", Tone.BAD),),
        (Span(waits, Tone.TEXT),),
        (),
        (Span("start some, on any host that reaches this Redis:", Tone.DIM),),
        *(
            (Span(f"{way:<{wide[0]}}", Tone.STRONG), Span(f"   {what:<{wide[1]}}", Tone.DIM))
            for way, what in ways
        ),
    )


def since(then_ms: int, now_ms: int) -> str:
    """How long ago, as coarse as that it does not tick for nothing: "40 s", "3 min", "2 h"."""
    return "0 s" if now_ms - then_ms < 1_000 else age(then_ms, now_ms).removesuffix(" ago")


def cpu(percent: float) -> str:
    """A share of one core; of what an idle worker uses no more is said than that it is little."""
    return f"{percent:.0f}%" if percent >= _IDLE_CPU else f"<{_IDLE_CPU}%"


def memory(count: int) -> str:
    """Bytes in at most seven characters: "187 MiB", "1.2 GiB"."""
    return f"{count / _GIB:.1f} GiB" if count >= 1_000 * _MIB else f"{count / _MIB:.0f} MiB"


def runs_by_id(runs: Iterable[RunView]) -> dict[str, RunView]:
    """The active jobs by their ids."""
    return {run.job_id: run for run in runs}
