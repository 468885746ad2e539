"""``previewops scale``, ``drain``, ``restart`` and ``reset``: orders to supervisors, wherever they run."""

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
    """What every order takes: whom it is for, why, and how its answer is told."""
    for option in (
        click.option("--reason", metavar="TEXT", default="", help="Why; goes on record."),
        click.option(
            "--host", metavar="H", help="Host, or supervisor id, as `previewops workers` lists them."
        ),
    ):
        command = option(command)
    return command


@click.command(
    epilog="""\b
Examples:
  previewops scale 4
  previewops scale 1-8 --host render-2      as many as the load asks for
"""
)
@click.argument("count", metavar="N|MIN-MAX")
@_order_options
@json_option
@pass_context
def scale(context: Context, count: str, host: str | None, reason: str, as_json: bool) -> None:
    """Have a host run N workers, or between MIN and MAX by load."""
    bounds = _bounds(count)
    _order(context, as_json, lambda control: control.scale(bounds, host=host, why=reason))


def _act_command(act: str, summary: str, examples: str) -> click.Command:
    """A command that orders ``act`` for one worker, or for all of a host."""

    @click.command(act, help=summary, epilog=f"\b\nExamples:\n{examples}")
    @click.argument("worker", metavar="[W]", required=False)
    @_order_options
    @json_option
    @pass_context
    def command(context: Context, worker: str | None, host: str | None, reason: str, as_json: bool) -> None:
        from previewops.supervisor.commands import FleetCommandKind

        if (worker is None) == (host is None):
            raise UsageError(
                f"name either a worker or a --host to {act}", hint="`previewops workers` lists both"
            )
        _order(
            context,
            as_json,
            lambda control: control.send(FleetCommandKind(act), worker=worker, host=host, why=reason),
        )

    return command


drain = _act_command(
    "drain",
    "Have a worker, or all of a host, end their jobs and stay away until they are reset.",
    """\
  previewops drain render-1-2-a1b2c3
  previewops drain --host render-1 --reason "new disks"
""",
)
restart = _act_command(
    "restart",
    "Replace a worker, or all of a host one by one. Each works on until its successor is there.",
    """\
  previewops restart render-1-2-a1b2c3
  previewops restart --host render-1        one after the other
""",
)
reset = _act_command(
    "reset",
    "Start workers again that are fatal, backing off, or drained.",
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
        f"the number of workers is {text!r}; allowed is N or MIN-MAX, from 0 to {MAX_WORKERS}",
        hint="previewops scale 4, or previewops scale 1-8",
    )


def _order(
    context: Context, as_json: bool, give: Callable[[FleetControl], Awaitable[FleetCommandResult]]
) -> None:
    """Gives an order and tells its answer."""
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
