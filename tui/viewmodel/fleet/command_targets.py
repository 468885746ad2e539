"""Targets of commands to a supervisor, and the text of their dialogs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from previewops.formatting import clean, pluralize
from previewops.snapshot.fleet import MAX_WORKERS, SupervisedWorker, SupervisorStatus, WorkerCountRange
from previewops.tui.viewmodel.fleet.table import FleetRow
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, plain_text

_HITS: Mapping[str, tuple[str, ...]] = {
    "drain": ("starting", "running", "backoff", "fatal"),
    "restart": ("starting", "running", "backoff", "fatal", "exited"),
    "reset": ("exited", "backoff", "fatal", "draining"),
}
"""The worker phases that a command changes. The supervisor rejects it in the others."""

_MEANS: Mapping[str, str] = {
    "drain": "{} their jobs, claim no more, and stay stopped until they are reset.",
    "restart": "One after the other is replaced. Each finishes its jobs first.",
    "reset": "They are started again immediately.",
}
_MEANS_ONE: Mapping[str, str] = {
    "drain": "It finishes {}, claims no more, and stays stopped until it is reset.",
    "restart": "Its replacement is started. Then it finishes {} and exits.",
    "reset": "It is started again immediately.",
}


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """The target of a command: one worker, or with ``worker_id`` "" a whole host.

    ``affected`` is the number of workers that the command changes, ``jobs`` the number of their running jobs.
    """

    kind: str
    supervisor_id: str
    host: str
    worker_id: str
    affected: int
    jobs: int

    @property
    def label(self) -> str:
        """The workers as text."""
        if self.worker_id:
            return clean(self.worker_id)
        return f"{pluralize(self.affected, 'worker')} of {clean(self.host)}"


def find_target(act: str, post: FleetRow | None, among: Sequence[FleetRow]) -> CommandTarget | None:
    """The target of a command at the cursor's row; None if no supervisor accepts it or no worker would change.

    A slot without a worker yet has no worker id. Its reset goes to the host, whose supervisor restarts only workers
    that are not running.
    """
    if post is None or post.supervisor is None or not post.accepts_commands:
        return None
    whole = post.is_heading
    if not whole and not post.worker_id:
        if act != "reset":
            return None
        whole = True
    view = post.supervisor
    rows = [each for each in among if each.supervisor is view and each.slot is not None] if whole else [post]
    hit = [each for each in rows if each.slot is not None and each.slot.phase in _HITS[act]]
    if not hit or (not post.is_heading and post not in hit):
        return None
    jobs = sum(each.worker.busy for each in hit if each.worker is not None)
    return CommandTarget(
        act, view.supervisor_id, view.state.host, "" if whole else post.worker_id, len(hit), jobs
    )


def confirmation_lines(target: CommandTarget) -> list[Line]:
    """The dialog's text before a command."""
    jobs = pluralize(target.jobs, "job") if target.jobs else "no job"
    if target.affected == 1:
        ends = {0: "its jobs", 1: "its job"}.get(target.jobs, f"its {target.jobs} jobs")
        return [(Span(_MEANS_ONE[target.kind].format(ends)),)]
    words = _MEANS[target.kind].format("They finish")
    return [
        (Span(f"{target.kind.capitalize()} "), Span(target.label, Tone.STRONG), Span(f", at {jobs} now?")),
        (Span(words, Tone.DIM),),
    ]


def join_text(lines: Sequence[Line]) -> str:
    """The lines as one text."""
    return " ".join(filter(None, map(plain_text, lines)))


def scalable_supervisor(post: FleetRow | None) -> SupervisorStatus | None:
    """The supervisor that can be scaled from the cursor's row."""
    return post.supervisor if post is not None and post.accepts_commands else None


def check_worker_range(text: str) -> str:
    """The error of a typed worker count or range, "" for none."""
    if WorkerCountRange.parse(text) is not None:
        return ""
    found = f"found {clean(text)!r}, " if text else ""
    return f"{found}allowed is a number or a range like 4 or 1-8, from 0 to {MAX_WORKERS}"


def count_surplus_workers(view: SupervisorStatus, bounds: WorkerCountRange) -> int:
    """The number of running workers above the new maximum."""
    running: list[SupervisedWorker] = [
        each for each in view.state.workers if each.phase in ("starting", "running")
    ]
    return max(0, len(running) - bounds.maximum)


def scale_prompt(view: SupervisorStatus) -> str:
    """The prompt for a new worker count."""
    bounds = view.state.worker_range
    present = (
        f"{bounds.minimum}"
        if bounds.minimum == bounds.maximum
        else f"{bounds.minimum} to {bounds.maximum} by load"
    )
    return (
        f"How many workers? A number, or a range for autoscaling. "
        f"Now: {present}; current target: {view.state.count}."
    )


def scale_down_lines(view: SupervisorStatus, bounds: WorkerCountRange) -> list[Line]:
    """The dialog's text before workers are stopped."""
    count = count_surplus_workers(view, bounds)
    return [
        (
            Span(f"{pluralize(count, 'worker')} of "),
            clean_span(view.state.host, Tone.STRONG),
            Span(f" will finish {'its' if count == 1 else 'their'} jobs and exit."),
        )
    ]
