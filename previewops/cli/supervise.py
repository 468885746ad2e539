"""``previewops supervise``: starts, monitors, replaces and scales the workers of this host."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import click

from previewops.cli.context import Context, pass_context, reject_newer_layout
from previewops.disclosure import redact_url
from previewops.errors import UsageError
from previewops.process.stack_dumps import enable_stack_dumps
from previewops.redis_server.connection import resolve_redis_url
from previewops.settings import Settings
from previewops.snapshot.fleet import WorkerCountRange
from previewops.supervisor.environment import (
    Launch,
    check_reload,
    read_environment_file,
    worker_environment,
)
from previewops.supervisor.events import ControlRequest
from previewops.supervisor.loop import Supervisor
from previewops.supervisor.recycle_policy import RecycleLimits

MIB = 1024 * 1024
_COUNT = click.IntRange(0, 256)


@click.command(
    epilog="""\b
Examples:
  previewops supervise
  previewops supervise --workers 4
  previewops supervise --min 1 --max 8     by load

\b
Signals: SIGTERM and SIGINT drain the workers; a second one releases their
jobs at once. SIGHUP restarts the workers one by one. SIGTTIN adds a worker,
SIGTTOU removes one.
"""
)
@click.option("--workers", metavar="N", type=_COUNT, help="Number of workers [enough for every processor].")
@click.option(
    "--min", "fewest", metavar="N", type=_COUNT, help="Minimum number of workers, by load; with --max."
)
@click.option(
    "--max", "most", metavar="N", type=_COUNT, help="Maximum number of workers, by load; with --min."
)
@click.option(
    "--backend",
    type=click.Choice(["process", "systemd-run"]),
    default="process",
    show_default=True,
    help="Run workers as child processes, or as transient units with their own limits.",
)
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of NAME=value lines that override the environment; reread at SIGHUP.",
)
@click.option(
    "--max-rss-mb", metavar="MIB", type=click.IntRange(min=64), default=512, show_default=True,
    help="Replace a worker at this memory use, render processes excluded.",
)  # fmt: skip
@click.option(
    "--max-jobs", metavar="N", type=click.IntRange(min=1), default=50_000, show_default=True,
    help="Replace a worker after this many jobs.",
)  # fmt: skip
@click.option(
    "--max-age-s", metavar="S", type=click.IntRange(min=60), default=86_400, show_default=True,
    help="Replace a worker at this age in seconds.",
)  # fmt: skip
@pass_context
def supervise(
    context: Context,
    *,
    workers: int | None,
    fewest: int | None,
    most: int | None,
    backend: str,
    env_file: Path | None,
    max_rss_mb: int,
    max_jobs: int,
    max_age_s: int,
) -> None:
    """Run this host's workers until SIGTERM or Ctrl-C. One supervisor per host."""
    from previewops.logs.setup import configure_logging

    enable_stack_dumps()  # systemd sends SIGABRT on a watchdog timeout
    limits = RecycleLimits(max_rss_mb * MIB, max_jobs, max_age_s)
    launch, url = _read_launch(context, env_file)
    bounds = _bounds(workers, fewest, most, launch.settings)
    configure_logging(launch.settings, verbose=context.verbose)

    def reload() -> Launch:
        changed, _ = _read_launch(context, env_file, url=url)
        check_reload(launch.settings, changed.settings)
        return changed

    asyncio.run(_supervise(launch, url, reload, bounds=bounds, limits=limits, backend=backend))


def _bounds(
    workers: int | None, fewest: int | None, most: int | None, settings: Settings
) -> WorkerCountRange:
    if fewest is None and most is None:
        count = default_worker_count(settings) if workers is None else workers
        return WorkerCountRange(count, count)
    if workers is not None or fewest is None or most is None or fewest > most:
        raise UsageError(
            "give either --workers, or both --min and --max with --min <= --max",
            hint="previewops supervise --workers 4, or previewops supervise --min 1 --max 8",
        )
    return WorkerCountRange(fewest, most)


def default_worker_count(settings: Settings) -> int:
    """Returns the number of workers that gives every processor of this process a job."""
    from previewops.process.resources import usable_processors

    return max(1, -(-usable_processors() // settings.worker_concurrency))


def _read_launch(context: Context, env_file: Path | None, *, url: str | None = None) -> tuple[Launch, str]:
    """Reads settings and workers' environment, in rising priority: environment, environment file, options.

    Returns also the address of Redis: ``url`` if it is given.

    Raises:
        UsageError: the file cannot be read, or a variable is invalid.
    """
    file_values = {} if env_file is None else read_environment_file(env_file)
    environ = {**os.environ, **file_values, **context.env_overrides}
    settings = Settings.from_env(environ)
    url = url or resolve_redis_url(settings, option=context.redis_option)
    return Launch(settings, worker_environment(environ, settings, url)), url


async def _supervise(
    launch: Launch,
    url: str,
    reload: Callable[[], Launch],
    *,
    bounds: WorkerCountRange,
    limits: RecycleLimits,
    backend: str,
) -> None:
    import structlog

    from previewops.supervisor.factory import BackendName, build_supervisor

    log = structlog.get_logger()
    await reject_newer_layout(url, launch.settings)
    async with build_supervisor(
        launch,
        url,
        bounds=bounds,
        limits=limits,
        backend=BackendName(backend),
        log_action=lambda action, message: log.log(
            action.level, "supervisor.action", action=action.kind, message=message
        ),
        reload=reload,
    ) as supervisor:
        log.info(
            "supervisor.started",
            queue=launch.settings.queue_name,
            redis=redact_url(url),
            min=bounds.minimum,
            max=bounds.maximum,
        )
        install_signal_handlers(supervisor)
        supervisor.announce_reloads()
        await supervisor.run()


def install_signal_handlers(supervisor: Supervisor) -> None:
    """Maps signals to control requests."""
    loop = asyncio.get_running_loop()
    for signum, request_kind in (
        (signal.SIGTERM, ControlRequest.STOP),
        (signal.SIGINT, ControlRequest.STOP),
        (signal.SIGHUP, ControlRequest.RELOAD),
        (signal.SIGTTIN, ControlRequest.ADD_WORKER),
        (signal.SIGTTOU, ControlRequest.REMOVE_WORKER),
    ):
        loop.add_signal_handler(signum, supervisor.request, request_kind)
