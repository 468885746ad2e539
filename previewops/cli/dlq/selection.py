"""Which dead letters are meant: the options that all of ``dlq`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from previewops.errors import UsageError

if TYPE_CHECKING:
    from previewops.queue.dead_letter_filter import DeadLetterFilter

_F = TypeVar("_F", bound=Callable[..., Any])


def _age_ms(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    from previewops.formatting import parse_age_ms

    ms = parse_age_ms(value)
    if ms is None:
        raise click.BadParameter(
            f"{value!r} is no age; allowed are 30s, 15m, 2h, 7d and the like", ctx, param
        )
    return ms


_OPTIONS = (
    click.argument("job_ids", metavar="[JOB]...", nargs=-1),
    click.option("--error", metavar="E", help="Of this error class or code, or with E in the message."),
    click.option("--project", metavar="P", help="Of this projectId."),
    click.option("--fingerprint", metavar="F", help="Of this group; the first digits will do."),
    click.option(
        "--older-than",
        "older_than_ms",
        metavar="AGE",
        callback=_age_ms,
        help="Dead for longer: 30s, 15m, 2h, 7d.",
    ),
    click.option(
        "--filter", "text", metavar="TEXT", help="That these words match, as in `previewops jobs --filter`."
    ),
    click.option("--all", "everything", is_flag=True, help="All there are."),
)


def selection_options(command: _F) -> _F:
    """JOB arguments and filters; the command gets them as keywords for :func:`chosen`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def build_filter(
    *,
    job_ids: tuple[str, ...],
    error: str | None,
    project: str | None,
    fingerprint: str | None,
    older_than_ms: int | None,
    text: str | None,
    everything: bool,
    required: bool,
) -> DeadLetterFilter:
    """The filter that the options mean. Every one given has to hold.

    Raises:
        UsageError: --all beside something that narrows the choice, or nothing at all where it is ``needed``.
    """
    from previewops.cli.filter_option import parse_filter_option
    from previewops.queue.dead_letter_filter import DeadLetterFilter

    terms = parse_filter_option(text or "")
    for name, value in (
        ("--error", error),
        ("--project", project),
        ("--fingerprint", fingerprint),
        ("--filter", text if terms or text is None else ""),
    ):
        if value == "":
            raise UsageError(f"{name} is empty", hint="leave it out, or say what is meant")
    found = DeadLetterFilter(
        tuple(dict.fromkeys(job_ids)),
        error,
        project,
        fingerprint and fingerprint.lower(),
        older_than_ms,
        terms,
    )
    narrowed = found != DeadLetterFilter()
    if everything and narrowed:
        raise UsageError("--all does not go with a job or a filter", hint="leave one of them out")
    if required and not everything and not narrowed:
        raise UsageError(
            "no dead letter is named",
            hint="name jobs, or give --error, --project, --fingerprint, --older-than, --filter or --all",
        )
    return found
