"""What the row under the cursor is about: the worker or the host in full, and each job that it is at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from previewops.text import clean, plural
from previewops.tui.picture import SILENT_MS
from previewops.tui.shape.charts import bar
from previewops.tui.shape.columns import GAP, Column, fit
from previewops.tui.shape.fleet import Post, cpu, memory, since, state_of_post, wanted
from previewops.tui.shape.spans import Line, Span, Tone, pad, said
from previewops.tui.shape.wrap import wrap
from previewops.views import RunView, Snapshot

_PERCENT = 5
_JOB = Column("job", 16, grow=2, middle=True)
_WORKER = Column("worker", 12, drop=5)
_REST = (
    Column("project", 10, grow=1, drop=3),
    Column("priority", 8, drop=2),
    Column("phase", 10, drop=1),
    Column("progress", 10 + _PERCENT, grow=2),
    Column("for", 6, right=True),
)
_BEFORE = Column("before", 20, drop=4)


def title_of(post: Post | None) -> str:
    """What the panel is called."""
    if post is None:
        return "At work"
    if post.worker_id:
        return post.worker_id
    if post.supervisor is None:
        return f"{post.host}, without a supervisor"
    name = post.supervisor.supervisor_id
    return f"{name}, place {post.place.place}" if post.place is not None else name


def jobs_of(post: Post, snapshot: Snapshot, among: Sequence[Post]) -> tuple[str, ...]:
    """The ids of the jobs that a worker, or with a heading all workers under it, are at."""
    if not post.heading:
        return post.worker.jobs if post.worker is not None else ()
    return tuple(
        job
        for each in among
        if each.supervisor is post.supervisor and each.host == post.host and each.worker is not None
        for job in each.worker.jobs
    )


def detail_lines(
    post: Post, job_ids: Sequence[str], snapshot: Snapshot, runs: Mapping[str, RunView], columns: int
) -> list[Line]:
    """The whole panel. A click on a job opens it, by its place in ``job_ids``."""
    about = _of_host(post, snapshot) if post.heading else _of_worker(post, snapshot)
    first, *more = (wrap(line, columns) for line in about)
    rest = [row for rows in more for row in rows]
    if job_ids:
        # The jobs come before what is seldom read: a low panel shows the top only.
        return [*first, *_job_lines(post, job_ids, runs, snapshot.now_ms, columns), (), *rest]
    if post.worker is not None or post.heading:
        return [*first, (Span("no jobs at this moment", Tone.DIM),), (), *rest]
    return [*first, *rest]


def _of_host(post: Post, snapshot: Snapshot) -> list[Line]:
    view = post.supervisor
    if view is None:
        return [
            (
                Span("These were started by themselves, with "),
                Span("previewops worker", Tone.STRONG),
                Span("."),
            ),
            (
                Span(
                    "Nobody restarts them, and no order reaches them: stop one by SIGTERM on its host.",
                    Tone.DIM,
                ),
            ),
        ]
    state, now_ms = view.state, snapshot.now_ms
    phases: dict[str, int] = {}
    for place in state.workers:
        phases[place.phase] = phases.get(place.phase, 0) + 1
    said_of = ", ".join(f"{count} {phase}" for phase, count in phases.items()) or "no workers"
    lines: list[Line] = [
        (said(wanted(view), Tone.STRONG), said(f"  {said_of}")),
        (
            said(f"{state.backend} back end, pid {state.pid}, version {state.version or '-'}", Tone.DIM),
            Span(f", up {since(state.started_ms, now_ms)}, {memory(state.rss_bytes)}", Tone.DIM),
        ),
    ]
    if view.silent:
        words = (
            f"✖ Not heard of for {since(view.heartbeat_ms, now_ms)}: no order reaches it. Look at its host."
        )
        lines.append((Span(words, Tone.BAD),))
    if state.notice:
        lines.append((said(f"▲ {state.notice}", Tone.WARN),))
    return lines


def _of_worker(post: Post, snapshot: Snapshot) -> list[Line]:
    mark, words, tone = state_of_post(post, snapshot.now_ms)
    first: list[Span] = [Span(f"{mark} {words}", tone)]
    worker, place, now_ms = post.worker, post.place, snapshot.now_ms
    lines: list[Line] = []
    if worker is not None:
        first.append(Span(f"  {worker.busy} of {plural(worker.slots, 'slot')} busy"))
        if now_ms - worker.heartbeat_ms > SILENT_MS:
            first.append(Span("; what is shown is what it said last", Tone.DIM))
        lines.append(
            (
                Span(f"{worker.completed:,} done, {worker.failed:,} failed"),
                Span(f" in {since(worker.started_ms, now_ms)}  {cpu(worker.cpu)} of a core"),
                Span(f"  {memory(worker.rss_bytes)} ({memory(worker.own_rss_bytes)} its own)"),
            )
        )
        where = f"pid {worker.pid} on {worker.host}, version {worker.version or '-'}"
        lines.append((said(where, Tone.DIM),))
    if place is not None:
        if place.reason:
            first += [Span(": "), said(place.reason)]
        if post.away:
            lines.append((Span(_away_words(post), Tone.DIM),))
    return [tuple(first), *lines]


def _away_words(post: Post) -> str:
    place = post.place
    assert place is not None
    deaths = f"It died {place.quick_deaths} times soon after its start. " if place.quick_deaths > 1 else ""
    if not post.obeys:
        return f"{deaths}Its supervisor is silent and takes no orders."
    if place.phase == "backoff":
        return f"{deaths}It is started again after a pause; a reset does so at once."
    if place.phase == "exited":
        return f"{deaths}It stays away until it is reset."
    return f"{deaths}It is not started again by itself: mend the cause, then reset it."


def _job_lines(
    post: Post, job_ids: Sequence[str], runs: Mapping[str, RunView], now_ms: int, columns: int
) -> list[Line]:
    failed = any(run.attempts or run.crashes for run in map(runs.get, job_ids) if run is not None)
    kinds = (_JOB, *((_WORKER,) if post.heading else ()), *_REST, *((_BEFORE,) if failed else ()))
    widths = dict(zip(kinds, fit(kinds, columns), strict=True))
    lines = [_row({kind: (Span(kind.title, Tone.DIM),) for kind in kinds}, widths)]
    for place, job_id in enumerate(job_ids):
        name = (Span(clean(job_id), Tone.INFO, f"screen.open_run({place})"),)
        run = runs.get(job_id)
        known = _run_cells(run, post.host, now_ms, widths[_REST[3]]) if run is not None else {}
        lines.append(_row({**known, _JOB: name}, widths))
    return lines


def _run_cells(run: RunView, host: str, now_ms: int, room: int) -> dict[Column, Line]:
    project, priority, phase, progress, lasted = _REST
    before = [plural(run.attempts, "failure")] * bool(run.attempts)
    before += [plural(run.crashes, "crash", "crashes")] * bool(run.crashes)
    return {
        _WORKER: (said(run.worker_id.removeprefix(f"{host}-"), Tone.DIM),),
        project: (said(run.project_id),),
        priority: (said(run.priority.value, Tone(run.priority.value)),),
        phase: (said(run.phase),),
        progress: (*bar(run.progress, room - _PERCENT, Tone.DONE), Span(f" {run.progress:>4.0%}")),
        lasted: (Span(since(run.claimed_ms, now_ms), Tone.DIM),),
        _BEFORE: (Span(", ".join(before), Tone.WARN),),
    }


def _row(cells: Mapping[Column, Line], widths: Mapping[Column, int]) -> Line:
    spans: list[Span] = []
    for column, width in widths.items():
        if width:
            between = [Span(" " * GAP)] if spans else []
            spans += [*between, *pad(cells.get(column, ()), width, right=column.right)]
    return tuple(spans)
