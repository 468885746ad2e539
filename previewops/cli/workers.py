"""``previewops workers``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out, print_unreadable
from previewops.cli.shared_options import json_option
from previewops.clock import iso_from_ms
from previewops.formatting import format_age, format_bytes, format_table, wrap_text
from previewops.snapshot.fleet import SupervisorStatus
from previewops.snapshot.model import Snapshot

_HEADERS = ("WORKER", "STATE", "BUSY", "DONE", "FAILED", "MEMORY", "SEEN", "JOBS")
_STOPPED_PHASES = ("exited", "backoff", "fatal")


@click.command(
    epilog="""\b
Examples:
  previewops workers
  previewops workers --json
"""
)
@json_option
@pass_context
def workers(context: Context, as_json: bool) -> None:
    """List workers and supervisors as of their last heartbeat."""
    snapshot = context.snapshot()
    if as_json:
        print_json(
            {
                "workers": [worker.as_json() for worker in snapshot.workers],
                "supervisors": [status.as_json() for status in snapshot.supervisors],
                "unreadable": snapshot.unreadable.as_json(),
                "at": iso_from_ms(snapshot.now_ms),
            }
        )
        return
    if snapshot.workers:
        print_out(format_workers(snapshot))
    else:
        print_err("no worker is running; start one with `previewops supervise` or `previewops up`")
    print_out(format_supervisors(snapshot.supervisors, snapshot.now_ms))
    print_unreadable(snapshot.unreadable)


def format_supervisors(supervisors: Sequence[SupervisorStatus], now_ms: int) -> list[str]:
    """Formats one line per supervisor and one per worker that is not running."""
    lines = []
    for supervisor in supervisors:
        state = supervisor.state
        few, most = state.worker_range.minimum, state.worker_range.maximum
        wanted = f"{state.count}" if few == most else f"{state.count} ({few} to {most})"
        lines.append(
            f"supervisor {supervisor.supervisor_id}  {'silent' if supervisor.silent else state.state}"
            f"  {wanted} wanted  {state.backend}  pid {state.pid}  {format_age(supervisor.heartbeat_ms, now_ms)}"
        )
        if state.notice:
            lines += wrap_text(state.notice, first="  ", rest="  ")
        for worker in state.workers:
            if worker.phase in _STOPPED_PHASES:
                text = f"{worker.phase}  {worker.worker_id or f'worker {worker.number}'}: {worker.reason}"
                lines += wrap_text(text, first="  ", rest="    ")
    return lines


def format_workers(snapshot: Snapshot) -> list[str]:
    """Formats the workers as a table; empty without workers."""
    if not snapshot.workers:
        return []
    rows = [
        (
            worker.worker_id,
            worker.state,
            f"{worker.busy}/{worker.job_slots}",
            worker.completed,
            worker.failed,
            format_bytes(worker.rss_bytes),
            format_age(worker.heartbeat_ms, snapshot.now_ms),
            ", ".join(worker.jobs),
        )
        for worker in snapshot.workers
    ]
    return format_table(_HEADERS, rows, right=("BUSY", "DONE", "FAILED", "MEMORY"), flexible="JOBS")
