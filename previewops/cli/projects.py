"""``previewops projects``: what each project waits for and runs, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out, print_unreadable
from previewops.cli.shared_options import json_option, reason_option
from previewops.clock import iso_from_ms
from previewops.errors import UsageError
from previewops.formatting import format_duration, format_table, pluralize
from previewops.project_limits import EVERY_PROJECT, MAX_ACTIVE, MAX_WEIGHT

if TYPE_CHECKING:
    from previewops.queue.projects import EffectiveLimits, LimitChange, ProjectLoad, ProjectLoads
    from previewops.queue.queue import Queue

_HEADERS = ("PROJECT", "WAITING", "OLDEST", "ACTIVE", "MAXIMUM", "WEIGHT", "STATE")


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  previewops projects
  previewops projects set shop --weight 3
  previewops projects set shop --max-active 4 --reason "its renders are long"
  previewops projects set '*' --max-active 8
  previewops projects reset shop

\b
A held project has as many active jobs as it may; its jobs wait until one has
ended. PREVIEW_PROJECT_LIMITS sets limits for a deployment. Of two limits for the
same name, the one that `set` stored wins; the limits of a project win over
those of '*'.
""",
)
@json_option
@click.pass_context
def projects(ctx: click.Context, /, *, as_json: bool) -> None:
    """List projects that wait, run jobs or have limits; set their limits while workers run."""
    if ctx.invoked_subcommand is not None:
        return
    context = ctx.find_object(Context)
    assert context is not None
    _list(context, as_json=as_json)


def _list(context: Context, *, as_json: bool) -> None:
    from previewops.queue.projects import project_loads

    async def read(queue: Queue) -> ProjectLoads:
        return await project_loads(queue.redis, context.settings)

    loads = context.call(read)
    if as_json:
        print_json(loads.as_json() | {"at": iso_from_ms(loads.now_ms)})
        return
    if loads.projects:
        print_out(format_table(_HEADERS, map(_row, loads.projects), right=_HEADERS[1:6], flexible="PROJECT"))
    else:
        print_err("no project waits, runs jobs or has limits")
    print_out(f"every other project: {_describe(loads.others.weight, loads.others.max_active)}")
    if loads.waiting_projects > len(loads.projects):
        print_err(f"{pluralize(loads.waiting_projects, 'project')} wait; {len(loads.projects)} are listed")
    print_unreadable(loads.unreadable)


def _row(load: ProjectLoad) -> Sequence[object]:
    state = "held" if load.held else "waits" if load.waiting else "runs" if load.active else "idle"
    return (
        load.project or "(none)",
        f"{load.waiting:,}",
        "-" if load.oldest_wait_ms is None else format_duration(load.oldest_wait_ms),
        load.active,
        load.max_active or "-",
        load.weight,
        state,
    )


def _describe(weight: int, max_active: int | None) -> str:
    return (
        f"weight {weight}, {f'at most {max_active:,} active' if max_active else 'no maximum of active jobs'}"
    )


class _MaxActive(click.ParamType[int]):
    """Maximum of active jobs; "none" is 0."""

    name = "maximum"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text == "none":
            return 0
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:18]) <= MAX_ACTIVE:
            self.fail(f"found {text[:40]!r}, allowed 1 to {MAX_ACTIVE}, or none for no maximum", param, ctx)
        return int(text)


_name_argument = click.argument("name", metavar="NAME")


@projects.command(
    name="set",
    epilog="""\b
Examples:
  previewops projects set shop --weight 3 --max-active 4
  previewops projects set '*' --max-active none
""",
)
@_name_argument
@click.option(
    "--weight", metavar="N", type=click.IntRange(1, MAX_WEIGHT), help="Share of turns beside weight 1."
)
@click.option(
    "--max-active",
    metavar="N",
    type=_MaxActive(),
    help="Maximum of jobs that run or are claimed at once; none: no maximum.",
)
@reason_option
@pass_context
def set_(context: Context, /, *, name: str, weight: int | None, max_active: int | None, reason: str) -> None:
    """Set the weight or the maximum of active jobs of project NAME, or of '*' for all others.

    What is not given stays as it is. Jobs that run go on. It is recorded as an event.
    """
    if weight is None and max_active is None:
        raise UsageError("found neither --weight nor --max-active, allowed one or both")
    limits = _change(
        context,
        name,
        weight="keep" if weight is None else weight,
        max_active="keep" if max_active is None else max_active,
        reason=reason,
    )
    _report(name, limits, "has", "had already")


@projects.command(
    epilog="""\b
Examples:
  previewops projects reset shop
"""
)
@_name_argument
@reason_option
@pass_context
def reset(context: Context, name: str, reason: str) -> None:
    """Remove what `set` stored for project NAME, so that the limits of the deployment apply."""
    limits = _change(context, name, weight=None, max_active=None, reason=reason)
    _report(name, limits, "has again", "had no limits of its own:")


def _change(
    context: Context, name: str, *, weight: LimitChange, max_active: LimitChange, reason: str
) -> EffectiveLimits:
    from previewops.queue.projects import set_project_limits

    async def change(queue: Queue) -> EffectiveLimits:
        return await set_project_limits(
            queue.redis,
            context.settings,
            name,
            weight=weight,
            max_active=max_active,
            who=context.operator,
            reason=reason,
        )

    return context.change(change)


def _report(name: str, limits: EffectiveLimits, changed: str, unchanged: str) -> None:
    subject = "every other project" if name == EVERY_PROJECT else name
    verb = changed if limits.changed else unchanged
    print_out(f"{subject} {verb} {_describe(limits.weight, limits.max_active)}")
