"""``previewops delete``."""

from __future__ import annotations

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import NotConfirmed, can_prompt, print_err, print_json, print_out, prompt
from previewops.cli.shared_options import json_option, reason_option
from previewops.errors import EXIT_FAILED, JobNotFound, PreviewopsError, RedisUnavailable, UsageError
from previewops.formatting import pluralize
from previewops.queue.queue import Queue
from previewops.redis_server.connection import redis_errors
from previewops.stores.job_deletion import DeletedJob, delete_job
from previewops.stores.selection import open_store


@click.command(
    epilog="""\b
Examples:
  previewops delete lesson-1
  previewops delete lesson-1 lesson-2 --yes --reason "the author left"
  previewops delete lesson-1 --project lessons   its record has expired
"""
)
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@click.option("--project", metavar="P", help="The jobs' projectId; finds bundles whose records have expired.")
@reason_option
@click.option("-y", "--yes", is_flag=True, help="Skip the confirmation.")
@json_option
@pass_context
def delete(
    context: Context,
    /,
    *,
    job_ids: tuple[str, ...],
    project: str | None,
    reason: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete jobs for good: records, dead letters, results, events and bundles.

    A pending job is cancelled first, and an attempt that still runs publishes nothing. Who deleted what, and why,
    stays recorded. --json prints one object per job, on one line.
    """
    if not yes:
        _confirm(job_ids)
    store = open_store(context.settings)
    url = context.redis_url()
    failed = False

    async def run(queue: Queue) -> None:
        nonlocal failed
        for job_id in dict.fromkeys(job_ids):
            try:
                async with redis_errors(url):
                    deleted = await delete_job(
                        queue, store, job_id, who=context.operator, reason=reason, project_id=project
                    )
            except RedisUnavailable:
                raise
            except PreviewopsError as error:
                failed = True
                if isinstance(error, JobNotFound) and project is None:
                    error.hint = f"{error.hint}; --project finds the bundle of such a job"
                _report_failure(job_id, error, as_json=as_json)
            else:
                _report(deleted, as_json=as_json)

    context.change(run)
    return EXIT_FAILED if failed else 0


def _confirm(job_ids: tuple[str, ...]) -> None:
    """Asks for confirmation.

    Raises:
        UsageError: standard input is not a terminal.
        NotConfirmed: any reply but yes.
    """
    count = pluralize(len(job_ids), "job")
    if not can_prompt():
        raise UsageError(
            f"cannot confirm without a terminal: {count} would be deleted",
            hint="add --yes to skip the confirmation",
        )
    print_err(f"delete {count}: records, dead letters and bundles are deleted permanently")
    if prompt("Continue? [y/N]").lower() not in ("y", "yes"):
        raise NotConfirmed("Not executed: nothing was deleted")


def _report(deleted: DeletedJob, *, as_json: bool) -> None:
    if as_json:
        print_json(deleted.as_json(), indent=None)
        return
    state = f"it was {deleted.was}" if deleted.was else "its record had expired"
    bundle = "its bundle too" if deleted.bundle else "it had no bundle"
    print_out(f"deleted {deleted.job_id}; {state}; {bundle}")


def _report_failure(job_id: str, error: PreviewopsError, *, as_json: bool) -> None:
    if as_json:
        print_json({"jobId": job_id, **error.as_json()}, indent=None)
    print_err(f"{job_id}: {error.message}")
    if error.hint is not None:
        print_err(f"hint: {error.hint}")
