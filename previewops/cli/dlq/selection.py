"""Selection and groups of dead letters, which the ``dlq`` commands share."""

from __future__ import annotations

from collections.abc import Iterable

import click

from previewops.cli.shared_options import Age, combine_options, parse_filter_option
from previewops.errors import UsageError
from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
from previewops.queue.records import JobRecord

selection_options = combine_options(
    click.argument("job_ids", metavar="[JOB]...", nargs=-1),
    click.option("--error", metavar="E", help="Error class or code, or text in the error message."),
    click.option("--project", metavar="P", help="Only this projectId."),
    click.option("--fingerprint", metavar="F", help="Only this group; a prefix is enough."),
    click.option(
        "--older-than",
        "older_than_ms",
        type=Age(),
        help="Dead for longer than AGE: 30s, 15m, 2h, 7d.",
    ),
    click.option(
        "--filter", "text", metavar="TEXT", help="Only matches; syntax as in `previewops jobs --filter`."
    ),
    click.option("--all", "everything", is_flag=True, help="All dead letters."),
)
"""JOB arguments and filter options, passed as keywords for :func:`build_filter`."""


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
    """Builds the filter from the options. A dead letter has to match all of them.

    Raises:
        UsageError: --all together with a job or filter, or an empty selection where one is ``required``.
    """
    query = parse_filter_option(text or "")
    for name, value in (
        ("--error", error),
        ("--project", project),
        ("--fingerprint", fingerprint),
        ("--filter", text if query or text is None else ""),
    ):
        if value == "":
            raise UsageError(f"{name} is empty", hint="omit it or give a value")
    selection = DeadLetterFilter(
        tuple(dict.fromkeys(job_ids)),
        error,
        project,
        fingerprint and fingerprint.lower(),
        older_than_ms,
        query,
    )
    is_narrowed = selection != DeadLetterFilter()
    if everything and is_narrowed:
        raise UsageError("--all cannot be combined with a job or a filter", hint="omit one of them")
    if required and not everything and not is_narrowed:
        raise UsageError(
            "no dead letters selected",
            hint="name jobs, or use --error, --project, --fingerprint, --older-than, --filter or --all",
        )
    return selection


def group_by_cause(newest_first: Iterable[JobRecord]) -> tuple[DeadLetterGroup, ...]:
    """Groups dead letters by fingerprint, largest group first. The example of a group is its newest letter."""
    members: dict[str, list[JobRecord]] = {}
    for record in newest_first:
        members.setdefault(record.fingerprint or "", []).append(record)
    groups = [
        DeadLetterGroup(name, len(of), of[-1].finished_ms or 0, of[0].finished_ms or 0, of[0])
        for name, of in members.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.count, group.fingerprint)))
