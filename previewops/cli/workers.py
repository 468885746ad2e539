"""``previewops workers``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out, print_unreadable
from previewops.cli.shared_options import json_option
from previewops.clock import iso_from_ms
from previewops.errors import START_WORKERS_HINT
from previewops.formatting import (
    format_age,
    format_bytes,
    format_duration,
    format_table,
    pluralize,
    wrap_text,
)
from previewops.snapshot.fleet import SupervisorStatus
from previewops.snapshot.hosts import Fleet, HostReport, group_by_host
from previewops.snapshot.model import SHORT_ID_CHARS, Snapshot

_HOST_HEADERS = ("HOST", "WORKERS", "BUSY", "VERSION", "CLOCK", "CONFINEMENT", "STORE")
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
    """List hosts, workers and supervisors as of their last heartbeat.

    Per host: version, clock compared with Redis, confinement of renders, and whether bundles can be published.
    """
    snapshot = context.snapshot()
    if as_json:
        print_json(
            {
                "hosts": [host.as_json() for host in group_by_host(snapshot.workers)],
                "workers": [worker.as_json() for worker in snapshot.workers],
                "supervisors": [status.as_json() for status in snapshot.supervisors],
                "unreadable": snapshot.unreadable.as_json(),
                "at": iso_from_ms(snapshot.now_ms),
            }
        )
        return
    if snapshot.workers:
        print_out(format_hosts(Fleet.of(snapshot.workers), snapshot.now_ms))
        print_out("")
        print_out(format_workers(snapshot))
    else:
        print_err(f"no worker is running; {START_WORKERS_HINT}")
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


def format_hosts(fleet: Fleet, now_ms: int) -> list[str]:
    """Formats the hosts as a table, and a line for each whose store fails."""
    rows = [
        (
            host.host,
            len(host.workers),
            f"{sum(w.busy for w in host.workers)}/{sum(w.job_slots for w in host.workers)}",
            ", ".join(host.versions) or "-",
            "-" if host.clock_ahead_ms is None else f"{host.clock_ahead_ms / 1000:+.1f} s",
            _describe_confinement(fleet, host),
            _describe_store(fleet, host),
        )
        for host in fleet.hosts
    ]
    lines = format_table(_HOST_HEADERS, rows, right=("WORKERS", "BUSY", "CLOCK"), flexible="VERSION")
    for host in fleet.hosts:
        if host.store is not None and host.store.problem:
            lasting = format_duration(max(0, now_ms - host.store.since_ms))
            text = f"{host.host} cannot publish for {lasting}: {host.store.problem}"
            lines += wrap_text(text, first="  ", rest="    ")
    return lines


def _describe_confinement(fleet: Fleet, host: HostReport) -> str:
    missing = fleet.missing_layers(host)
    if missing:
        return f"no {', '.join(missing)}"
    return pluralize(len(host.layers), "layer") if host.layers else "-"


def _describe_store(fleet: Fleet, host: HostReport) -> str:
    """Names the store by its id where there are several."""
    if host.store is None:
        return "-"
    state = "fails" if host.store.problem else "works"
    if len(fleet.store_ids) < 2:
        return state
    ids = ",".join(store_id[:SHORT_ID_CHARS] for store_id in sorted(host.store_ids))
    return f"{state}  {ids}"


def format_workers(snapshot: Snapshot) -> list[str]:
    """Formats the workers as a table, by host; empty without workers."""
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
        for worker in sorted(snapshot.workers, key=lambda worker: (worker.host_label, worker.worker_id))
    ]
    return format_table(_HEADERS, rows, right=("BUSY", "DONE", "FAILED", "MEMORY"), flexible="JOBS")
