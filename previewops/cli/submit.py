"""``previewops submit``."""

from __future__ import annotations

from contextlib import nullcontext

import click
from redis.exceptions import RedisError

from previewops.cli.context import Context, name_default_queue, pass_context, require_queue
from previewops.cli.output import print_err
from previewops.cli.payload_files import EXIT_HELP, read_payloads
from previewops.cli.shared_options import SecondsRange, json_option, jsonl_option, not_before_option
from previewops.cli.submitter import SubmitReport, Submitter
from previewops.errors import UsageError
from previewops.queue.batches import check_batch_id
from previewops.queue.due_time import DueTime
from previewops.queue.queue import Queue
from previewops.queue.records import JobRecord
from previewops.queue.submit_options import NO_OPTIONS, SubmitOptions
from previewops.redis_server.connection import socket_path, socket_url
from previewops.settings import DEFAULT_DATA_DIR, Settings


@click.command(
    epilog="""\b
Examples:
  previewops submit job.json
  previewops submit job.json --import --wait
  previewops submit lesson-1.json lesson-2.json
  generate-jobs | previewops submit --jsonl - --json
  previewops submit lesson-1.json --replace
  previewops submit lesson-1.json --not-before 2026-12-24T18:00:00+01:00
  previewops submit lesson-*.json --batch lessons-7

"""
    + EXIT_HELP
    + """
Also with --wait: 1 a job ended dead or cancelled, 75 a job did not end
within --timeout."""
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--import",
    "import_files",
    is_flag=True,
    help="Copy local files of a payload to DATA_DIR/assets or PREVIEW_STORE.",
)
@click.option("--replace", is_flag=True, help="Replace the payload of a job with the same jobId.")
@not_before_option
@click.option("--batch", metavar="ID", help="Batch that the jobs join; closed after the last one.")
@click.option("--keep-open", is_flag=True, help="Do not close the batch: more jobs will follow.")
@click.option("--wait", is_flag=True, help="Wait until the jobs have ended; show their progress.")
@click.option("--timeout", metavar="S", type=SecondsRange(min=0), help="Wait at most S seconds.")
@click.option(
    "--new-queue", is_flag=True, help="Create the queue at the default address if it does not exist."
)
@jsonl_option
@json_option
@pass_context
def submit(
    context: Context,
    /,
    *,
    files: tuple[str, ...],
    import_files: bool,
    replace: bool,
    due: DueTime | None,
    batch: str | None,
    keep_open: bool,
    wait: bool,
    timeout: float | None,
    new_queue: bool,
    lines: bool,
    as_json: bool,
) -> int:
    """Submit jobs. FILE "-" is standard input; a .jsonl file has one job per line.

    Every payload is validated first; an invalid payload does not stop the others. Submitting the same payload
    again is safe: it is the same job. With --replace, another payload of the same jobId and projectId takes the
    place of the old one, in any state of the job; without, it is rejected. --import copies the pictures and sounds
    that a payload names by path (relative to its folder) to where workers find them. --json prints one object per
    job, on one line. A batch whose job was rejected stays open.

    Redis is the server of --redis-url or REDIS_URL, else the private server of `up` under DATA_DIR, else
    redis://127.0.0.1:6379, if a worker or an earlier submit has created the queue there.
    """
    if timeout is not None and not wait:
        raise UsageError("--timeout requires --wait", hint="add --wait or omit --timeout")
    if keep_open and batch is None:
        raise UsageError("--keep-open requires --batch", hint="add --batch ID or omit --keep-open")
    settings = context.settings
    if import_files and settings.store is None:
        _check_asset_roots(settings)
        _note_default_folder(context)
    report = SubmitReport(as_json=as_json, wait=wait)
    options = NO_OPTIONS
    if replace or due is not None or batch is not None:
        if batch is not None:
            check_batch_id(batch, name="--batch")
        options = SubmitOptions(context.operator if replace else None, due, batch)
    submitter = Submitter(settings, report, import_files, context.asset_policy(), options)

    async def run(queue: Queue) -> None:
        if context.uses_default_address():
            await _check_default_server(queue, new_queue=new_queue)
        await submitter.submit(queue, context.redis_url(), read_payloads(files, lines=lines))
        if batch is not None and not keep_open:
            await submitter.close_batch(queue, batch)
        if wait and report.accepted and not submitter.redis_failed:
            await _wait(queue, report, timeout)

    context.call(run)
    return report.exit_code


async def _check_default_server(queue: Queue, *, new_queue: bool) -> None:
    """Names the server at the default address. Nothing in the environment says that it is the right one."""
    try:
        if not new_queue:
            await require_queue(queue, create_hint=", or create the queue with --new-queue")
    except (RedisError, OSError):
        return  # the submit reports it for each job
    print_err(f"note: using {name_default_queue(queue)}")


def _check_asset_roots(settings: Settings) -> None:
    """Checks that imported files are under an asset root of the workers."""
    store = (settings.data_dir / "assets").resolve()
    if settings.asset_roots is not None and store not in [root.resolve() for root in settings.asset_roots]:
        raise UsageError(
            f"--import copies to {store}, which is not in PREVIEW_ASSET_ROOTS",
            hint=f"add {store} to PREVIEW_ASSET_ROOTS here and for the workers",
        )


def _note_default_folder(context: Context) -> None:
    """Names the folder of the copies if it is the default one and Redis is not the private server below it."""
    data_dir = context.settings.data_dir
    if data_dir == DEFAULT_DATA_DIR and context.redis_url() != socket_url(socket_path(data_dir)):
        print_err(
            f"note: --import copies to {data_dir.absolute() / 'assets'}; if workers have another DATA_DIR, "
            "set it here too: they find no other files"
        )


async def _wait(queue: Queue, report: SubmitReport, timeout_s: float | None) -> None:
    from previewops.cli.progress import NoProgress, show_progress
    from previewops.cli.waiting import MAX_PROGRESS_BARS, print_wait_warnings, wait_for_jobs
    from previewops.snapshot.reader import SnapshotReader

    if any(receipt.state.pending for _, receipt in report.accepted.values()):
        print_wait_warnings(await SnapshotReader(queue.redis, queue.settings).read())
    at_once = report.as_json or len(report.accepted) > MAX_PROGRESS_BARS
    finished: list[tuple[str, JobRecord | None]] = []
    with nullcontext(NoProgress()) if at_once else show_progress(ended_reasons=False) as display:
        pending = await wait_for_jobs(
            queue,
            report.accepted,
            timeout_s=timeout_s,
            show=display.update,
            on_finished=report.add_finished if at_once else lambda *result: finished.append(result),
            note=print_err,
        )
    for job_id, record in finished:
        report.add_finished(job_id, record)
    report.add_timed_out(pending, timeout_s or 0)
