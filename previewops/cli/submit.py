"""``previewops submit``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.payloads import EXIT_HELP
from previewops.errors import UsageError

if TYPE_CHECKING:
    from previewops.cli.submission import Account, Door
    from previewops.queue import Queue
    from previewops.records import JobRecord
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
With --wait also: 1 a job ended dead or cancelled, 75 one has not ended
within --timeout."""
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--import", "import_files", is_flag=True, help="Copy the local files it names into DATA_DIR/assets."
)
@click.option("--wait", is_flag=True, help="Wait until the jobs have ended, and show how they get on.")
@click.option("--timeout", metavar="S", type=click.FloatRange(min=0), help="Wait at most S seconds.")
@click.option("--jsonl", "lines", is_flag=True, help="Every FILE holds a job a line, as .jsonl files do.")
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
    """Submit jobs. FILE "-" is standard input; a .jsonl file is a job a line.

    Every payload is validated first, and a bad one keeps none of the others out. Submitting the same payload
    again is safe: it is the same job. With --import, pictures and sounds that a payload names by a path
    (relative to its own folder) are copied to where the workers find them. With --json, one object a line and
    job.
    """
    from previewops.cli.submission import Account, Door

    if timeout is not None and not wait:
        raise UsageError("--timeout goes with --wait", hint="add --wait, or leave --timeout out")
    settings = context.settings
    if import_files:
        _demand_open_store(settings)
    account = Account(as_json=as_json, wait=wait)
    door = Door(settings, account, import_files)
    asyncio.run(_submit(context, door, files, lines=lines, timeout_s=timeout))
    return account.exit_code


def _demand_open_store(settings: Settings) -> None:
    """Workers have to look where imported files go."""
    store = (settings.data_dir / "assets").resolve()
    if settings.asset_roots is not None and store not in [root.resolve() for root in settings.asset_roots]:
        raise UsageError(
            f"--import copies to {store}, which PREVIEW_ASSET_ROOTS does not name",
            hint=f"add {store} to PREVIEW_ASSET_ROOTS here and for the workers",
        )


async def _submit(
    context: Context, door: Door, files: tuple[str, ...], *, lines: bool, timeout_s: float | None
) -> None:
    from previewops.cli.payloads import read_documents
    from previewops.queue import Queue

    async with context.redis() as redis:
        queue = Queue(redis, context.settings)
        await door.submit(queue, context.redis_url(), read_documents(files, lines=lines))
        if door.account.wait and door.account.accepted and not door.redis_failed:
            await _wait(context, queue, door.account, timeout_s)


async def _wait(context: Context, queue: Queue, account: Account, timeout_s: float | None) -> None:
    from previewops.cli.waiting import MAX_ON_BOARD, no_progress, progress, tell_obstacles, wait_for_ends
    from previewops.snapshot import Snapshots

    if any(receipt.state.pending for _, receipt in account.accepted.values()):
        tell_obstacles(await Snapshots(queue.redis, context.settings).take())
    many = len(account.accepted)
    at_once = account.as_json or many > MAX_ON_BOARD
    ends: list[tuple[str, JobRecord | None]] = []
    with no_progress() if at_once else progress() as show:
        left = await wait_for_ends(
            queue,
            account.accepted,
            timeout_s=timeout_s,
            show=show,
            ended=account.ended if at_once else lambda job_id, record: ends.append((job_id, record)),
        )
    for job_id, record in ends:
        account.ended(job_id, record)
    account.unfinished(left, timeout_s or 0)
