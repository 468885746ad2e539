"""``previewops health``, with the manners of a monitoring plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.output import OutputClosed, say, say_json
from previewops.errors import PreviewopsError, RedisUnavailable, UsageError
from previewops.health import RECENT_S, Facts, Health, Status, Thresholds, judge, unknown, unreachable


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
_PERCENT = click.FloatRange(0, 100, min_open=True)


def _bound(
    name: str, metavar: str, kind: click.ParamType[Any], default: float, text: str
) -> Callable[[_F], _F]:
    return click.option(name, metavar=metavar, type=kind, default=default, show_default=True, help=text)


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
The first line ends with the performance data.""",
)
@_bound("--dead-warning", "N", click.IntRange(min=1), 1, "Dead letters to warn at.")
@_bound("--dead-critical", "N", click.IntRange(min=1), 100, "Dead letters that are critical.")
@_bound(
    "--failure-warning",
    "PERCENT",
    _PERCENT,
    5.0,
    "Of the jobs that ended in the last 5 min: died, to warn at.",
)
@_bound("--failure-critical", "PERCENT", _PERCENT, 25.0, "Such a share that is critical.")
@_bound(
    "--latency-warning", "MS", click.FloatRange(min=1), 50.0, "Time that Redis takes to answer, to warn at."
)
@_bound("--latency-critical", "MS", click.FloatRange(min=1), 500.0, "Such a time that is critical.")
@click.option("--acknowledge-loss", is_flag=True, help="End the alarm over data that Redis lost, then check.")
@json_option
@pass_context
def health(context: Context, /, *, acknowledge_loss: bool, as_json: bool, **bounds: Any) -> int:
    """Check the queue, its workers, its Redis and the room on its disk, for a monitoring system or a person."""
    thresholds = Thresholds(
        dead_warning=bounds["dead_warning"],
        dead_critical=bounds["dead_critical"],
        failure_warning=bounds["failure_warning"] / 100,
        failure_critical=bounds["failure_critical"] / 100,
        latency_warning_ms=bounds["latency_warning"],
        latency_critical_ms=bounds["latency_critical"],
    )
    found = _examine(context, thresholds, acknowledge_loss=acknowledge_loss)
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


def _examine(context: Context, thresholds: Thresholds, *, acknowledge_loss: bool) -> Health:
    try:
        _see_that_critical_is_worse(thresholds)
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


def _see_that_critical_is_worse(thresholds: Thresholds) -> None:
    for name, warning, critical in (
        ("dead", thresholds.dead_warning, thresholds.dead_critical),
        ("failure", thresholds.failure_warning, thresholds.failure_critical),
        ("latency", thresholds.latency_warning_ms, thresholds.latency_critical_ms),
    ):
        if critical < warning:
            raise UsageError(f"--{name}-critical is below --{name}-warning")


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
