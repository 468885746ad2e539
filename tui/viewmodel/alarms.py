"""Failed health checks as alarms: the worst first, each with the key that opens its remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from previewops.formatting import clean, format_age, pluralize
from previewops.health import RECENT_WINDOW_S, Check, Status
from previewops.snapshot.history import History
from previewops.snapshot.model import Snapshot
from previewops.tui.keymap import SCREENS
from previewops.tui.state.queue_view import SILENT_MS, QueueView
from previewops.tui.viewmodel.empty_states import RECORDED_SCREENS
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.spans import Line

WORST_FIRST = (Status.CRITICAL, Status.UNKNOWN, Status.WARNING, Status.OK)

_REMEDY_SCREENS: Mapping[str, str] = {
    **dict.fromkeys(("dead-letters", "failure-rate", "dead-growth"), "dead"),
    **dict.fromkeys(("workers", "supervisors", "versions", "stuck-jobs", "confinement", "clocks"), "workers"),
    **dict.fromkeys(("oldest-waiting", "depth"), "workers"),
}
"""The screen on which a failed check is remedied; the others are explained on Health."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A failed check. ``headline`` describes it in a few words; ``affected`` is the number of jobs it concerns."""

    check: Check
    headline: str
    affected: int
    remedy: Line

    @property
    def status(self) -> Status:
        return self.check.status

    @property
    def silenced(self) -> bool:
        """Whether an operator has silenced it: it is listed, but is not the headline."""
        return self.check.silenced


def alarms_of(view: QueueView) -> tuple[Alarm, ...]:
    """All alarms: by severity, then by the number of jobs affected, then in the order of the checks.

    Silenced ones come last.
    """
    snapshot, health = view.snapshot, view.health
    if snapshot is None or health is None:
        return ()
    alarms = [
        _alarm(check, view, snapshot)
        for check in health.checks
        # The snapshot is newer than the checks: a queue that runs again is not reported as paused.
        if check.status is not Status.OK and (check.name != "paused" or snapshot.paused)
    ]
    alarms.sort(key=lambda alarm: (alarm.silenced, WORST_FIRST.index(alarm.status), -alarm.affected))
    return tuple(alarms)


def _alarm(check: Check, view: QueueView, snapshot: Snapshot) -> Alarm:
    describe = _HEADLINES.get(check.name)
    headline = describe(snapshot) if describe is not None else ""
    affected = _affected(check, snapshot, view.history)
    return Alarm(check, headline or clean(check.message), affected, _remedy(check, view))


def _affected(check: Check, snapshot: Snapshot, history: History) -> int:
    """The number of jobs that a failed check concerns: those that died or may be lost, or those that have to wait."""
    count = _AFFECTED.get(check.name)
    return snapshot.pending if count is None else count(snapshot, history)


def _died_recently(snapshot: Snapshot, history: History) -> int:
    return history.count_within("died", RECENT_WINDOW_S * 1_000, snapshot.now_ms)


_AFFECTED: Mapping[str, Callable[[Snapshot, History], int]] = {
    "data-loss": lambda snapshot, _: snapshot.counters.get("accepted", 0),
    "accounting": lambda snapshot, _: abs(snapshot.unaccounted),
    "dead-letters": lambda snapshot, _: snapshot.dead,
    **dict.fromkeys(("failure-rate", "dead-growth"), _died_recently),
    **dict.fromkeys(("paused", "depth", "oldest-waiting"), lambda snapshot, _: snapshot.backlog),
    "stuck-jobs": lambda snapshot, _: snapshot.active,
    **dict.fromkeys(("versions", "confinement", "clocks", "redis-version"), lambda _snapshot, _history: 0),
}
"""Jobs that a failed check affects; the others, such as those of Redis, affect all pending jobs."""


def _remedy(check: Check, view: QueueView) -> Line:
    """The key that helps: in a replay that of a screen that is recorded, and none that acts."""
    is_replay = view.replay is not None
    waits_for_resume = view.snapshot is not None and view.snapshot.paused and check.name == "oldest-waiting"
    if (check.name == "paused" or waits_for_resume) and not view.read_only and not is_replay:
        return key_hint("pause", "resumes it" if check.name == "paused" else "resumes the queue")
    mode = _REMEDY_SCREENS.get(check.name, "health")
    mode = "health" if is_replay and mode not in RECORDED_SCREENS else mode
    return key_hint(f"show('{mode}')", f"opens {dict(SCREENS)[mode]}")


def _paused(snapshot: Snapshot) -> str:
    since = format_age(snapshot.paused_since_ms, snapshot.now_ms)
    by = f" by {clean(snapshot.paused_by)}" if snapshot.paused_by else ""
    why = f": {clean(snapshot.pause_reason)}" if snapshot.pause_reason else ""
    return f"paused {since}{by}{why}"


def _workers(snapshot: Snapshot) -> str:
    known = len(snapshot.workers)
    if not known:
        return "no workers"
    return "" if alive_workers(snapshot) else f"no live workers ({known} silent)"


def _supervisors(snapshot: Snapshot) -> str:
    workers = [worker for view in snapshot.supervisors for worker in view.state.workers]
    given_up = sum(worker.phase == "fatal" for worker in workers)
    if given_up:
        return f"{pluralize(given_up, 'worker')} given up"
    failing = sum(worker.failing for worker in workers)
    return f"{pluralize(failing, 'worker')} failing" if failing else ""


_HEADLINES: Mapping[str, Callable[[Snapshot], str]] = {
    "data-loss": lambda _snapshot: "Redis lost the queue's data",
    "paused": _paused,
    "workers": _workers,
    "supervisors": _supervisors,
}
"""Headlines that differ from the check's message; "" takes the message."""


def alive_workers(snapshot: Snapshot) -> tuple[str, ...]:
    """Ids of the workers with a recent heartbeat."""
    return tuple(
        worker.worker_id for worker in snapshot.workers if snapshot.now_ms - worker.heartbeat_ms <= SILENT_MS
    )
