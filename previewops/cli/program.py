"""The program: global options, list of commands, reporting of errors."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

import click

from previewops import __version__
from previewops.cli.context import Context
from previewops.cli.error_lines import format_error_lines
from previewops.cli.lazy_group import LazyCommand, LazyGroup
from previewops.cli.output import (
    OutputClosed,
    OutputUnwritable,
    discard_output,
    discard_unwritten_errors,
    flush,
    is_terminal_gone,
    output_error,
    print_err,
    print_json,
    print_out,
)
from previewops.errors import EXIT_FAILED, PreviewopsError, StartupFailed, UsageError
from previewops.process.init import run_as_init

PROGRAM = "previewops"
COMPLETION_VARIABLE = "_PREVIEWOPS_COMPLETE"
EXIT_INTERRUPTED = 130  # 128 + SIGINT, the shells' convention
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

COMMANDS = {
    "up": LazyCommand("previewops.cli.up:up", "Run everything on this machine; --demo submits sample jobs."),
    "submit": LazyCommand("previewops.cli.submit:submit", "Submit jobs from files or standard input."),
    "validate": LazyCommand("previewops.cli.validate:validate", "Report every violation in a payload."),
    "themes": LazyCommand("previewops.cli.themes:themes", "List themes, and draw samples of them."),
    "render": LazyCommand("previewops.cli.render:render", "Render a payload in this process, without Redis."),
    "status": LazyCommand("previewops.cli.status:status", "Show one job."),
    "jobs": LazyCommand("previewops.cli.jobs:jobs", "List jobs, newest first."),
    "find": LazyCommand("previewops.cli.find:find", "Find jobs by id, requestId or title."),
    "batch": LazyCommand("previewops.cli.batch:batch", "Show, wait for, close or cancel a batch of jobs."),
    "cancel": LazyCommand("previewops.cli.cancel:cancel", "Cancel jobs: named ones, or all that match."),
    "run-again": LazyCommand("previewops.cli.run_again:run_again", "Render jobs that have ended again."),
    "delete": LazyCommand("previewops.cli.delete:delete", "Delete jobs for good, with their bundles."),
    "dlq": LazyCommand("previewops.cli.dlq:dlq", "List, show, requeue, discard or export dead letters."),
    "reschedule": LazyCommand(
        "previewops.cli.reschedule:reschedule", "Change a job's priority or earliest start."
    ),
    "events": LazyCommand("previewops.cli.events:events", "List events; --operators: what operators did."),
    "webhooks": LazyCommand("previewops.cli.webhooks:webhooks", "List failed webhooks and send them again."),
    "pause": LazyCommand("previewops.cli.pause:pause", "Stop workers from claiming jobs."),
    "silence": LazyCommand("previewops.cli.silence:silence", "Silence a health check for a time."),
    "unsilence": LazyCommand("previewops.cli.silence:unsilence", "End the silence of a health check."),
    "resume": LazyCommand("previewops.cli.pause:resume", "Let workers claim jobs again."),
    "projects": LazyCommand(
        "previewops.cli.projects:projects", "List projects by load; set their weight and maximum."
    ),
    "stats": LazyCommand("previewops.cli.stats:stats", "Show queue statistics."),
    "workers": LazyCommand("previewops.cli.workers:workers", "List workers and supervisors."),
    "worker": LazyCommand("previewops.cli.worker:worker", "Run one worker process."),
    "supervise": LazyCommand("previewops.cli.supervise:supervise", "Run and supervise this host's workers."),
    "scale": LazyCommand("previewops.cli.fleet:scale", "Change a host's number of workers."),
    "drain": LazyCommand("previewops.cli.fleet:drain", "Let workers finish their jobs and stop."),
    "restart": LazyCommand("previewops.cli.fleet:restart", "Replace workers without interrupting jobs."),
    "reset": LazyCommand("previewops.cli.fleet:reset", "Restart workers that are fatal or drained."),
    "log": LazyCommand("previewops.cli.fleet:worker_log", "Print the last lines of a worker's log."),
    "reload": LazyCommand("previewops.cli.reload:reload", "Reload this host's supervisor, and wait for it."),
    "tui": LazyCommand("previewops.cli.tui:tui", "Monitor and manage the queue in a terminal UI."),
    "record": LazyCommand("previewops.cli.record:record", "Record snapshots for a later replay in the TUI."),
    "api": LazyCommand("previewops.cli.api:api", "Serve the queue over HTTP."),
    "token": LazyCommand("previewops.cli.token:token", "Create named tokens of the REST API."),
    "health": LazyCommand("previewops.cli.health:health", "Check the queue, as a monitoring plugin."),
    "alive": LazyCommand("previewops.cli.alive:alive", "Check this container's processes, without Redis."),
    "metrics": LazyCommand("previewops.cli.metrics:metrics", "Print metrics for Prometheus."),
    "doctor": LazyCommand("previewops.cli.doctor:doctor", "Check and repair what is stored in Redis."),
    "prune": LazyCommand("previewops.cli.prune:prune", "Remove old bundles and cache entries."),
    "systemd": LazyCommand("previewops.cli.systemd:systemd", "Print, install or remove systemd units."),
    "completion": LazyCommand("previewops.cli.completion:completion", "Print the shell completion script."),
}

_HELP = """Render previews in background workers. No job is lost.

\b
First steps:
  previewops up --demo
  previewops submit job.json --wait
  previewops stats

\b
Exit codes: 0 success, 1 failure, 2 usage, 65 invalid payload,
69 Redis unreachable, 75 queue full (try again), 76 stored data damaged,
78 cannot start as installed or configured, 130 interrupted.
`previewops health` uses the exit codes of a monitoring plugin.
"""


def _print_version(ctx: click.Context) -> None:
    from previewops.build import build_id

    print_out(f"{PROGRAM}, version {__version__}, build {build_id()}")
    ctx.exit()


def _validate_as(env: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Returns a callback that validates an option by the rules of environment variable ``env``."""

    def check(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        if value is None:
            return None
        from previewops.settings import Settings

        if value == "":
            raise click.BadParameter("is empty; omit it to use the default", ctx, param)
        try:
            Settings.from_env({env: value})
        except UsageError as error:
            raise click.BadParameter(error.message.removeprefix(f"{env} "), ctx, param) from None
        return value

    return check


@click.group(
    cls=LazyGroup, entries=COMMANDS, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--redis-url", metavar="URL", help="Address of Redis. Default: REDIS_URL, else automatic.")
@click.option(
    "--queue",
    metavar="NAME",
    callback=_validate_as("PREVIEW_QUEUE_NAME"),
    help="Name of the queue. Default: PREVIEW_QUEUE_NAME.",
)
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(),
    callback=_validate_as("DATA_DIR"),
    help="Folder of bundles and assets. Default: DATA_DIR.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log more; print tracebacks of unexpected errors.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _param, value: _print_version(ctx) if value else None,
    help="Show the version and the build, and exit.",
)
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
    """Runs the command line of this process and exits with its exit code."""
    run_as_init()
    _open_standard_descriptors()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # the locale may lack characters of the output
    # With Python's default handler, asyncio.run turns Ctrl-C into a cancellation. A cancellation right before an
    # asyncio.timeout is entered is lost, and redis-py enters one before each command.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(run(sys.argv[1:]))


def _open_standard_descriptors() -> None:
    """Opens the standard descriptors that the caller has closed. The next socket would get their numbers.

    libuv aborts when it closes one of those.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


class _Interrupt:
    """Whether Ctrl-C was pressed."""

    received = False


def _interrupt(_number: int, _frame: object) -> NoReturn:
    _Interrupt.received = True
    # Between any two instructions a coroutine may be made and not yet awaited, of which Python would warn.
    warnings.simplefilter("ignore", RuntimeWarning)
    # Do not log asyncio's messages about the interrupted task. asyncio has imported logging, which is slow to import.
    if "asyncio" in sys.modules:
        import logging

        logging.getLogger("asyncio").disabled = True
    raise KeyboardInterrupt


def run(args: list[str]) -> int:
    """Runs one command line and returns its exit code. Errors are already reported."""
    context = Context()
    try:
        code = _invoke(context, args)
        flush(sys.stdout)
        return code
    except OutputClosed:
        discard_output()
        return EXIT_BROKEN_PIPE
    except OutputUnwritable as error:
        discard_output()
        print_err(format_error_lines(error))
        return error.exit_code
    finally:
        discard_unwritten_errors()


def _invoke(context: Context, args: list[str]) -> int:
    """Replaces click's ``main``, which treats a closed output and Ctrl-C differently."""
    try:
        return _run_interruptibly(context, args)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print_err(["", "interrupted"])  # the terminal has echoed ^C
        return EXIT_INTERRUPTED
    except OutputUnwritable:
        raise
    except PreviewopsError as error:
        print_err(format_error_lines(error))
        if context.as_json:
            print_json(error.as_json(), indent=None)
        return error.exit_code
    except (BrokenPipeError, OutputClosed):  # BrokenPipeError: from output of click itself
        raise OutputClosed from None
    except Exception as error:
        if isinstance(error, OSError):
            if is_terminal_gone(error):
                raise OutputClosed from None
            if _is_of_click(error):
                raise output_error(error) from None
        _print_unexpected(context, error)
        return EXIT_FAILED


def _run_interruptibly(context: Context, args: list[str]) -> int:
    """Reports what a KeyboardInterrupt has broken on its way, such as an open connection, as the interrupt."""
    try:
        return _run_checked(context, args)
    except click.exceptions.Exit:
        raise
    except Exception as error:
        if _Interrupt.received:
            raise KeyboardInterrupt from error
        raise


def _run_checked(context: Context, args: list[str]) -> int:
    """Reports missing dependencies (commands import lazily), arguments that are not UTF-8, a lost working folder."""
    try:
        return _dispatch(context, args)
    except ImportError as error:
        raise StartupFailed.from_import_error(error) from error
    except UnicodeEncodeError as error:
        # File names may be other bytes than UTF-8; everything else goes to Redis as text.
        invalid = [ascii(arg) for arg in args if any("\ud800" <= letter <= "\udfff" for letter in arg)]
        if not invalid:
            raise
        raise UsageError(f"an argument is not UTF-8 text: {', '.join(invalid)}") from error
    except FileNotFoundError as error:
        if _has_working_folder():
            raise
        message = "the working folder was deleted"
        raise UsageError(
            message, hint="change to another folder with cd, then run the command again"
        ) from error


def _has_working_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - no path is needed
    except FileNotFoundError:
        return False
    return True


def _dispatch(context: Context, args: list[str]) -> int:
    instruction = os.environ.get(COMPLETION_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, PROGRAM, COMPLETION_VARIABLE, instruction)
    with cli.make_context(PROGRAM, args, obj=context) as ctx:
        code = cli.invoke(ctx)
    return code if isinstance(code, int) else 0


def _is_of_click(error: OSError) -> bool:
    """Whether output of click itself failed: the help, or a script for completion."""
    import traceback

    modules = {frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)}
    return error.filename is None and "click.utils" in modules


def _print_unexpected(context: Context, error: Exception) -> None:
    if context.verbose:
        import traceback

        print_err("".join(traceback.format_exception(error)).rstrip())
    message = str(error).strip().partition("\n")[0] or "no message"
    print_err(f"previewops: unexpected {type(error).__name__}: {message}")
    if not context.verbose:
        print_err("hint: print the traceback with: previewops --verbose …")
