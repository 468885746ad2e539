"""Orders to a host's supervisor: whom one would hit, and what is asked before it is given."""

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
"""The phases in which an order changes anything; a supervisor answers "nothing to …" in the others."""

_MEANS: Mapping[str, str] = {
    "drain": "{} their jobs, take no more, and stay away until they are reset.",
    "restart": "Each is replaced by a successor, one after the other, and ends its jobs meanwhile.",
    "reset": "They are started again at once.",
}
_MEANS_ONE: Mapping[str, str] = {
    "drain": "It ends {}, takes no more, and stays away until it is reset.",
    "restart": "Its successor is started; then it ends {} and goes.",
    "reset": "It is started again at once.",
}


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """Whom an order goes to. ``worker_id`` is "" for a whole host.

    ``hits`` counts the workers that it changes, ``jobs`` what they are at.
    """

    kind: str
    supervisor_id: str
    host: str
    worker_id: str
    affected: int
    jobs: int

    @property
    def label(self) -> str:
        """The workers in words."""
        if self.worker_id:
            return clean(self.worker_id)
        return f"{pluralize(self.affected, 'worker')} of {clean(self.host)}"


def find_target(act: str, post: FleetRow | None, among: Sequence[FleetRow]) -> CommandTarget | None:
    """Whom ``act`` would hit from the cursor's row; None when nobody there can take it or would be changed.

    A place that has had no worker has no name of its own: a reset of it goes to its host, whose supervisor
    resets what does not run and nothing else.
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
    """What is said before an order is given."""
    jobs = pluralize(target.jobs, "job") if target.jobs else "no job"
    if target.affected == 1:
        ends = {0: "what it is at", 1: "its job"}.get(target.jobs, f"its {target.jobs} jobs")
        return [(Span(_MEANS_ONE[target.kind].format(ends)),)]
    words = _MEANS[target.kind].format("They end")
    return [
        (Span(f"{target.kind.capitalize()} "), Span(target.label, Tone.STRONG), Span(f", at {jobs} now?")),
        (Span(words, Tone.DIM),),
    ]


def join_text(lines: Sequence[Line]) -> str:
    """The lines as one text."""
    return " ".join(filter(None, map(plain_text, lines)))


def scalable_supervisor(post: FleetRow | None) -> SupervisorStatus | None:
    """The supervisor that a scale order from the cursor's row would go to."""
    return post.supervisor if post is not None and post.accepts_commands else None


def check_worker_range(text: str) -> str:
    """What is wrong with a number of workers as it was typed, "" when nothing is."""
    if WorkerCountRange.parse(text) is not None:
        return ""
    found = f"{clean(text)!r} is not that: " if text else ""
    return f"{found}a number or a range is needed, like 4 or 1-8, from 0 to {MAX_WORKERS}"


def count_surplus_workers(view: SupervisorStatus, bounds: WorkerCountRange) -> int:
    """How many of the workers that run would have to go under those bounds."""
    running: list[SupervisedWorker] = [
        each for each in view.state.workers if each.phase in ("starting", "running")
    ]
    return max(0, len(running) - bounds.maximum)


def scale_prompt(view: SupervisorStatus) -> str:
    """What is asked for a new number of workers."""
    bounds = view.state.worker_range
    present = (
        f"{bounds.minimum}"
        if bounds.minimum == bounds.maximum
        else f"{bounds.minimum} to {bounds.maximum} by load"
    )
    return (
        f"How many workers? A number, or a range to choose from by load. "
        f"Now it is {present}; {view.state.count} are wanted at this moment."
    )


def scale_down_lines(view: SupervisorStatus, bounds: WorkerCountRange) -> list[Line]:
    """What is said before workers have to go."""
    count = count_surplus_workers(view, bounds)
    return [
        (
            Span(f"{pluralize(count, 'worker')} of "),
            clean_span(view.state.host, Tone.STRONG),
            Span(f" will end {'its' if count == 1 else 'their'} jobs and go."),
        )
    ]
