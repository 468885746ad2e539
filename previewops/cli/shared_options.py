"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from previewops.cli.context import Context
from previewops.clock import SystemClock
from previewops.errors import UsageError
from previewops.formatting import parse_age_ms
from previewops.queue.due_time import DueTime, InvalidDueTime
from previewops.queue.filter_query import FilterQuery, UnknownFilterFields, parse_filter

MAX_LISTED = 10_000

_F = TypeVar("_F", bound=Callable[..., Any])

theme_option = click.option(
    "--theme", type=click.Choice(["dark", "light", "16"]), help="Colours of the TUI. Default: by terminal."
)
jsonl_option = click.option(
    "--jsonl", "lines", is_flag=True, help="Read every FILE as JSON Lines, one job per line."
)
limit_option = click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, MAX_LISTED),
    default=50,
    show_default=True,
    help="List at most N.",
)
reason_option = click.option("--reason", metavar="TEXT", default="", help="Reason; recorded with the event.")


class SecondsRange(click.FloatRange):
    """Number of seconds. Rejects nan, which is neither below nor above any limit."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return seconds


class Age(click.ParamType[int]):
    """Duration such as 30s, 15m, 2h or 7d, converted to ms."""

    name = "age"

    def __init__(self, *, min_ms: int = 0) -> None:
        self._min_ms = min_ms

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        ms = parse_age_ms(value)
        if ms is None or ms < self._min_ms:
            self.fail(f"found {value!r}, allowed 30s, 15m, 2h, 7d and the like", param, ctx)
        return ms


class DueTimeType(click.ParamType[DueTime]):
    """Date and time with a zone, or a delay such as +2h."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> DueTime:
        try:
            return DueTime.from_source(value, now_ms=SystemClock().now_ms())
        except InvalidDueTime as error:
            self.fail(f"found {error.found}, allowed {error.allowed}", param, ctx)


not_before_option = click.option(
    "--not-before",
    "due",
    metavar="TIME",
    type=DueTimeType(),
    help="Earliest start: 2026-12-24T18:00:00+01:00, or a delay: +2h.",
)


def _set_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    context = ctx.find_object(Context)
    if context is not None:
        context.as_json = value
    return value


json_option = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, callback=_set_json, help="Print JSON."
)
"""``--json``, passed as ``as_json``. Errors are then printed as JSON too."""


def combine_options(*options: Callable[[Any], Any]) -> Callable[[_F], _F]:
    """Returns a decorator that adds ``options``, in this order."""

    def add(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def parse_filter_option(text: str) -> FilterQuery:
    """Parses the value of ``--filter``.

    Raises:
        UsageError: unknown field.
    """
    try:
        return parse_filter(text)
    except UnknownFilterFields as error:
        raise UsageError(
            error.message,
            hint=f"put text that contains a colon in double quotes: --filter '\"{error.names[0]}:…\"'",
        ) from None
