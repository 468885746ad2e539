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
from previewops.cli.lazy_group import LazyCommand, LazyGroup
from previewops.cli.output import OutputClosed, discard_output, flush, print_err, print_json
from previewops.errors import EXIT_FAILED, InvalidPayload, PreviewopsError, StartupFailed, UsageError

PROGRAM = "previewops"
COMPLETION_VARIABLE = "_PREVIEWOPS_COMPLETE"
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

COMMANDS = {
    "up": LazyCommand("previewops.cli.up:up", "Run everything on this machine; --demo shows what it does."),
    "submit": LazyCommand("previewops.cli.submit:submit", "Submit jobs from files or standard input."),
    "validate": LazyCommand(
        "previewops.cli.validate:validate", "Say everything that is wrong with a payload."
    ),
    "render": LazyCommand("previewops.cli.render:render", "Render a payload here and now, without Redis."),
    "status": LazyCommand("previewops.cli.status:status", "Show one job."),
    "jobs": LazyCommand("previewops.cli.jobs:jobs", "List jobs, newest first."),
    "cancel": LazyCommand("previewops.cli.cancel:cancel", "Cancel a job that has not ended."),
    "dlq": LazyCommand("previewops.cli.dlq:dlq", "Look at dead letters and act on them."),
    "pause": LazyCommand("previewops.cli.pause:pause", "Stop workers from taking jobs."),
    "resume": LazyCommand("previewops.cli.pause:resume", "Let workers take jobs again."),
    "stats": LazyCommand("previewops.cli.stats:stats", "Show the queue in figures."),
    "workers": LazyCommand("previewops.cli.workers:workers", "List the workers and their supervisors."),
    "worker": LazyCommand("previewops.cli.worker:worker", "Run one worker process."),
    "supervise": LazyCommand("previewops.cli.supervise:supervise", "Keep this host's workers running."),
    "scale": LazyCommand("previewops.cli.fleet:scale", "Have a host run more or fewer workers."),
    "drain": LazyCommand("previewops.cli.fleet:drain", "Have workers end their jobs and stay away."),
    "restart": LazyCommand("previewops.cli.fleet:restart", "Replace workers, jobs unharmed."),
    "reset": LazyCommand("previewops.cli.fleet:reset", "Start workers again that were given up."),
    "tui": LazyCommand("previewops.cli.tui:tui", "Watch the queue and act on it, on one screen."),
    "record": LazyCommand(
        "previewops.cli.record:record", "Record what the screen shows, for the morning after."
    ),
    "api": LazyCommand("previewops.cli.api:api", "Serve the queue over HTTP."),
    "health": LazyCommand("previewops.cli.health:health", "Check the queue, as a monitoring plugin."),
    "metrics": LazyCommand("previewops.cli.metrics:metrics", "Print the queue's figures for Prometheus."),
    "prune": LazyCommand("previewops.cli.prune:prune", "Remove old bundles, and what is kept for reuse."),
    "systemd": LazyCommand("previewops.cli.systemd:systemd", "Write the units that run it under systemd."),
    "completion": LazyCommand("previewops.cli.completion:completion", "Print the shell completion script."),
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
    cls=LazyGroup, entries=COMMANDS, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]}
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
        context.env_overrides["PREVIEW_QUEUE_NAME"] = queue
    if data_dir is not None:
        context.env_overrides["DATA_DIR"] = data_dir


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
        discard_output()
        return EXIT_BROKEN_PIPE
    except PreviewopsError as error:  # the output itself could not be written
        discard_output()
        print_err(_in_words(error))
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
        print_err(["", "interrupted"])  # the terminal has echoed ^C
        return EXIT_INTERRUPTED
    except PreviewopsError as error:
        print_err(_in_words(error))
        if context.as_json:
            print_json(error.as_json(), indent=None)
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
        raise StartupFailed.from_import_error(error) from error
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
        print_err("".join(traceback.format_exception(error)).rstrip())
    words = str(error).strip().partition("\n")[0] or "no message"
    print_err(f"previewops: unforeseen {type(error).__name__}: {words}")
    if not context.verbose:
        print_err("hint: run again with --verbose for the traceback: previewops --verbose …")
