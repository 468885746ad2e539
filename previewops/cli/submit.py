"""``previewops submit``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.payload_files import EXIT_HELP
from previewops.errors import UsageError

if TYPE_CHECKING:
    from previewops.cli.submitter import SubmitReport, Submitter
    from previewops.queue.queue import Queue
    from previewops.queue.records import JobRecord
    from previewops.settings import Settings


@click.command(
    epilog="""\b
Examples:
  previewops submit job.json
  previewops submit job.json --import --wait
  previewops submit lesson-1.json lesson-2.json
  generate-jobs | previewops submit --jsonl - --json

"""
    + EXIT_HELP
    + """
Also with --wait: 1 a job ended dead or cancelled, 75 a job did not end
within --timeout."""
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--import", "import_files", is_flag=True, help="Copy the local files of a payload to DATA_DIR/assets."
)
@click.option("--wait", is_flag=True, help="Wait until the jobs have ended; show their progress.")
@click.option("--timeout", metavar="S", type=click.FloatRange(min=0), help="Wait at most S seconds.")
@click.option("--jsonl", "lines", is_flag=True, help="Read every FILE as JSON Lines, one job per line.")
@json_option
@pass_context
def submit(
    context: Context,
    /,
    *,
    files: tuple[str, ...],
    import_files: bool,
    wait: bool,
    timeout: float | None,
    lines: bool,
    as_json: bool,
) -> int:
    """Submit jobs. FILE "-" is standard input; a .jsonl file has one job per line.

    Every payload is validated first; an invalid payload does not stop the others. Submitting the same payload
    again is safe: it is the same job. --import copies the pictures and sounds that a payload names by path
    (relative to its folder) to where workers find them. --json prints one object per job, on one line.
    """
    from previewops.cli.submitter import SubmitReport, Submitter

    if timeout is not None and not wait:
        raise UsageError("--timeout requires --wait", hint="add --wait or omit --timeout")
    settings = context.settings
    if import_files:
        _demand_open_store(settings)
    account = SubmitReport(as_json=as_json, wait=wait)
    door = Submitter(settings, account, import_files)
    asyncio.run(_submit(context, door, files, lines=lines, timeout_s=timeout))
    return account.exit_code


def _demand_open_store(settings: Settings) -> None:
    """Checks that imported files are under an asset root of the workers."""
    store = (settings.data_dir / "assets").resolve()
    if settings.asset_roots is not None and store not in [root.resolve() for root in settings.asset_roots]:
        raise UsageError(
            f"--import copies to {store}, which is not in PREVIEW_ASSET_ROOTS",
            hint=f"add {store} to PREVIEW_ASSET_ROOTS here and for the workers",
        )


async def _submit(
    context: Context, door: Submitter, files: tuple[str, ...], *, lines: bool, timeout_s: float | None
) -> None:
    from previewops.cli.payload_files import read_payloads
    from previewops.queue.queue import Queue

    async with context.redis() as redis:
        queue = Queue(redis, context.settings)
        await door.submit(queue, context.redis_url(), read_payloads(files, lines=lines))
        if door.report.wait and door.report.accepted and not door.redis_failed:
            await _wait(context, queue, door.report, timeout_s)


async def _wait(context: Context, queue: Queue, account: SubmitReport, timeout_s: float | None) -> None:
    from previewops.cli.waiting import (
        MAX_PROGRESS_BARS,
        job_progress,
        no_job_progress,
        print_wait_warnings,
        wait_for_jobs,
    )
    from previewops.snapshot.reader import SnapshotReader

    if any(receipt.state.pending for _, receipt in account.accepted.values()):
        print_wait_warnings(await SnapshotReader(queue.redis, context.settings).read())
    many = len(account.accepted)
    at_once = account.as_json or many > MAX_PROGRESS_BARS
    ends: list[tuple[str, JobRecord | None]] = []
    with no_job_progress() if at_once else job_progress() as show:
        left = await wait_for_jobs(
            queue,
            account.accepted,
            timeout_s=timeout_s,
            show=show,
            on_finished=account.add_finished
            if at_once
            else lambda job_id, record: ends.append((job_id, record)),
        )
    for job_id, record in ends:
        account.add_finished(job_id, record)
    account.add_timed_out(left, timeout_s or 0)
