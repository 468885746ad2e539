"""``previewops scale``, ``drain``, ``restart`` and ``reset``: commands to supervisors on any host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.output import print_json, print_out
from previewops.errors import UsageError

if TYPE_CHECKING:
    from previewops.snapshot.fleet import WorkerCountRange
    from previewops.supervisor.commands import FleetCommandResult, FleetControl

_F = TypeVar("_F", bound=Callable[..., Any])


def _order_options(command: _F) -> _F:
    """Adds the options of every supervisor command: --host and --reason."""
    for option in (
        click.option("--reason", metavar="TEXT", default="", help="Reason; recorded with the event."),
        click.option("--host", metavar="H", help="Host or supervisor id, as listed by `previewops workers`."),
    ):
        command = option(command)
    return command


@click.command(
    epilog="""\b
Examples:
  previewops scale 4
  previewops scale 1-8 --host render-2      by load
"""
)
@click.argument("count", metavar="N|MIN-MAX")
@_order_options
@json_option
@pass_context
def scale(context: Context, count: str, host: str | None, reason: str, as_json: bool) -> None:
    """Run N workers on a host, or between MIN and MAX by load."""
    bounds = _bounds(count)
    _order(context, as_json, lambda control: control.scale(bounds, host=host, why=reason))


def _act_command(act: str, summary: str, examples: str) -> click.Command:
    """Returns a command that sends ``act`` for one worker or for all workers of a host."""

    @click.command(act, help=summary, epilog=f"\b\nExamples:\n{examples}")
    @click.argument("worker", metavar="[W]", required=False)
    @_order_options
    @json_option
    @pass_context
    def command(context: Context, worker: str | None, host: str | None, reason: str, as_json: bool) -> None:
        from previewops.supervisor.commands import FleetCommandKind

        if (worker is None) == (host is None):
            raise UsageError(
                f"{act} needs either a worker or --host", hint="list both with `previewops workers`"
            )
        _order(
            context,
            as_json,
            lambda control: control.send(FleetCommandKind(act), worker=worker, host=host, why=reason),
        )

    return command


drain = _act_command(
    "drain",
    "Drain one worker, or all workers of a host. They finish their jobs and stay stopped until reset.",
    """\
  previewops drain render-1-2-a1b2c3
  previewops drain --host render-1 --reason "new disks"
""",
)
restart = _act_command(
    "restart",
    "Restart one worker, or all workers of a host one by one. A worker stops after its replacement is ready.",
    """\
  previewops restart render-1-2-a1b2c3
  previewops restart --host render-1        one by one
""",
)
reset = _act_command(
    "reset",
    "Restart workers that are fatal, backing off or drained.",
    """\
  previewops reset render-1-2-a1b2c3
  previewops reset --host render-1
""",
)


def _bounds(text: str) -> WorkerCountRange:
    from previewops.snapshot.fleet import MAX_WORKERS, WorkerCountRange

    bounds = WorkerCountRange.parse(text)
    if bounds is not None:
        return bounds
    raise UsageError(
        f"number of workers: found {text!r}, allowed N or MIN-MAX, from 0 to {MAX_WORKERS}",
        hint="previewops scale 4, or previewops scale 1-8",
    )


def _order(
    context: Context, as_json: bool, give: Callable[[FleetControl], Awaitable[FleetCommandResult]]
) -> None:
    """Sends a command and prints its result."""
    answer = asyncio.run(_answer(context, give))
    if as_json:
        print_json({"supervisor": answer.supervisor_id, "done": answer.message})
    else:
        print_out(f"{answer.supervisor_id}: {answer.message}")


async def _answer(
    context: Context, give: Callable[[FleetControl], Awaitable[FleetCommandResult]]
) -> FleetCommandResult:
    from previewops.cli.acting_operator import acting_operator
    from previewops.supervisor.commands import FleetControl

    async with context.redis() as redis:
        return await give(FleetControl(redis, context.settings, who=acting_operator()))
