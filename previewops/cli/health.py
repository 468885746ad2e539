"""``previewops health``, with the manners of a monitoring plugin."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.output import OutputClosed, say, say_json
from previewops.errors import PreviewopsError, RedisUnavailable, UsageError
from previewops.health import (
    BOUNDS,
    CONFINEMENT,
    RECENT_S,
    Facts,
    Health,
    Status,
    judge,
    option_of,
    thresholds_of,
    unknown,
    unreachable,
)


class MonitoringCommand(click.Command):
    """A command whose every failure is UNKNOWN: 2 would mean CRITICAL to whoever runs it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            say(unknown(error.format_message()).first_line())
            raise click.exceptions.Exit(int(unknown("").status)) from None


_F = TypeVar("_F", bound=Callable[..., Any])


def _thresholds(command: _F) -> _F:
    """An option for each threshold; what is written there takes the place of the variable."""
    for bound in reversed(BOUNDS):
        for kind, words in (
            ("critical", "The same, critical."),
            ("warning", f"{bound.text}, to warn at."),
        ):
            variable = bound.variable(kind)
            command = click.option(
                option_of(variable),
                variable,
                metavar=bound.unit,
                help=f"{words}  [{bound.default(kind)}]",
            )(command)
    return command


@click.command(
    cls=MonitoringCommand,
    epilog="""\b
Examples:
  previewops health
  previewops health --json
  previewops health --dead-warning 10 --dead-critical 1000
  previewops health --acknowledge-loss   after Redis lost its data: ends the alarm

\b
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (wrong options included).
The first line ends with the performance data. Each option has a variable of
the environment too: PREVIEW_HEALTH_DEAD_WARNING, and so on.""",
)
@_thresholds
@click.option(
    option_of(CONFINEMENT),
    CONFINEMENT,
    metavar="LEAST",
    help="What render processes are confined by at least: full, seccomp or limits.  [full]",
)
@click.option("--acknowledge-loss", is_flag=True, help="End the alarm over data that Redis lost, then check.")
@json_option
@pass_context
def health(context: Context, /, *, acknowledge_loss: bool, as_json: bool, **bounds: str | None) -> int:
    """Check the queue, its workers, its Redis and the room on its disk, for a monitoring system or a person."""
    given = {variable: value for variable, value in bounds.items() if value is not None}
    found = _examine(context, given, acknowledge_loss=acknowledge_loss)
    if as_json:
        say_json(found.as_json())
    else:
        say(found.first_line())
        say(_lines(found))
    return int(found.status)


def _lines(found: Health) -> Iterator[str]:
    """A line a check, and below it what to do where something is to be done."""
    names = max(len(check.name) for check in found.checks)
    figures = max(len(check.figure) for check in found.checks)
    for check in found.checks:
        yield f"{check.status.name:<8}  {check.name:<{names}}  {check.figure:<{figures}}  {check.message}"
        if check.status is not Status.OK:
            yield f"{'':<8}  {'':<{names}}  {'':<{figures}}  {check.advice}"


def _examine(context: Context, given: Mapping[str, str], *, acknowledge_loss: bool) -> Health:
    try:
        if "" in given.values():
            raise UsageError("an option is empty; leave it out for the default")
        thresholds = thresholds_of({**os.environ, **given})
        return judge(asyncio.run(_learn(context, acknowledge_loss)), thresholds)
    except RedisUnavailable as error:
        return unreachable(error.message)
    except PreviewopsError as error:
        return unknown(error.message)
    except OutputClosed:
        raise
    except Exception as error:
        if context.verbose:
            raise
        return unknown(f"unforeseen {type(error).__name__}: {error}")


async def _learn(context: Context, acknowledge_loss: bool) -> Facts:
    from previewops.healthfacts import gather
    from previewops.snapshot import Snapshots

    async with context.redis() as redis:
        if acknowledge_loss:
            from previewops.cli.who import operator
            from previewops.queue import Queue

            await Queue(redis, context.settings).acknowledge_loss(who=operator())
        snapshot = await Snapshots(redis, context.settings).take(history_s=RECENT_S, runs=True)
        return await gather(redis, context.settings, snapshot)
