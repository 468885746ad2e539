"""Targets of commands to a supervisor, and the text of their dialogs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from previewops.formatting import clean, pluralize
from previewops.snapshot.fleet import MAX_WORKERS, SupervisorStatus, WorkerCountRange
from previewops.tui.viewmodel.fleet.table import FleetRow
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, plain_text

_AFFECTED_PHASES: Mapping[str, tuple[str, ...]] = {
    "drain": ("starting", "running", "backoff", "fatal"),
    "restart": ("starting", "running", "backoff", "fatal", "exited"),
    "reset": ("exited", "backoff", "fatal", "draining"),
}
"""The worker phases that a command changes. The supervisor rejects it in the others."""

_EFFECT: Mapping[str, str] = {
    "drain": "{} their jobs, claim no more, and stay stopped until they are reset.",
    "restart": "One after the other is replaced. Each finishes its jobs first.",
    "reset": "They are started again immediately.",
}
_EFFECT_ON_ONE: Mapping[str, str] = {
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
        if self.worker_id:
            return clean(self.worker_id)
        return f"{pluralize(self.affected, 'worker')} of {clean(self.host)}"


def find_target(act: str, row: FleetRow | None, rows: Sequence[FleetRow]) -> CommandTarget | None:
    """The target of a command at the cursor's row; None if no supervisor accepts it or no worker would change.

    A worker slot that is still empty has no worker id. Its reset goes to the host, whose supervisor restarts only
    workers that are not running.
    """
    if row is None or row.supervisor is None or not row.accepts_commands:
        return None
    is_host = row.is_heading
    if not is_host and not row.worker_id:
        if act != "reset":
            return None
        is_host = True
    supervisor = row.supervisor
    targets = [other for other in rows if other.supervisor is supervisor] if is_host else [row]
    affected = [
        target
        for target in targets
        if target.supervised is not None and target.supervised.phase in _AFFECTED_PHASES[act]
    ]
    if not affected or (not row.is_heading and row not in affected):
        return None
    jobs = sum(target.worker.busy for target in affected if target.worker is not None)
    host, worker_id = supervisor.state.host, "" if is_host else row.worker_id
    return CommandTarget(act, supervisor.supervisor_id, host, worker_id, len(affected), jobs)


def format_confirmation_lines(target: CommandTarget) -> list[Line]:
    """The dialog's text before a command."""
    jobs = pluralize(target.jobs, "job") if target.jobs else "no job"
    if target.affected == 1:
        jobs_text = {0: "its jobs", 1: "its job"}.get(target.jobs, f"its {target.jobs} jobs")
        return [(Span(_EFFECT_ON_ONE[target.kind].format(jobs_text)),)]
    text = _EFFECT[target.kind].format("They finish")
    return [
        (Span(f"{target.kind.capitalize()} "), Span(target.label, Tone.STRONG), Span(f", at {jobs} now?")),
        (Span(text, Tone.DIM),),
    ]


def join_text(lines: Sequence[Line]) -> str:
    return " ".join(filter(None, map(plain_text, lines)))


def scalable_supervisor(row: FleetRow | None) -> SupervisorStatus | None:
    """The supervisor that can be scaled from the cursor's row."""
    return row.supervisor if row is not None and row.accepts_commands else None


def check_worker_range(text: str) -> str:
    """The error of a typed worker count or range, "" for none."""
    if WorkerCountRange.parse(text) is not None:
        return ""
    prefix = f"found {clean(text)!r}, " if text else ""
    return f"{prefix}allowed is a number or a range like 4 or 1-8, from 0 to {MAX_WORKERS}"


def count_surplus_workers(supervisor: SupervisorStatus, worker_range: WorkerCountRange) -> int:
    """The number of running workers above the new maximum."""
    running = sum(worker.phase in ("starting", "running") for worker in supervisor.state.workers)
    return max(0, running - worker_range.maximum)


def scale_prompt(supervisor: SupervisorStatus) -> str:
    limits = supervisor.state.worker_range
    scales = limits.minimum != limits.maximum
    present = f"{limits.minimum}" + (f" to {limits.maximum} by load" if scales else "")
    return (
        f"How many workers? A number, or a range for autoscaling. "
        f"Now: {present}; current target: {supervisor.state.count}."
    )


def format_scale_down_lines(supervisor: SupervisorStatus, worker_range: WorkerCountRange) -> list[Line]:
    """The dialog's text before workers are stopped."""
    count = count_surplus_workers(supervisor, worker_range)
    host = clean_span(supervisor.state.host, Tone.STRONG)
    ends = Span(f" will finish {'its' if count == 1 else 'their'} jobs and exit.")
    return [(Span(f"{pluralize(count, 'worker')} of "), host, ends)]
