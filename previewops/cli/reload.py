"""``previewops reload``: makes this host's supervisor reload its settings, and waits for the outcome."""

from __future__ import annotations

import os
import signal
import time

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_out
from previewops.errors import CommandRejected
from previewops.settings import Settings, variable_of
from previewops.supervisor.lock import SUPERVISOR_FOLDER, holder_pid, own_folder
from previewops.supervisor.records import ReloadRecord, ReloadState, SupervisorRecords

DEFAULT_TIMEOUT_S = 45
POLL_INTERVAL_S = 0.1


@click.command(
    epilog="""\b
Examples:
  previewops reload
  previewops --data-dir /var/lib/previewops reload --timeout 300
"""
)
@click.option(
    "--timeout",
    "timeout_s",
    metavar="S",
    type=click.IntRange(1, 86_400),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    help="Time to wait in seconds; a reload that was accepted then goes on.",
)
@pass_context
def reload(context: Context, timeout_s: int) -> None:
    """Make this host's supervisor read its settings again and replace its workers one by one; wait for that.

    Fails if the supervisor rejects the new settings, or if a worker does not start with them. The old settings then
    remain. Run it as the supervisor's user.
    """
    settings = _names(context)
    records = SupervisorRecords(own_folder(settings, SUPERVISOR_FOLDER))
    pid, before = holder_pid(settings), records.read_reload()
    if pid == 0:
        raise CommandRejected(
            f"no supervisor of queue {settings.queue_name} runs on this host in {settings.data_dir}",
            hint="name its folder by --data-dir or DATA_DIR, and its queue by --queue or PREVIEW_QUEUE_NAME",
        )
    if before is None or before.pid != pid:
        raise CommandRejected(
            f"process {pid} does not reload its settings", hint="only `previewops supervise` does; restart it"
        )
    _send_hangup(pid)
    record = _wait_for_outcome(settings, records, before, timeout_s)
    if record.state is ReloadState.REJECTED:
        raise CommandRejected(record.message)
    if record.state is ReloadState.RUNNING:
        print_out(f"accepted; after {timeout_s} s it still replaces workers: see `previewops workers`")
    else:
        print_out("reloaded")


def _names(context: Context) -> Settings:
    """Returns settings with the queue and DATA_DIR only. The supervisor judges the others."""
    environ = {**os.environ, **context.env_overrides}
    names = map(variable_of, ("queue_name", "data_dir"))
    return Settings.from_env({name: environ[name] for name in names if name in environ})


def _send_hangup(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        hint = "run the command as the user of the supervisor, or as root"
        raise CommandRejected(f"process {pid} belongs to another user", hint=hint) from None
    except ProcessLookupError:
        raise CommandRejected(f"the supervisor, process {pid}, has ended") from None


def _wait_for_outcome(
    settings: Settings, records: SupervisorRecords, before: ReloadRecord, timeout_s: int
) -> ReloadRecord:
    """Waits for the end of the next reload. At the timeout, returns it if it is running.

    Raises:
        CommandRejected: the supervisor has ended, or has not begun the reload.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        record = records.read_reload() or before
        begun = record.pid == before.pid and record.number > before.number
        timed_out = time.monotonic() >= deadline
        if begun and (timed_out or record.state is not ReloadState.RUNNING):
            return record
        if holder_pid(settings) != before.pid:
            raise CommandRejected(f"the supervisor, process {before.pid}, has ended")
        if timed_out:
            raise CommandRejected(
                f"the supervisor, process {before.pid}, has not begun the reload within {timeout_s} s",
                hint="see its log; it cannot report while the disk of DATA_DIR is full",
            )
        time.sleep(POLL_INTERVAL_S)
