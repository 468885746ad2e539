"""The program: its options, its list of commands, and how every failure is told."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import click

from previewops import __version__
from previewops.cli.context import Context
from previewops.cli.lazy import Entry, LazyGroup
from previewops.cli.output import OutputClosed, abandon_output, flush, say_json, tell
from previewops.errors import EXIT_FAILED, CannotBoot, InvalidPayload, PreviewopsError, UsageError

PROGRAM = "previewops"
COMPLETION_VARIABLE = "_PREVIEWOPS_COMPLETE"
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
EXIT_NO_READER = 141  # 128 + SIGPIPE

ENTRIES = {
    "up": Entry("previewops.cli.up:up", "Run everything on this machine; --demo shows what it does."),
    "submit": Entry("previewops.cli.submit:submit", "Submit jobs from files or standard input."),
    "validate": Entry("previewops.cli.validate:validate", "Say everything that is wrong with a payload."),
    "render": Entry("previewops.cli.render:render", "Render a payload here and now, without Redis."),
    "status": Entry("previewops.cli.status:status", "Show one job."),
    "jobs": Entry("previewops.cli.jobs:jobs", "List jobs, newest first."),
    "cancel": Entry("previewops.cli.cancel:cancel", "Cancel a job that has not ended."),
    "dlq": Entry("previewops.cli.dlq:dlq", "Look at dead letters and act on them."),
    "pause": Entry("previewops.cli.pause:pause", "Stop workers from taking jobs."),
    "resume": Entry("previewops.cli.pause:resume", "Let workers take jobs again."),
    "stats": Entry("previewops.cli.stats:stats", "Show the queue in figures."),
    "workers": Entry("previewops.cli.workers:workers", "List the workers and their supervisors."),
    "worker": Entry("previewops.cli.worker:worker", "Run one worker process."),
    "supervise": Entry("previewops.cli.supervise:supervise", "Keep this host's workers running."),
    "scale": Entry("previewops.cli.orders:scale", "Have a host run more or fewer workers."),
    "drain": Entry("previewops.cli.orders:drain", "Have workers end their jobs and stay away."),
    "restart": Entry("previewops.cli.orders:restart", "Replace workers, jobs unharmed."),
    "reset": Entry("previewops.cli.orders:reset", "Start workers again that were given up."),
    "tui": Entry("previewops.cli.tui:tui", "Watch the queue and act on it, on one screen."),
    "record": Entry("previewops.cli.record:record", "Record what the screen shows, for the morning after."),
    "api": Entry("previewops.cli.api:api", "Serve the queue over HTTP."),
    "health": Entry("previewops.cli.health:health", "Check the queue, as a monitoring plugin."),
    "metrics": Entry("previewops.cli.metrics:metrics", "Print the queue's figures for Prometheus."),
    "prune": Entry("previewops.cli.prune:prune", "Remove old bundles, and what is kept for reuse."),
    "systemd": Entry("previewops.cli.systemd:systemd", "Write the units that run it under systemd."),
    "completion": Entry("previewops.cli.completion:completion", "Print the shell completion script."),
}

_HELP = """Render previews in the background, and lose none.

\b
First steps:
  previewops up --demo
  previewops submit job.json --wait
  previewops stats

\b
Exit codes: 0 done, 1 the job or act failed, 2 usage, 65 invalid payload,
69 Redis unreachable, 75 queue full (try again), 130 interrupted.
`previewops health` has the codes of a monitoring plugin.
"""


def _checked(env: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A callback that holds an option against the rule of the variable that it replaces."""

    def check(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        if value is None:
            return None
        from previewops.settings import Settings

        if value == "":
            raise click.BadParameter("it is empty; leave it out for the default", ctx, param)
        try:
            Settings.from_env({env: value})
        except UsageError as error:
            raise click.BadParameter(error.message.removeprefix(f"{env} "), ctx, param) from None
        return value

    return check


@click.group(
    cls=LazyGroup, entries=ENTRIES, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--redis-url", metavar="URL", help="Address of Redis; else REDIS_URL, else found by itself.")
@click.option(
    "--queue",
    metavar="NAME",
    callback=_checked("PREVIEW_QUEUE_NAME"),
    help="Name of the queue; else PREVIEW_QUEUE_NAME.",
)
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(),
    callback=_checked("DATA_DIR"),
    help="Folder of bundles and assets; else DATA_DIR.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log more, and show the traceback of a bug.")
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_obj
def cli(
    context: Context, redis_url: str | None, queue: str | None, data_dir: str | None, verbose: bool
) -> None:
    context.redis_option = redis_url
    context.verbose = verbose
    if queue is not None:
        context.overlay["PREVIEW_QUEUE_NAME"] = queue
    if data_dir is not None:
        context.overlay["DATA_DIR"] = data_dir


def main() -> NoReturn:
    """Runs the command that the process was started with, and ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a locale without these letters is no failure
    # asyncio.run would turn Ctrl-C into a cancellation, if this were Python's own handler. A cancellation is lost
    # when it comes right before an asyncio.timeout is entered, and redis-py enters one before each command.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(run(sys.argv[1:]))


def _interrupt(_number: int, _frame: object) -> NoReturn:
    # What asyncio has to say of the task that was torn down is no news to whoever pressed Ctrl-C.
    logging.getLogger("asyncio").disabled = True
    raise KeyboardInterrupt


def run(args: list[str]) -> int:
    """Runs one command line and returns its exit code; every failure has been told by then."""
    context = Context()
    try:
        code = _invoke(context, args)
        flush(sys.stdout)
        return code
    except OutputClosed:
        abandon_output()
        return EXIT_NO_READER
    except PreviewopsError as error:  # the output itself could not be written
        abandon_output()
        tell(_in_words(error))
        return error.exit_code


def _invoke(context: Context, args: list[str]) -> int:
    """click's own ``main`` has other manners when the output's reader has gone, and hides who pressed Ctrl-C."""
    try:
        return _installed(context, args)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        tell(["", "interrupted"])  # the terminal has echoed ^C
        return EXIT_INTERRUPTED
    except PreviewopsError as error:
        tell(_in_words(error))
        if context.as_json:
            say_json(error.as_json(), indent=None)
        return error.exit_code
    except (BrokenPipeError, OutputClosed):  # the former is from what click prints itself
        raise OutputClosed from None
    except Exception as error:
        _tell_bug(context, error)
        return EXIT_FAILED


def _installed(context: Context, args: list[str]) -> int:
    """Commands import what they need when they run, so only then is it known whether all of it is there."""
    try:
        return _perform(context, args)
    except ImportError as error:
        raise CannotBoot.without(error) from error
    except UnicodeEncodeError as error:
        # Bytes that are no UTF-8 are fine in the name of a file; all else goes to Redis as text.
        strange = [ascii(each) for each in args if any("\ud800" <= letter <= "\udfff" for letter in each)]
        if not strange:
            raise
        raise UsageError(f"an argument is {', '.join(strange)}; allowed is text in UTF-8") from error


def _perform(context: Context, args: list[str]) -> int:
    instruction = os.environ.get(COMPLETION_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, PROGRAM, COMPLETION_VARIABLE, instruction)
    with cli.make_context(PROGRAM, args, obj=context) as ctx:
        code = cli.invoke(ctx)
    return code if isinstance(code, int) else 0


def _in_words(error: PreviewopsError) -> list[str]:
    if isinstance(error, InvalidPayload):
        from previewops.contract import explain

        return explain(error)
    words = [f"previewops: {error.message}"]
    return words if error.hint is None else [*words, f"hint: {error.hint}"]


def _tell_bug(context: Context, error: Exception) -> None:
    if context.verbose:
        tell("".join(traceback.format_exception(error)).rstrip())
    words = str(error).strip().partition("\n")[0] or "no message"
    tell(f"previewops: unforeseen {type(error).__name__}: {words}")
    if not context.verbose:
        tell("hint: run again with --verbose for the traceback: previewops --verbose …")
