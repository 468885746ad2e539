"""``previewops scale``, ``drain``, ``restart`` and ``reset``: orders to supervisors, wherever they run."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.output import say, say_json
from previewops.errors import UsageError

if TYPE_CHECKING:
    from previewops.fleetviews import Bounds
    from previewops.supervisor.orders import Answer

_host_option = click.option(
    "--host", metavar="H", help="Host, or supervisor id, as `previewops workers` lists them."
)
_reason_option = click.option("--reason", metavar="TEXT", default="", help="Why; goes on record.")
_worker_argument = click.argument("worker", metavar="[W]", required=False)


@click.command(
    epilog="""\b
Examples:
  previewops scale 4
  previewops scale 1-8 --host render-2      as many as the load asks for
"""
)
@click.argument("count", metavar="N|MIN-MAX")
@_host_option
@_reason_option
@json_option
@pass_context
def scale(context: Context, count: str, host: str | None, reason: str, as_json: bool) -> None:
    """Have a host run N workers, or between MIN and MAX by load."""
    bounds = _bounds(count)
    _tell(asyncio.run(_scale(context, bounds, host, reason)), as_json)


@click.command(
    epilog="""\b
Examples:
  previewops drain render-1-2-a1b2c3
  previewops drain --host render-1 --reason "new disks"
"""
)
@_worker_argument
@_host_option
@_reason_option
@json_option
@pass_context
def drain(context: Context, worker: str | None, host: str | None, reason: str, as_json: bool) -> None:
    """Have a worker, or all of a host, end their jobs and stay away until they are reset."""
    _order(context, "drain", worker=worker, host=host, reason=reason, as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  previewops restart render-1-2-a1b2c3
  previewops restart --host render-1        one after the other
"""
)
@_worker_argument
@_host_option
@_reason_option
@json_option
@pass_context
def restart(context: Context, worker: str | None, host: str | None, reason: str, as_json: bool) -> None:
    """Replace a worker, or all of a host one by one. Each works on until its successor is there."""
    _order(context, "restart", worker=worker, host=host, reason=reason, as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  previewops reset render-1-2-a1b2c3
  previewops reset --host render-1
"""
)
@_worker_argument
@_host_option
@_reason_option
@json_option
@pass_context
def reset(context: Context, worker: str | None, host: str | None, reason: str, as_json: bool) -> None:
    """Start workers again that are fatal, backing off, or drained."""
    _order(context, "reset", worker=worker, host=host, reason=reason, as_json=as_json)


def _bounds(text: str) -> Bounds:
    from previewops.fleetviews import Bounds
    from previewops.supervisor.orders import MOST_WORKERS

    match = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", text)
    if match is not None:
        fewest, most = int(match[1]), int(match[2] or match[1])
        if fewest <= most <= MOST_WORKERS:
            return Bounds(fewest, most)
    raise UsageError(
        f"the number of workers is {text!r}; allowed is N or MIN-MAX, from 0 to {MOST_WORKERS}",
        hint="previewops scale 4, or previewops scale 1-8",
    )


def _order(
    context: Context, act: str, *, worker: str | None, host: str | None, reason: str, as_json: bool
) -> None:
    if (worker is None) == (host is None):
        raise UsageError(f"name either a worker or a --host to {act}", hint="`previewops workers` lists both")
    _tell(asyncio.run(_act(context, act, worker, host, reason)), as_json)


async def _scale(context: Context, bounds: Bounds, host: str | None, reason: str) -> Answer:
    from previewops.cli.who import operator
    from previewops.supervisor.orders import FleetControl

    async with context.redis() as redis:
        control = FleetControl(redis, context.settings, who=operator())
        return await control.scale(bounds, host=host, why=reason)


async def _act(context: Context, act: str, worker: str | None, host: str | None, reason: str) -> Answer:
    from previewops.cli.who import operator
    from previewops.supervisor.orders import Act, FleetControl

    async with context.redis() as redis:
        control = FleetControl(redis, context.settings, who=operator())
        return await control.act(Act(act), worker=worker, host=host, why=reason)


def _tell(answer: Answer, as_json: bool) -> None:
    if as_json:
        say_json({"supervisor": answer.supervisor_id, "done": answer.message})
    else:
        say(f"{answer.supervisor_id}: {answer.message}")
