"""Orders to a host's supervisor: whom one would hit, and what is asked before it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from previewops.fleetviews import MOST_WORKERS, Bounds, SupervisedWorker, SupervisorView
from previewops.text import clean, plural
from previewops.tui.shape.fleet import Post
from previewops.tui.shape.spans import Line, Span, Tone, plain, said

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
class Target:
    """Whom an order goes to. ``worker_id`` is "" for a whole host.

    ``hits`` counts the workers that it changes, ``jobs`` what they are at.
    """

    act: str
    supervisor_id: str
    host: str
    worker_id: str
    hits: int
    jobs: int

    @property
    def whom(self) -> str:
        """The workers in words."""
        if self.worker_id:
            return clean(self.worker_id)
        return f"{plural(self.hits, 'worker')} of {clean(self.host)}"


def target_of(act: str, post: Post | None, among: Sequence[Post]) -> Target | None:
    """Whom ``act`` would hit from the cursor's row; None when nobody there can take it or would be changed.

    A place that has had no worker has no name of its own: a reset of it goes to its host, whose supervisor
    resets what does not run and nothing else.
    """
    if post is None or post.supervisor is None or not post.obeys:
        return None
    whole = post.heading
    if not whole and not post.worker_id:
        if act != "reset":
            return None
        whole = True
    view = post.supervisor
    rows = [each for each in among if each.supervisor is view and each.place is not None] if whole else [post]
    hit = [each for each in rows if each.place is not None and each.place.phase in _HITS[act]]
    if not hit or (not post.heading and post not in hit):
        return None
    jobs = sum(each.worker.busy for each in hit if each.worker is not None)
    return Target(act, view.supervisor_id, view.state.host, "" if whole else post.worker_id, len(hit), jobs)


def question(target: Target) -> list[Line]:
    """What is said before an order is given."""
    jobs = plural(target.jobs, "job") if target.jobs else "no job"
    if target.hits == 1:
        ends = {0: "what it is at", 1: "its job"}.get(target.jobs, f"its {target.jobs} jobs")
        return [(Span(_MEANS_ONE[target.act].format(ends)),)]
    words = _MEANS[target.act].format("They end")
    return [
        (Span(f"{target.act.capitalize()} "), Span(target.whom, Tone.STRONG), Span(f", at {jobs} now?")),
        (Span(words, Tone.DIM),),
    ]


def in_words(lines: Sequence[Line]) -> str:
    """The lines as one text."""
    return " ".join(filter(None, map(plain, lines)))


def scalable(post: Post | None) -> SupervisorView | None:
    """The supervisor that a scale order from the cursor's row would go to."""
    return post.supervisor if post is not None and post.obeys else None


def bounds_refusal(text: str) -> str:
    """What is wrong with a number of workers as it was typed, "" when nothing is."""
    if Bounds.parse(text) is not None:
        return ""
    found = f"{clean(text)!r} is not that: " if text else ""
    return f"{found}a number or a range is needed, like 4 or 1-8, from 0 to {MOST_WORKERS}"


def dismissed(view: SupervisorView, bounds: Bounds) -> int:
    """How many of the workers that run would have to go under those bounds."""
    running: list[SupervisedWorker] = [
        each for each in view.state.workers if each.phase in ("starting", "running")
    ]
    return max(0, len(running) - bounds.most)


def scale_question(view: SupervisorView) -> str:
    """What is asked for a new number of workers."""
    bounds = view.state.bounds
    present = (
        f"{bounds.fewest}" if bounds.fewest == bounds.most else f"{bounds.fewest} to {bounds.most} by load"
    )
    return (
        f"How many workers? A number, or a range to choose from by load. "
        f"Now it is {present}; {view.state.count} are wanted at this moment."
    )


def dismissal(view: SupervisorView, bounds: Bounds) -> list[Line]:
    """What is said before workers have to go."""
    count = dismissed(view, bounds)
    return [
        (
            Span(f"{plural(count, 'worker')} of "),
            said(view.state.host, Tone.STRONG),
            Span(f" will end {'its' if count == 1 else 'their'} jobs and go."),
        )
    ]
