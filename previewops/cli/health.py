"""``previewops health``: a check with the output and exit codes of a monitoring plugin."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import OutputClosed, print_json, print_out
from previewops.cli.shared_options import json_option
from previewops.errors import PreviewopsError, RedisUnavailable, UsageError
from previewops.health import (
    CONFINEMENT_VARIABLE,
    RECENT_WINDOW_S,
    THRESHOLD_OPTIONS,
    Health,
    HealthInputs,
    Status,
    evaluate,
    option_name,
    parse_thresholds,
    unknown_health,
    unreachable_health,
)


class MonitoringCommand(click.Command):
    """Command that reports its own failures as UNKNOWN, since exit code 2 means CRITICAL to a monitoring system."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            print_out(unknown_health(error.format_message()).first_line())
            raise click.exceptions.Exit(int(unknown_health("").status)) from None


_F = TypeVar("_F", bound=Callable[..., Any])


def _thresholds(command: _F) -> _F:
    """Adds one option per threshold. An option replaces its environment variable."""
    for option in reversed(THRESHOLD_OPTIONS):
        for level, text in (
            ("critical", "Critical threshold of the same."),
            ("warning", f"{option.help_text}: warning threshold."),
        ):
            variable = option.variable(level)
            command = click.option(
                option_name(variable),
                variable,
                metavar=option.unit,
                help=f"{text}  [{option.default(level)}]",
            )(command)
    return command


@click.command(
    cls=MonitoringCommand,
    epilog="""\b
Examples:
  previewops health
  previewops health --json
  previewops health --dead-warning 10 --dead-critical 1000
  previewops health --acknowledge-loss   after Redis lost data: ends the alarm

\b
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (also for invalid options).
The first line ends with performance data. Each option has an environment
variable: PREVIEW_HEALTH_DEAD_WARNING, and so on.""",
)
@_thresholds
@click.option(
    option_name(CONFINEMENT_VARIABLE),
    CONFINEMENT_VARIABLE,
    metavar="LEVEL",
    help="Minimum confinement of render processes: full, seccomp or limits.  [full]",
)
@click.option(
    "--acknowledge-loss", is_flag=True, help="End the alarm about data that Redis lost, then check."
)
@json_option
@pass_context
def health(context: Context, /, *, acknowledge_loss: bool, as_json: bool, **thresholds: str | None) -> int:
    """Check the queue, its workers, Redis and free disk space."""
    overrides = {variable: value for variable, value in thresholds.items() if value is not None}
    result = _check(context, overrides, acknowledge_loss=acknowledge_loss)
    if as_json:
        print_json(result.as_json())
    else:
        print_out(result.first_line())
        print_out(_check_lines(result))
    return int(result.status)


def _check_lines(result: Health) -> Iterator[str]:
    """Yields one line per check, followed by its advice unless the check is OK."""
    names = max(len(check.name) for check in result.checks)
    figures = max(len(check.figure) for check in result.checks)
    for check in result.checks:
        yield f"{check.status.name:<8}  {check.name:<{names}}  {check.figure:<{figures}}  {check.message}"
        if check.status is not Status.OK:
            yield f"{'':<8}  {'':<{names}}  {'':<{figures}}  {check.advice}"


def _check(context: Context, overrides: Mapping[str, str], *, acknowledge_loss: bool) -> Health:
    try:
        if "" in overrides.values():
            raise UsageError("an option is empty; omit it to use the default")
        thresholds = parse_thresholds({**os.environ, **overrides})
        return evaluate(asyncio.run(_collect(context, acknowledge_loss)), thresholds)
    except RedisUnavailable as error:
        return unreachable_health(error.message)
    except PreviewopsError as error:
        return unknown_health(error.message)
    except OutputClosed:
        raise
    except Exception as error:
        if context.verbose:
            raise
        return unknown_health(f"unexpected {type(error).__name__}: {error}")


async def _collect(context: Context, acknowledge_loss: bool) -> HealthInputs:
    from previewops.health.collect import collect_inputs
    from previewops.snapshot.reader import SnapshotReader

    async with context.redis() as redis:
        if acknowledge_loss:
            from previewops.queue.queue import Queue

            await Queue(redis, context.settings).acknowledge_data_loss(who=context.operator)
        snapshot = await SnapshotReader(redis, context.settings).read(
            history_s=RECENT_WINDOW_S, running_jobs=True
        )
        return await collect_inputs(redis, context.settings, snapshot)
