"""Options that select jobs for a bulk command by filter, and its preview, confirmation and progress."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from previewops.cli.output import NotConfirmed, can_prompt, print_err, prompt
from previewops.cli.shared_options import combine_options, parse_filter_option
from previewops.errors import UsageError
from previewops.formatting import pluralize
from previewops.queue.filter_query import FilterQuery, FilterTerm
from previewops.queue.job_selection import JobSelection, MatchCount
from previewops.queue.matching_jobs import MatchingJobs
from previewops.states import JobState

TYPED_CONFIRMATION_COUNT = 100
"""From this count on, the operator types the command's name instead of y."""

SAMPLE_IDS = 5


def selection_options(allowed: Sequence[JobState]) -> Callable[[Any], Any]:
    """JOB arguments and filter options of a command on jobs in one of the ``allowed`` states."""
    names = [state.value for state in allowed]
    return combine_options(
        click.argument("job_ids", metavar="[JOB]...", nargs=-1),
        click.option(
            "--state", "states", multiple=True, type=click.Choice(names), help="Only this state; repeatable."
        ),
        click.option("--project", metavar="P", help="Only this projectId."),
        click.option(
            "--filter", "text", metavar="TEXT", help="Only matches; syntax as in `previewops jobs --filter`."
        ),
        click.option("--all", "everything", is_flag=True, help=f"All {_listed(names)} jobs."),
        click.option("--dry-run", is_flag=True, help="Only count the jobs that match."),
        click.option("-y", "--yes", is_flag=True, help="Skip the confirmation."),
    )


def build_selection(
    job_ids: Sequence[str],
    states: Sequence[str],
    project: str | None,
    text: str | None,
    *,
    everything: bool,
    dry_run: bool,
    allowed: tuple[JobState, ...],
) -> JobSelection | None:
    """Builds the selection from the options; None if they name jobs.

    Raises:
        UsageError: named jobs with a filter, --all with either, or nothing is selected.
    """
    query = parse_filter_option(text or "")
    for name, value in (("--project", project), ("--filter", text if query or text is None else "")):
        if value == "":
            raise UsageError(f"{name} is empty", hint="omit it or give a value")
    narrowed = bool(states or project is not None or query)
    if job_ids:
        if narrowed or everything or dry_run:
            raise UsageError("found JOB together with a filter, allowed one of them", hint="omit one of them")
        return None
    if everything and narrowed:
        raise UsageError("--all cannot be combined with a filter", hint="omit one of them")
    if not everything and not narrowed:
        raise UsageError("no jobs selected", hint="name jobs, or use --filter, --project, --state or --all")
    exact = () if project is None else (FilterTerm(project, "project", exact=True),)
    if exact and query.inverted:
        raise UsageError(
            "--project cannot be combined with a filter that is negated as a whole",
            hint="put `!` before each word, and `project:=P` into the filter",
        )
    chosen = tuple(JobState(state) for state in dict.fromkeys(states)) or allowed
    return JobSelection(chosen, FilterQuery((*exact, *query.terms), query.inverted))


async def preview_selection(jobs: MatchingJobs, selection: JobSelection, verb: str) -> MatchCount:
    """Counts what matches, and prints the number by state and some ids to standard error."""
    with show_done("examined") as progress:
        count = await jobs.count(selection, progress, sample=SAMPLE_IDS)
    if not count.total:
        print_err("no job matches")
        return count
    by_state = ", ".join(
        f"{count.by_state[state]:,} {state.value}" for state in selection.states if count.by_state.get(state)
    )
    print_err(f"{verb} {pluralize(count.total, 'job')}: {by_state}")
    sample = count.sample_ids(SAMPLE_IDS)
    more = f" and {count.total - len(sample):,} more" if count.total > len(sample) else ""
    print_err(f"  {', '.join(sample)}{more}")
    return count


def confirm_bulk(verb: str, past_tense: str, count: int, consequence: str) -> None:
    """Asks for confirmation.

    Raises:
        UsageError: standard input is not a terminal.
        NotConfirmed: any reply but yes.
    """
    if not can_prompt():
        raise UsageError(
            f"cannot confirm without a terminal: {pluralize(count, 'job')} would be {past_tense}",
            hint="add --yes to skip the confirmation",
        )
    print_err(consequence)
    if count >= TYPED_CONFIRMATION_COUNT:
        confirmed = prompt(f"Type {verb} to continue:").lower() == verb
    else:
        confirmed = prompt("Continue? [y/N]").lower() in ("y", "yes")
    if not confirmed:
        raise NotConfirmed(f"Not executed: nothing was {past_tense}")


@contextmanager
def show_done(past_tense: str, total: int = 0) -> Iterator[Callable[[int], Awaitable[None]]]:
    """Shows how many jobs are done, on standard error if that is a terminal. Yields what receives the number."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    of = f" of {total:,}" if total else ""
    with Progress(
        TextColumn("{task.fields[text]}", markup=False), console=Console(stderr=True), transient=True
    ) as display:
        task = display.add_task("", total=total or None, text="")

        async def show(done: int) -> None:
            display.update(task, completed=done, text=f"{past_tense} {done:,}{of}")

        yield show


async def _ignore(_done: int) -> None:
    pass


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
