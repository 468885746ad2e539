"""``previewops health``: a check with the output and exit codes of a monitoring plugin."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import (
    OutputClosed,
    OutputUnwritable,
    discard_output,
    flush,
    print_err,
    print_json,
    print_out,
)
from previewops.cli.shared_options import combine_options, json_option
from previewops.errors import LayoutUnsupported, PreviewopsError, RedisUnavailable, StartupFailed, UsageError
from previewops.formatting import clean
from previewops.health import (
    CONFINEMENT_VARIABLE,
    RECENT_WINDOW_S,
    THRESHOLD_OPTIONS,
    Health,
    HealthInputs,
    Status,
    evaluate,
    newer_layout_health,
    option_name,
    parse_thresholds,
    unknown_health,
    unreachable_health,
)

if TYPE_CHECKING:
    from previewops.queue import Queue


class MonitoringCommand(click.Command):
    """Command that reports its own failures as UNKNOWN: exit codes 1 and 2 are WARNING and CRITICAL to monitoring."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            print_out(unknown_health(error.format_message()).first_line())
            raise click.exceptions.Exit(int(Status.UNKNOWN)) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            flush(sys.stdout)
        except OutputUnwritable as error:
            discard_output()
            print_err(unknown_health(error.message).first_line())
            return int(Status.UNKNOWN)
        return result


_threshold_options = combine_options(
    *(
        click.option(
            option_name(option.variable(level)),
            option.variable(level),
            metavar=option.unit,
            help=f"{text}  [{option.default(level)}]",
        )
        for option in THRESHOLD_OPTIONS
        for level, text in (
            ("warning", f"{option.help_text}: warning threshold."),
            ("critical", "Critical threshold of the same."),
        )
    )
)
"""One option per threshold. An option replaces its environment variable."""


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
@_threshold_options
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
        print_out(_format_check_lines(result))
    return int(result.status)


def _format_check_lines(result: Health) -> Iterator[str]:
    """Yields one line per check, followed by its advice unless the check is OK."""
    names = max(len(check.name) for check in result.checks)
    figures = max(len(check.figure) for check in result.checks)
    for check in result.checks:
        yield f"{check.status.name:<8}  {check.name:<{names}}  {check.figure:<{figures}}  {check.message}"
        if check.silence is not None:
            yield f"{'':<8}  {'':<{names}}  {'':<{figures}}  {clean(str(check.silence))}"
        if check.status is not Status.OK:
            yield f"{'':<8}  {'':<{names}}  {'':<{figures}}  {check.advice}"


def _check(context: Context, overrides: Mapping[str, str], *, acknowledge_loss: bool) -> Health:
    try:
        if "" in overrides.values():
            raise UsageError("an option is empty; omit it to use the default")
        thresholds = parse_thresholds({**os.environ, **overrides})
        call = context.change if acknowledge_loss else context.call
        return evaluate(call(lambda queue: _collect(context, queue, acknowledge_loss)), thresholds)
    except RedisUnavailable as error:
        return unreachable_health(error.message)
    except LayoutUnsupported as error:
        return newer_layout_health(error)
    except PreviewopsError as error:
        return unknown_health(error.message)
    except ImportError as error:
        return unknown_health(StartupFailed.from_import_error(error).message)
    except OutputClosed:
        raise
    except Exception as error:
        if context.verbose:
            raise
        return unknown_health(f"unexpected {type(error).__name__}: {error}")


async def _collect(context: Context, queue: Queue, acknowledge_loss: bool) -> HealthInputs:
    from previewops.health.collect import collect_inputs
    from previewops.snapshot.reader import SnapshotReader

    if acknowledge_loss:
        await queue.acknowledge_data_loss(who=context.operator)
    snapshots = SnapshotReader(queue.redis, queue.settings)
    snapshot = await snapshots.read(history_s=RECENT_WINDOW_S, running_jobs=True, check_records=True)
    return await collect_inputs(queue.redis, queue.settings, snapshot)
