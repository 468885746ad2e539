"""``previewops scale``, ``drain``, ``restart``, ``reset`` and ``log``: commands to supervisors on any host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import combine_options, json_option, reason_option
from previewops.errors import UsageError
from previewops.snapshot.fleet import MAX_WORKERS, WorkerCountRange
from previewops.supervisor.commands import FleetCommandKind, FleetCommandResult, FleetControl

_fleet_options = combine_options(
    click.option("--host", metavar="H", help="Host or supervisor id, as listed by `previewops workers`."),
    reason_option,
    json_option,
)


@click.command(
    epilog="""\b
Examples:
  previewops scale 4
  previewops scale 1-8 --host render-2      by load
"""
)
@click.argument("count", metavar="N|MIN-MAX")
@_fleet_options
@pass_context
def scale(context: Context, count: str, host: str | None, reason: str, as_json: bool) -> None:
    """Run N workers on a host, or between MIN and MAX by load."""
    worker_range = WorkerCountRange.parse(count)
    if worker_range is None:
        raise UsageError(
            f"number of workers: found {count!r}, allowed N or MIN-MAX, from 0 to {MAX_WORKERS}",
            hint="previewops scale 4, or previewops scale 1-8",
        )
    _send(context, as_json, lambda control: control.scale(worker_range, host=host, reason=reason))


def _worker_command(name: str, summary: str, examples: str) -> click.Command:
    """Returns a command that sends command ``name`` for one worker or for all workers of a host."""

    @click.command(name, help=summary, epilog=f"\b\nExamples:\n{examples}")
    @click.argument("worker", metavar="[W]", required=False)
    @_fleet_options
    @pass_context
    def command(context: Context, worker: str | None, host: str | None, reason: str, as_json: bool) -> None:
        if (worker is None) == (host is None):
            raise UsageError(
                f"{name} needs either a worker or --host", hint="list both with `previewops workers`"
            )
        kind = FleetCommandKind(name)
        _send(context, as_json, lambda control: control.send(kind, worker=worker, host=host, reason=reason))

    return command


drain = _worker_command(
    "drain",
    "Drain one worker, or all workers of a host. They finish their jobs and stay stopped until reset.",
    """\
  previewops drain render-1-2-a1b2c3
  previewops drain --host render-1 --reason "new disks"
""",
)
restart = _worker_command(
    "restart",
    "Restart one worker, or all workers of a host one by one. A worker stops after its replacement is ready.",
    """\
  previewops restart render-1-2-a1b2c3
  previewops restart --host render-1        one by one
""",
)
reset = _worker_command(
    "reset",
    "Restart workers that are fatal, backing off or drained.",
    """\
  previewops reset render-1-2-a1b2c3
  previewops reset --host render-1
""",
)


@click.command(
    "log",
    epilog="""\b
Examples:
  previewops log render-1-2-a1b2c3
""",
)
@click.argument("worker", metavar="W")
@json_option
@pass_context
def worker_log(context: Context, worker: str, as_json: bool) -> None:
    """Print the last lines of a worker's log, on whatever host it runs.

    Its supervisor sends up to 50 lines or 16 KiB through Redis, without secrets. `previewops workers` lists the ids.
    """
    text = context.call(
        lambda queue: FleetControl(queue.redis, context.settings, who=context.operator).read_log(worker)
    )
    lines = text.splitlines()
    if as_json:
        print_json({"worker": worker, "lines": lines})
    elif lines:
        print_out(lines)
    else:
        print_err("the log is empty")


def _send(
    context: Context, as_json: bool, send: Callable[[FleetControl], Awaitable[FleetCommandResult]]
) -> None:
    """Sends a command and prints its result."""
    result = context.change(
        lambda queue: send(FleetControl(queue.redis, context.settings, who=context.operator))
    )
    if as_json:
        print_json({"supervisor": result.supervisor_id, "done": result.message})
    else:
        print_out(f"{result.supervisor_id}: {result.message}")
